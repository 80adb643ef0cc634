"""What every session does with a model: views on its rows, its snapshot, its events.

The real session and the simulated one differ only in where events come from and where actions go.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence

from tqconsole.core.actions import ActionRequest
from tqconsole.core.cluster import Cluster
from tqconsole.core.equivalent import call_command, equivalent_command
from tqconsole.core.event_filter import compile_event_filter
from tqconsole.core.event_log import EventLog
from tqconsole.core.filter import compile_filter
from tqconsole.core.ingest import Arrived
from tqconsole.core.lookup import KnownTask, text_facts
from tqconsole.core.picture import Picture, Surroundings
from tqconsole.core.row_view import RowView
from tqconsole.core.suggest import suggest
from tqconsole.core.views import Changes, EventLine, Snapshot, TaskList, TaskRow
from tqconsole.engine.clock import Clock


class SessionModel:
    """One cluster's model and the views on it. Owned by the UI's thread."""

    def __init__(
        self,
        clock: Clock,
        surroundings: Surroundings,
        cluster: Cluster,
        saved_filters: Mapping[str, str] | None = None,
    ) -> None:
        self.clock = clock
        self.cluster = cluster
        self.log = EventLog()
        self.saved_filters = dict(saved_filters or {})
        self.is_paused = False
        self._picture = Picture(cluster, surroundings)
        self._views: weakref.WeakSet[RowView] = weakref.WeakSet()
        self._snapshot: Snapshot | None = None
        self._link = ("connecting", "")

    def take(self, batch: Arrived) -> None:
        """Fold a batch in."""
        self.cluster.apply(batch.events, batch.at)
        self.log.add(batch.events, batch.at, batch.event_bytes)

    def finish_frame(
        self,
        link: tuple[str, str],
        *,
        has_events: bool,
        has_facts: bool,
        is_behind: bool,
        has_second: bool = False,
    ) -> Changes:
        """Bring views and snapshot up to date after a drain; says what changed.

        `has_second` asks for what is looked at once a second, also where the clock has not turned.
        """
        now_at = self.clock.now()
        if link[0] == "live":
            self.cluster.stats.begin(now_at)
        self.cluster.deaf_because = link[1] if link[0] == "deaf" else ""
        self.cluster.beat.note_link(now_at, is_live=link[0] == "live")
        has_second = self.cluster.tick() or has_second
        if self.is_paused:
            link = ("paused", link[1] if link[0] != "live" else "")
        has_link = link != self._link
        self._link = link
        changed, has_evicted = set[TaskRow](), False
        if not self.is_paused:
            changed, has_evicted = self.cluster.store.take_changes()
            for view in list(self._views):
                view.update(changed, has_evicted=has_evicted)
            if has_second or has_facts or self._snapshot is None:
                self._picture.renew(now_at)
        changes = Changes(
            row_count=len(changed),
            has_evicted=has_evicted,
            workers=has_second or has_facts,
            queues=has_second or has_facts,
            stats=has_second,
            events=has_events and not self.is_paused,
            link=has_link,
            is_behind=is_behind,
        )
        if changes.is_any:
            self._snapshot = None
        return changes

    def note_files(self, note: str, recorded_bytes: int | None) -> None:
        """Say what is wrong with history or recording, and how long a recording has become."""
        picture = self._picture
        if (note, recorded_bytes) != (picture.file_note, picture.recorded_bytes):
            picture.file_note, picture.recorded_bytes = note, recorded_bytes
            self._snapshot = None

    def snapshot(self) -> Snapshot:
        """Return the snapshot of this frame, made at most once."""
        if self._snapshot is None:
            self._snapshot = self._picture.frame(self.clock.now(), *self._link)
        return self._snapshot

    def tasks(self, expression: str, sort_key: str, *, is_descending: bool) -> TaskList:
        """Return a live view; it is kept up to date as long as somebody holds it."""
        compiled = compile_filter(expression, self.cluster.filter_context(), self.saved_filters)
        view = RowView(
            self.cluster.store, compiled, sort_key, is_descending=is_descending, clock=self.clock
        )
        self._views.add(view)
        return view

    def family(self, task_id: str) -> tuple[TaskRow, ...]:
        """Return the rows of one root, in the order they were first seen."""
        row = self.cluster.store.get(task_id)
        if row is None:
            return ()
        root_id = row.root_id or row.task_id
        return tuple(
            other
            for other in self.cluster.store
            if other.root_id == root_id or other.task_id == root_id or other is row
        )

    def events(self, expression: str, limit: int) -> Sequence[EventLine]:
        """Return the newest raw events that match, newest first."""
        store = self.cluster.store
        check = compile_event_filter(expression, self.cluster.filter_context(), self.saved_filters)
        return self.log.lines(check, limit, store.get)

    def save_filter(self, name: str, expression: str) -> None:
        """Let `@name` stand for a filter; "" forgets it. Raises: FilterError."""
        others = {known: text for known, text in self.saved_filters.items() if known != name}
        # One that cannot be read, or that speaks of itself, would fail wherever it is used.
        compile_filter(expression, self.cluster.filter_context(), others)
        self.saved_filters = {**others, name: expression} if expression else others

    def suggest(self, text: str, cursor: int) -> tuple[str, ...]:
        """Return completions with the names this cluster has."""
        values = {
            "name": self.cluster.task_names(),
            "worker": self.cluster.nodes.names(self.clock.now()),
            "queue": self.cluster.queues.names(),
            "@": tuple(self.saved_filters),
        }
        return suggest(text, cursor, values)

    def equivalent(self, request: ActionRequest) -> str:
        """Return the command line that does the same, "" when there is none or not yet.

        A re-run is a call with the task's name, and its arguments where they were left as they are.
        """
        if request.action_id != "task.rerun":
            return equivalent_command(request)
        if len(request.targets) != 1:
            return ""
        task_id = request.targets[0]
        facts = text_facts(KnownTask.of(task_id, self.cluster.store.get(task_id)))
        given = {name: str(value).strip() for name, value in request.arguments.items()}
        args, kwargs = given.get("args") or facts.args_json, given.get("kwargs")
        kwargs = kwargs or facts.kwargs_json
        if not (facts.name and args and kwargs):
            return ""
        return call_command(facts.name, args, kwargs, given.get("queue") or facts.queue)

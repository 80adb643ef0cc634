"""The model of one cluster: everything that events, answers and depths say, folded together.

It knows no broker and no thread: a session feeds it, the simulator feeds it, tests feed it. All
calls are made by the UI's thread. `now_at` is this console's clock at arrival.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from tqconsole.core.beat import BeatWatch
from tqconsole.core.filter_terms import FilterContext
from tqconsole.core.merge import ENDED, number
from tqconsole.core.nodes import Nodes
from tqconsole.core.queues import Queues
from tqconsole.core.reconcile import Doubts, Ended, take_end
from tqconsole.core.sanitize import clean_name, shown
from tqconsole.core.stats import NAME_LIMIT, Stats
from tqconsole.core.store import BYTES_LIMIT, ROWS_LIMIT, Store
from tqconsole.core.tally import Tally
from tqconsole.core.unheard import Unheard
from tqconsole.core.views import PAST, TaskRow
from tqconsole.engine import states
from tqconsole.engine.clock import Clock

#: Latest failures kept for the dashboard.
FAILURE_LIMIT = 100
#: Seconds that a state told by `inspect` is dated back.
BACKFILL_AGE_S = 30.0
#: Seconds after which the tasks of a worker that went are taken for lost: its last words may
#: still be on their way.
LOST_GRACE_S = 2.0
#: Seconds that workers may live without a task event before these count as off.
EVENTS_OFF_S = 15.0
#: How our own workers' software begins.
OURS = "tqconsole"
#: Seconds without a task-sent event after which they count as off.
SENT_EVENTS_S = 60.0


class Cluster:
    """Rows, workers, queues and figures of one cluster."""

    def __init__(
        self, clock: Clock, rows_limit: int = ROWS_LIMIT, bytes_limit: int = BYTES_LIMIT
    ) -> None:
        self._clock = clock
        self.store = Store(rows_limit, bytes_limit)
        self.nodes = Nodes()
        self.queues = Queues()
        self.stats = Stats(clock.now())
        self.beat = BeatWatch()
        #: Task names that workers said they know.
        self.registered: set[str] = set()
        #: Events that never reached this console, as far as it can tell (broker, own overflow).
        self.dropped_count = 0
        self._failures: deque[TaskRow] = deque(maxlen=FAILURE_LIMIT)
        #: Why no event can come from this broker, "" where they can.
        self.deaf_because = ""
        self._online_since_at: float | None = None
        self._task_event_at: float | None = None
        self._sent_event_at: float | None = None
        self._doubts = Doubts()
        self._unheard = Unheard()
        self._gone_since: dict[str, float] = {}
        self._second_at = int(clock.now())
        self._has_open_past = False

    def apply(self, events: Iterable[dict[str, Any]], now_at: float) -> None:
        """Fold a batch of events in, which arrived at `now_at`."""
        count = 0
        tally = Tally(now_at)
        for event in events:
            count += 1
            event_type = event.get("type")
            if not isinstance(event_type, str):
                continue
            if event_type[:5] == "task-":
                self._apply_task(event, event_type, tally)
            elif event_type in _WORKER_EVENTS:
                # A heartbeat is held against what was heard of its worker before it.
                tally.count(self.nodes, self.queues, self.stats)
                tally = Tally(now_at)
                self.nodes.apply(event, now_at)
        tally.count(self.nodes, self.queues, self.stats)
        self.stats.note_events(now_at, count)
        self.store.evict()

    def tick(self) -> bool:
        """Do what a new second wants: charts, lost tasks, forgetting. True when one began."""
        now_at = self._clock.now()
        # The stats begin their seconds with the first event of each, so they cannot tell.
        self.stats.tick(now_at)
        if int(now_at) <= self._second_at:
            return False
        self._second_at = int(now_at)
        self._mark_lost(now_at)
        self.beat.tick(now_at, has_events=self.has_task_events(now_at) is not False)
        self.nodes.forget_old(now_at)
        if not any(node.status(now_at) == "online" for node in self.nodes):
            self._online_since_at = None
        elif self._online_since_at is None:
            self._online_since_at = now_at
        return True

    def failures(self) -> tuple[TaskRow, ...]:
        """Return the rows that failed or were retried last, newest first."""
        return tuple(row for row in reversed(self._failures) if row.state != states.SUCCESS)

    def filter_context(self) -> FilterContext:
        """Return what filters ask of the model."""
        return FilterContext(now=self._clock.now, p99_s=self.stats.p99_of)

    def has_task_events(self, now_at: float) -> bool | None:
        """True when task events come, False when workers live and none ever came.

        None while that is not known: our own workers tell when somebody listens, so that those
        which have run nothing since have nothing to tell.
        """
        if self._task_event_at is not None:
            return True
        since_at = self._online_since_at
        if since_at is None or now_at - since_at <= EVENTS_OFF_S:
            return None
        can_be_mute = any(
            node.untold_count or not node.software.startswith(OURS)
            for node in self.nodes
            if node.status(now_at) == "online"
        )
        return False if can_be_mute else None

    def has_sent_events(self, now_at: float) -> bool:
        """True when clients tell what they send."""
        return self._sent_event_at is not None and now_at - self._sent_event_at < SENT_EVENTS_S

    def task_names(self) -> tuple[str, ...]:
        """Return every task name known, sorted."""
        return tuple(sorted(self.registered.union(self.stats.types)))

    def queue_of(self, task_name: str) -> str:
        """Return the queue that the newest known call of this type went through, "" if none."""
        for row in reversed(self.store.rows()):
            if row.name == task_name and row.queue:
                return row.queue
        return ""

    def unknown_pools(self, now_at: float) -> frozenset[str]:
        """Return the workers that live and whose pool is not known: they came after the asking."""
        return frozenset(
            node.name
            for node in self.nodes
            if node.slot_count is None and node.status(now_at) == "online"
        )

    def consumer_counts(self, now_at: float) -> dict[str, int]:
        """Return queue -> how many living workers said that they consume from it."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            if node.status(now_at) in ("online", "silent"):
                for name in node.queues:
                    counts[name] = counts.get(name, 0) + 1
        return counts

    def note_backfill(
        self, worker: str, requests: Iterable[object], state: str, now_at: float
    ) -> None:
        """Take in what a worker has in hand (`active`, `reserved`, `scheduled`): rows that no
        event has told of, or whose start was missed.
        """
        for request in requests:
            if isinstance(request, Mapping) and isinstance(request.get("id"), str):
                self._backfill(worker, request, state, now_at)

    def add_past(self, rows: list[TaskRow]) -> None:
        """Take in what earlier runs of the console have seen, oldest first."""
        self.store.add_past(rows)
        self.beat.look_through(self.store)
        self._has_open_past = True
        failed = (row for row in rows if row.state in (states.FAILURE, states.RETRY))
        self._failures = deque([*failed, *self._failures], maxlen=FAILURE_LIMIT)

    def note_held(self, held: Mapping[str, frozenset[str]], now_at: float) -> None:
        """Take in which tasks run on workers that answered, by their own word: node name -> ids.

        A row that runs there by its events, and twice is not among them, is lost: nobody heard its
        end.
        """
        self._unheard.note(self.store, held, now_at)

    def queried_ids(self) -> tuple[str, ...]:
        """Return tasks that all workers are to be asked for: where they are, nobody told."""
        return self._unheard.queried_ids(self.store)

    def note_whereabouts(
        self, asked_ids: Iterable[str], replies: Mapping[str, object], now_at: float
    ) -> None:
        """Take in what `query_task` told: node name -> id -> (word, request info)."""
        held: dict[str, frozenset[str]] = {}
        for worker, reply in replies.items():
            found = reply if isinstance(reply, Mapping) else {}
            held[clean_name(worker)] = frozenset(clean_name(task_id) for task_id in found)
            for entry in found.values():
                word, info = (
                    entry if isinstance(entry, list | tuple) and len(entry) == 2 else ("", 0)
                )
                state = states.STARTED if word == "active" else states.RECEIVED
                self.note_backfill(worker, [info], state, now_at)
        self._unheard.note(self.store, held, now_at, frozenset(asked_ids))

    def note_in_hand_told(self) -> None:
        """Take note that workers have told what they have in hand: what an earlier run saw running
        and none of them has is lost, unless its record tells better.
        """
        if not self._has_open_past:
            return
        self._has_open_past = False
        for row in list(self.store.unfinished.values()):
            is_open = row.source == PAST and not row.is_lost
            if is_open and row.state != states.PENDING:
                self.store.set_lost(row, is_lost=True)

    def doubted_ids(self) -> tuple[str, ...]:
        """Return tasks whose end may have gone unheard."""
        return self._doubts.ids(self.store, self._clock.now())

    def note_ends(self, ends: Iterable[Ended], now_at: float) -> None:
        """Take in how doubted tasks ended, by their records."""
        for end in ends:
            row = take_end(self.store, end, now_at)
            if row is not None and row.state in (states.SUCCESS, states.FAILURE):
                self._count_run(row, now_at)

    def note_registered(self, names: Iterable[object]) -> None:
        """Take in the task names a worker knows, each maybe with `[attribute=value]` behind."""
        for name in names:
            if isinstance(name, str) and len(self.registered) < NAME_LIMIT:
                self.registered.add(clean_name(name.partition(" [")[0]))

    def note_call(self, task_id: str, facts: Mapping[str, str], now_at: float) -> None:
        """Take in a call that this console has sent: no worker need tell of it."""
        row = self.store.row_for(clean_name(task_id))
        call = {name: value for name, value in facts.items() if not getattr(row, name)}
        if row.sent_at is None:
            row.sent_at = now_at
        self.store.update(row, row.source if row.updated_at else "console", **call)
        if not row.updated_at:
            row.updated_at = now_at

    def _apply_task(self, event: dict[str, Any], event_type: str, tally: Tally) -> None:
        now_at, node, hostname = tally.now_at, tally.node, event.get("hostname")
        if node is None or hostname != tally.hostname:
            node = self.nodes.origin(event, now_at)
            tally.turn_to(node, hostname)
        applied = self.store.apply(event, self.nodes.time_of(node, event, now_at), node.name)
        if applied is None:
            return
        row, has_decided = applied
        if event_type == "task-sent":
            self.beat.note(row)
            self._sent_event_at = now_at
            if row.queue:
                tally.note_sent(row.queue)
            return
        tally.note_told(event_type)
        self._task_event_at = now_at
        if event_type == "task-received":
            self.beat.note(row)
            # A queue known by looking, not by events, is one of few: no rate comes of it.
            if row.queue and (event.get("queue") or self.has_sent_events(now_at)):
                tally.note_taken(row.queue)
        elif has_decided and event_type in _ENDS:
            self._count_end(row, event_type, tally)

    def _count_end(self, row: TaskRow, event_type: str, tally: Tally) -> None:
        if event_type == "task-retried":
            self.stats.note_retry(tally.now_at, row.name)
        else:
            tally.note_run(row, is_failure=event_type == "task-failed")
        if event_type != "task-succeeded":
            self._note_failure(row, tally.now_at)

    def _count_run(self, row: TaskRow, now_at: float) -> None:
        is_failure = row.state == states.FAILURE
        self.stats.note_end(
            now_at, row.name, row.runtime_s, wait_s=row.wait_s, is_failure=is_failure
        )
        if is_failure:
            self._note_failure(row, now_at)

    def _note_failure(self, row: TaskRow, now_at: float) -> None:
        self.stats.note_error(now_at, row.name, row.exception, row.task_id)
        if row in self._failures:
            self._failures.remove(row)
        self._failures.append(row)

    def _mark_lost(self, now_at: float) -> None:
        """Look at what runs: who works on it, and does that worker live?"""
        gone = self._gone(now_at)
        for row in list(self.store.running.values()):
            is_lost = row.worker in gone or row.task_id in self._unheard.ids
            if is_lost != row.is_lost:
                self.store.set_lost(row, is_lost=is_lost)

    def _gone(self, now_at: float) -> set[str]:
        away = {node.name for node in self.nodes if node.status(now_at) in ("lost", "gone")}
        self._gone_since = {name: self._gone_since.get(name, now_at) for name in away}
        return {
            name for name, since_at in self._gone_since.items() if now_at - since_at >= LOST_GRACE_S
        }

    def _backfill(self, worker: str, request: Mapping[str, Any], state: str, now_at: float) -> None:
        task_id = clean_name(request["id"])
        row = self.store.get(task_id)
        # A word from an earlier run is only confirmed by this one.
        is_open_past = row is not None and row.source == PAST and row.state not in ENDED
        is_known = row is not None and _BACKFILLS.get(row.state, 9) >= _BACKFILLS[state]
        # Lost there, in hand here: it was given out again, and no event of that was heard.
        is_elsewhere = row is not None and row.is_lost and row.worker != clean_name(worker)
        if is_known and not (is_open_past or is_elsewhere):
            return
        node = self.nodes.get(worker)
        started_at = number(request.get("time_start"))
        if started_at:
            started_at = min(now_at, started_at + (node.skew_s if node is not None else 0.0))
        row = row or self.store.row_for(task_id)
        facts: dict[str, Any] = {
            "state": state,
            "worker": clean_name(worker),
            "is_lost": False,
            # An event that is still on its way is older than this answer, and must win over it.
            "updated_at": started_at or now_at - BACKFILL_AGE_S,
            "started_at": started_at or row.started_at,
        }
        call = call_facts(request)
        facts.update({name: value for name, value in call.items() if not getattr(row, name)})
        self.store.update(row, "inspect", **facts)


def call_facts(request: Mapping[str, Any]) -> dict[str, str]:
    """Return name, arguments and queue out of a request info (wire.md §6.3), cleaned."""
    delivery = request.get("delivery_info")
    routing_key = delivery.get("routing_key") if isinstance(delivery, Mapping) else None
    return {
        "name": clean_name(request.get("name") or request.get("type")),
        "args": shown(request.get("args")),
        "kwargs": shown(request.get("kwargs")),
        "queue": clean_name(routing_key),
    }


#: How far along a row is that an answer may bring forward; other states are told by events only.
_BACKFILLS = {states.PENDING: 0, states.RECEIVED: 1, states.STARTED: 2}
#: Events of ends that are counted.
_ENDS = frozenset({"task-succeeded", "task-failed", "task-retried"})
_WORKER_EVENTS = frozenset({"worker-online", "worker-heartbeat", "worker-offline"})

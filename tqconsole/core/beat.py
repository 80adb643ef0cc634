"""The watch on a schedule: which runs were seen, which are due, which did not come.

Entries come from a source (`schedules.py`); runs are seen in the events of the task that an entry
sends: `task-sent` where clients tell, else `task-received`. Owned by the UI's thread.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tqconsole.core.beat_views import BeatPicture, BeatRun, BeatView
from tqconsole.core.sanitize import clean, clean_name, shown
from tqconsole.core.schedules import Scheduled, upcoming
from tqconsole.core.views import TaskRow

#: Runs of an entry that are remembered by their ids: as many as are drawn.
RUN_LIMIT = 8
#: Seconds a run may come before its instant (clocks differ), and part of the interval at most.
EARLY_S, EARLY_RATIO = 2.0, 0.25
#: Seconds after which a run that was due and was not seen counts as missed: a scheduler that
#: sleeps, a queue in which the run waits until a worker receives it.
LATE_S = 30.0
#: Instants looked at in one tick of one entry: a laptop that slept must not freeze the console.
STEPS_AT_ONCE = 100

Rows = Callable[[str], TaskRow | None]


class Entry:
    """One entry and what was seen of it."""

    def __init__(self, scheduled: Scheduled, now_at: float) -> None:
        self.scheduled = scheduled
        #: What of its view never changes: every second makes all views anew.
        self._still = _still(scheduled)
        self._view = self._still
        self._viewed: tuple[object, ...] = ()
        self.runs: deque[tuple[str, float]] = deque(maxlen=RUN_LIMIT)
        self.run_count = 0
        self.missed_count = 0
        self.missed_at: float | None = None
        last_at = scheduled.last_run_at
        if last_at is None and scheduled.is_anchored:
            last_at = now_at
        #: When it is due next; None: not known before a run was seen.
        self.due_at = scheduled.next_after(last_at) if last_at is not None else None

    def fits(self, row: TaskRow) -> bool:
        """True when a run of its task has its arguments, as far as an event tells them."""
        return _alike(row.args, self._still.args) and _alike(row.kwargs, self._still.kwargs)

    def forget_runs(self) -> None:
        """Begin to look for runs anew; what is due and what was missed stays."""
        self.runs.clear()
        self.run_count = 0

    def note_run(self, task_id: str, at: float) -> None:
        """Take in a run that was sent at `at`."""
        if any(task_id == known for known, _ in self.runs):
            return
        self.runs.append((task_id, at))
        self.run_count += 1
        if not self.scheduled.is_anchored or self.due_at is None or at >= self._early_at():
            # What was sent shortly before its instant is that instant's run.
            due_at = max(at, self.due_at or at) if self.scheduled.is_anchored else at
            self.due_at = self.scheduled.next_after(due_at)

    def _early_at(self) -> float:
        due_at = self.due_at or 0.0
        interval_s = self.scheduled.interval_s
        return due_at - min(EARLY_S, EARLY_RATIO * interval_s if interval_s else EARLY_S)

    def tick(self, now_at: float, heard_since_at: float | None) -> None:
        """Count what did not come, if it would have been heard, and look at the next instant."""
        for _ in range(STEPS_AT_ONCE):
            if self.due_at is None or now_at < self.due_at + LATE_S:
                return
            if heard_since_at is not None and self.due_at >= heard_since_at:
                self._miss(self.due_at)
            elif not self.scheduled.is_anchored:
                # Nobody listened: when it runs is known again with the next run.
                self.due_at = None
                return
            next_at = self.scheduled.next_after(self.due_at)
            self.due_at = next_at if next_at is not None and next_at > self.due_at else None

    def _miss(self, due_at: float) -> None:
        if self.scheduled.is_enabled:
            self.missed_count += 1
            self.missed_at = due_at

    def view(self, rows: Rows) -> BeatView:
        """Return what a screen draws; the same as before while nothing of it has changed."""
        found = [rows(task_id) for task_id, _ in self.runs]
        revision = sum(row.revision for row in found if row is not None)
        state = (self.scheduled, self.due_at, self.run_count, self.missed_count, revision)
        if state != self._viewed:
            self._viewed, self._view = state, self._made(found)
        return self._view

    def _made(self, found: Sequence[TaskRow | None]) -> BeatView:
        runs = zip(self.runs, found, strict=True)
        return replace(
            self._still,
            is_enabled=self.scheduled.is_enabled,
            next_at=self.due_at,
            runs=tuple([_run(task_id, at, row) for (task_id, at), row in runs]),
            run_count=max(self.run_count, self.scheduled.total_run_count or 0),
            missed_count=self.missed_count,
            missed_at=self.missed_at,
            last_run_at=self.scheduled.last_run_at,
        )


class BeatWatch:
    """All entries. Empty until `take_entries`."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._by_task: dict[str, list[Entry]] = {}
        self._state, self._detail = "no app", ""
        self._heard_since_at: float | None = None

    def await_entries(self) -> None:
        """A source was asked."""
        if not self._entries:
            self._state = "reading"

    def fail(self, detail: str) -> None:
        """The source could not be read."""
        self._state, self._detail = "failed", clean(detail, 300)

    def take_entries(
        self, scheduled: Sequence[Scheduled], rows: Iterable[TaskRow], now_at: float
    ) -> None:
        """Take in what is scheduled; what was seen of an entry that stays is kept."""
        known = {entry.scheduled.name: entry for entry in self._entries}
        self._entries = []
        for item in scheduled:
            entry = Entry(item, now_at)
            before = known.get(item.name)
            if before is not None and _same(before.scheduled, item):
                before.scheduled, entry = item, before
            self._entries.append(entry)
        self._by_task = {}
        for entry in self._entries:
            self._by_task.setdefault(entry.scheduled.task_name, []).append(entry)
        self._note_all(rows)
        self._state, self._detail = "read" if self._entries else "empty", ""

    def look_through(self, rows: Iterable[TaskRow]) -> None:
        """Look for runs anew: rows of earlier times came in."""
        for entry in self._entries:
            entry.forget_runs()
        self._note_all(rows)

    def _note_all(self, rows: Iterable[TaskRow]) -> None:
        if not self._entries:
            return
        ours = [row for row in rows if row.name in self._by_task]
        for row in sorted(ours, key=lambda row: _sent_at(row) or 0.0):
            self.note(row)

    def note(self, row: TaskRow) -> None:
        """Take in that a task was sent or received."""
        entries = self._by_task.get(row.name)
        if not entries or row.parent_id:
            return
        at = _sent_at(row)
        if at is None:
            return
        for entry in entries:
            if entry.fits(row):
                entry.note_run(row.task_id, at)
                return

    def note_link(self, now_at: float, *, is_live: bool) -> None:
        """Take in whether events arrive: what came while none did was not missed."""
        if not is_live:
            self._heard_since_at = None
        elif self._heard_since_at is None:
            self._heard_since_at = now_at

    def tick(self, now_at: float, *, has_events: bool) -> None:
        """Look at what is due. `has_events`: workers tell of their tasks, as far as is known."""
        since_at = self._heard_since_at if has_events else None
        for entry in self._entries:
            entry.tick(now_at, since_at)

    def missed(self) -> list[Entry]:
        """Return the entries some runs of which did not come, of those that are still missing."""
        return [
            entry
            for entry in self._entries
            if entry.missed_at is not None
            and not (entry.runs and entry.runs[-1][1] > entry.missed_at)
        ]

    def picture(self, rows: Rows) -> BeatPicture:
        """Return what the screen draws."""
        views = tuple(entry.view(rows) for entry in self._entries)
        return BeatPicture(views, self._state, self._detail)


def _sent_at(row: TaskRow) -> float | None:
    return row.sent_at if row.sent_at is not None else row.received_at


def _still(scheduled: Scheduled) -> BeatView:
    options = scheduled.options
    return BeatView(
        scheduled.name,
        scheduled.task_name,
        scheduled.schedule,
        shown(tuple(scheduled.args)),
        shown(dict(scheduled.kwargs)),
        args_json=_json(list(scheduled.args)),
        kwargs_json=_json(dict(scheduled.kwargs)),
        queue=clean_name(options.get("queue")),
        priority=_number_text(options.get("priority")),
        expires=_number_text(options.get("expires")),
        options=", ".join(f"{clean(name, 40)} {shown(v, 60)}" for name, v in options.items()),
        interval_s=scheduled.interval_s,
        upcoming=lambda from_at, count: upcoming(scheduled, from_at, count),
    )


def _run(task_id: str, at: float, row: TaskRow | None) -> BeatRun:
    if row is None:
        return BeatRun(task_id, at)
    return BeatRun(task_id, at, row.state, row.runtime_s, is_lost=row.is_lost)


def _same(before: Scheduled, after: Scheduled) -> bool:
    return (before.task_name, before.schedule, tuple(before.args)) == (
        after.task_name,
        after.schedule,
        tuple(after.args),
    )


def _alike(told: str, wanted: str) -> bool:
    """True when a repr of an event may be that of an entry: list or tuple, cut or not told."""
    if not told or "..." in told or "…" in told:
        return True
    return told.strip("()[]{}").rstrip(", ") == wanted.strip("()[]{}").rstrip(", ")


def _number_text(value: object) -> str:
    return str(value) if isinstance(value, int | float) else ""


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return ""

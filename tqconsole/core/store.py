"""The rows of all tasks the console remembers, within a budget of rows and of bytes.

It is owned by one thread (the UI's): the ingest thread hands it batches. Old rows go in blocks,
plain ones first: failures, retries and revoked tasks have a quota of their own and go last, since
they are what somebody comes to look for.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import inf
from typing import Any

from tqconsole.core.merge import ENDED, PROBLEMS, RESTING, merge
from tqconsole.core.sanitize import clean_name
from tqconsole.core.views import TaskRow
from tqconsole.engine import states

#: Rows kept unless asked otherwise.
ROWS_LIMIT = 100_000
#: Bytes of rows kept unless asked otherwise.
BYTES_LIMIT = 256 * 1024 * 1024
#: Part of the rows that problems may hold against newer plain rows.
PROBLEM_RATIO = 0.25
#: Part of the limit that one eviction frees: rarely and much costs less than often and little.
BLOCK_RATIO = 0.02
#: Bytes of a row without its long texts (measured: slots, floats, id, dict entry, short texts).
ROW_BYTES = 640

#: A task in one of these has begun; when it then is in one of those elsewhere, it begins anew.
_STARTED = frozenset({states.STARTED, "PROGRESS"})
_ANEW = frozenset({states.RECEIVED, states.STARTED})
#: Events that bring no text: what they take away is counted with the next one.
_TEXTLESS = frozenset({"task-started", "task-progress"})


class Store:
    """Task rows by id, oldest first."""

    def __init__(self, rows_limit: int = ROWS_LIMIT, bytes_limit: int = BYTES_LIMIT) -> None:
        self.rows_limit = max(1, rows_limit)
        self.bytes_limit = max(ROW_BYTES, bytes_limit)
        self.bytes_kept = 0
        self.evicted_count = 0
        #: The newest row that ever went, by its sequence: what is newer is here.
        self.evicted_to = -inf
        #: Rows somebody works on, by id: the few that every second's look goes over.
        self.running: dict[str, TaskRow] = {}
        #: Rows whose end was not told yet, by id, oldest first.
        self.unfinished: dict[str, TaskRow] = {}
        self._rows: dict[str, TaskRow] = {}
        self._sequence = 0
        self._problem_count = 0
        self._changed: set[TaskRow] = set()
        self._has_evicted = False
        #: Somebody wants `take_ended`: else it is not counted.
        self.keeps_ended = False
        self._ended: dict[str, TaskRow] = {}
        #: Grows when rows came in between others, so that views must look at all anew.
        self.generation = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[TaskRow]:
        return iter(self._rows.values())

    def get(self, task_id: str) -> TaskRow | None:
        """Return the row of a task, None when it is not kept."""
        return self._rows.get(task_id)

    def rows(self) -> list[TaskRow]:
        """Return all rows, in the order they were first seen."""
        return list(self._rows.values())

    def row_for(self, task_id: str) -> TaskRow:
        """Return the row of a task, a new one when there is none. `task_id` must be clean."""
        row = self._rows.get(task_id)
        if row is None:
            self._sequence += 1
            row = self._rows[task_id] = TaskRow(task_id, self._sequence)
            self.bytes_kept += ROW_BYTES
            self.unfinished[task_id] = row
        return row

    def apply(self, event: dict[str, Any], at: float, worker: str) -> tuple[TaskRow, bool] | None:
        """Fold a task event in; returns its row and whether the event decides its state now.

        None when the event names no task. Call `evict` after a batch.
        """
        task_id = event.get("uuid")
        if not isinstance(task_id, str) or not task_id:
            return None
        # The keys are clean: an id that is one of them need not be looked at.
        row = self._rows.get(task_id) or self.row_for(clean_name(task_id))
        before = row.state
        had_started_on = row.worker if before in _STARTED else ""
        has_decided = merge(row, event, at, worker)
        after = row.state
        if had_started_on and row.worker != had_started_on and after in _ANEW:
            row.lost_by = had_started_on
        if event["type"] not in _TEXTLESS:
            self._count_bytes(row)
        if has_decided and after != before:
            self._problem_count += (after in PROBLEMS) - (before in PROBLEMS)
            self._note_running(row, before)
        self._changed.add(row)
        if self.keeps_ended and after in ENDED:
            self._ended[task_id] = row
        return row, has_decided

    def update(self, row: TaskRow, source: str, **facts: Any) -> None:
        """Set facts of a row that came by another way than events (inspect, results)."""
        before = row.state
        for attribute, value in facts.items():
            setattr(row, attribute, value)
        row.source = source
        row.search = ""
        self._count_bytes(row)
        self._problem_count += (row.state in PROBLEMS) - (before in PROBLEMS)
        self._note_running(row, before)
        if self.keeps_ended and row.state in ENDED:
            self._ended[row.task_id] = row
        self.touch(row)

    def add_past(self, rows: list[TaskRow]) -> None:
        """Put rows of an earlier time, oldest first, before all others; what is here already wins.

        Rows that had not ended wait to be told of: none counts as running on their word.
        """
        past = {row.task_id: row for row in rows}
        for task_id in past.keys() & self._rows.keys():
            _complete(self._rows[task_id], past.pop(task_id))
        for sequence, row in enumerate(past.values(), -len(past)):
            row.sequence = sequence
            self.bytes_kept += ROW_BYTES + row.text_bytes
            self._problem_count += row.state in PROBLEMS
        unfinished = {row.task_id: row for row in past.values() if row.state not in ENDED}
        self.unfinished = {**unfinished, **self.unfinished}
        self._rows = {**past, **self._rows}
        self.generation += 1
        self._has_evicted = True
        self.evict()

    def take_ended(self, limit: int) -> list[TaskRow]:
        """Return up to `limit` rows that ended, or learned more after their end, oldest first."""
        ended = self._ended
        if len(ended) <= limit:
            self._ended = {}
            return list(ended.values())
        task_ids = list(islice(ended, limit))
        return [ended.pop(task_id) for task_id in task_ids]

    def set_lost(self, row: TaskRow, *, is_lost: bool) -> None:
        """Mark a running row whose worker is gone, or take the mark back."""
        row.is_lost = is_lost
        self.touch(row)

    def touch(self, row: TaskRow) -> None:
        """Tell readers that a row changed."""
        row.revision += 1
        self._changed.add(row)

    def evict(self) -> int:
        """Let old rows go when a budget is exceeded; returns how many went."""
        excess = self._excess_count()
        if excess <= 0:
            return 0
        doomed = self._oldest(excess)
        for row in doomed:
            self._drop(row)
        self.evicted_count += len(doomed)
        self.evicted_to = max(self.evicted_to, max(row.sequence for row in doomed))
        self._has_evicted = True
        return len(doomed)

    def take_changes(self) -> tuple[set[TaskRow], bool]:
        """Return the rows that changed since the last call, and whether rows went."""
        changed, has_evicted = self._changed, self._has_evicted
        self._changed, self._has_evicted = set(), False
        return changed, has_evicted

    def oldest_at(self) -> float | None:
        """Return when the oldest row last changed."""
        row = next(iter(self._rows.values()), None)
        return row.updated_at if row is not None and row.updated_at else None

    def _note_running(self, row: TaskRow, before: str) -> None:
        """Keep the two tables right for a row that was in the state `before`."""
        if row.state in ENDED:
            self.unfinished.pop(row.task_id, None)
        elif before in ENDED:
            self.unfinished[row.task_id] = row
        if row.state not in RESTING:
            self.running[row.task_id] = row
        elif before not in RESTING:
            self.running.pop(row.task_id, None)

    def _count_bytes(self, row: TaskRow) -> None:
        text_bytes = _text_bytes(row)
        self.bytes_kept += text_bytes - row.text_bytes
        row.text_bytes = text_bytes

    def _excess_count(self) -> int:
        count = len(self._rows)
        over_rows = count - self.rows_limit
        over_bytes = self.bytes_kept - self.bytes_limit
        if over_rows <= 0 and over_bytes <= 0:
            return 0
        block = max(1, int(self.rows_limit * BLOCK_RATIO))
        mean_bytes = self.bytes_kept / max(1, count)
        by_bytes = 0
        if over_bytes > 0:
            by_bytes = int((over_bytes + self.bytes_limit * BLOCK_RATIO) / mean_bytes) + 1
        return min(count, max(over_rows + block if over_rows > 0 else 0, by_bytes))

    def _oldest(self, wanted: int) -> list[TaskRow]:
        problems_over = self._problem_count - int(self.rows_limit * PROBLEM_RATIO)
        doomed: list[TaskRow] = []
        spared: list[TaskRow] = []
        for row in self._rows.values():
            if len(doomed) >= wanted:
                return doomed
            if row.state in PROBLEMS or row.is_lost:
                if problems_over <= 0:
                    spared.append(row)
                    continue
                problems_over -= 1
            doomed.append(row)
        doomed += spared[: wanted - len(doomed)]
        return doomed

    def _drop(self, row: TaskRow) -> None:
        del self._rows[row.task_id]
        if row.state not in ENDED:
            self.running.pop(row.task_id, None)
            self.unfinished.pop(row.task_id, None)
        self._changed.discard(row)
        self.bytes_kept -= ROW_BYTES + row.text_bytes
        self._problem_count -= row.state in PROBLEMS
        # Views find out by it that the row is no longer kept.
        row.revision = EVICTED


#: `TaskRow.revision` of a row that the store let go.
EVICTED = -1
#: What of a call events of its end do not tell.
_CALL = (
    "name", "queue", "args", "kwargs", "eta", "expires", "root_id", "parent_id", "sent_at",
    "received_at", "started_at",
)  # fmt: skip


def _complete(row: TaskRow, past: TaskRow) -> None:
    """Give a row what only its past knows: the call, and when it began."""
    for name in _CALL:
        if not getattr(row, name):
            setattr(row, name, getattr(past, name))


def _text_bytes(row: TaskRow) -> int:
    args, kwargs, result = row.args, row.kwargs, row.result
    total = len(args) + len(kwargs) + len(result)
    if not (args.isascii() and kwargs.isascii() and result.isascii()):
        # The widest character decides for a whole text: at worst four bytes each.
        total *= 4
    if row.exception:
        total += len(row.exception) + len(row.traceback)
    return total

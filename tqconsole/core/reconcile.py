"""Puts rows right whose end was never told: events get lost, the result store keeps the truth.

The model names the rows it doubts; the poller's thread reads their records; the model takes in
what they say. A record never makes a row younger: only an end replaces what is not ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from tqconsole.core.lookup import exception_text
from tqconsole.core.merge import ENDED
from tqconsole.core.sanitize import clean, clean_lines, clean_name, shown
from tqconsole.core.store import Store
from tqconsole.core.views import TaskRow
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.exceptions import BackendError
from tqconsole.engine.protocol.result import decode_record

#: Seconds without news after which a row that has not ended is doubted.
DOUBT_S = 5.0
#: Rows asked for in one turn, and rows looked at to find them.
ASK_LIMIT, LOOK_LIMIT = 300, 3000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended, by its record, cleaned."""

    task_id: str
    state: str
    result: str
    exception: str
    traceback: str
    done_at: float | None
    name: str
    worker: str


class Doubts:
    """Chooses which rows to ask for: those that run first, then the others in turns."""

    def __init__(self) -> None:
        self._start = 0

    def ids(self, store: Store, now_at: float) -> tuple[str, ...]:
        """Return the ids of rows that may have ended unheard."""
        doubted = [
            row.task_id
            for row in islice(store.running.values(), LOOK_LIMIT)
            if row.is_lost or now_at - row.updated_at > DOUBT_S
        ]
        count = len(store.unfinished)
        self._start = 0 if self._start >= count else self._start
        for row in islice(store.unfinished.values(), self._start, self._start + LOOK_LIMIT):
            if len(doubted) >= ASK_LIMIT:
                break
            self._start += 1
            if row.task_id not in store.running and now_at - row.updated_at > DOUBT_S:
                doubted.append(row.task_id)
        return tuple(doubted[:ASK_LIMIT])


def read_ends(backend: Backend, task_ids: Sequence[str]) -> list[Ended]:
    """Return how these tasks ended, of those whose record says so. Raises: OperationalError."""
    ends: list[Ended] = []
    for task_id, payload in backend.fetch(task_ids).items():
        try:
            record = decode_record(payload)
        except BackendError:
            continue  # An unreadable record says nothing about the task.
        if record.state not in ENDED:
            continue
        is_failure = isinstance(record.result, BaseException)
        ends.append(
            Ended(
                task_id,
                record.state,
                "" if is_failure else shown(record.result),
                clean(exception_text(record.result)) if is_failure else "",
                clean_lines(record.traceback) if is_failure else "",
                record.date_done_at,
                clean_name(record.extended.get("name")),
                clean_name(record.extended.get("worker")),
            )
        )
    return ends


def take_end(store: Store, end: Ended, now_at: float) -> TaskRow | None:
    """Put a row right; returns it when the record told something new."""
    row = store.get(end.task_id)
    if row is None or row.state in ENDED:
        return None
    ended_at = min(now_at, end.done_at) if end.done_at is not None else now_at
    ran_s = ended_at - row.started_at if row.started_at is not None else None
    store.update(
        row,
        "results",
        state=end.state,
        is_lost=False,
        result=end.result,
        exception=end.exception,
        traceback=end.traceback,
        ended_at=ended_at,
        updated_at=max(row.updated_at, ended_at),
        runtime_s=ran_s if ran_s is not None and ran_s >= 0 else None,
        name=row.name or end.name,
        worker=row.worker or end.worker,
    )
    return row

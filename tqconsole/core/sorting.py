"""How the tasks table can be ordered: one key per column, and where unknown values go."""

from __future__ import annotations

from collections.abc import Callable
from itertools import compress
from operator import attrgetter, not_
from typing import Any

from tqconsole.core.views import TaskRow
from tqconsole.engine import states

Key = Callable[[TaskRow], Any]


def _state_rank(row: TaskRow) -> int:
    return states.precedence(row.state)


def _negative_sequence(row: TaskRow) -> int:
    return -row.sequence


#: Sort key -> what it compares. "age" ascending is newest first, as a table of ages reads.
SORT_KEYS: dict[str, Key] = {
    "age": _negative_sequence,
    "state": _state_rank,
    "name": attrgetter("name"),
    "id": attrgetter("task_id"),
    "queue": attrgetter("queue"),
    "worker": attrgetter("worker"),
    "args": attrgetter("args"),
    "runtime": attrgetter("runtime_s"),
    "wait": attrgetter("wait_s"),
    "retries": attrgetter("retries"),
    "sent": attrgetter("sent_at"),
    "received": attrgetter("received_at"),
    "started": attrgetter("started_at"),
    "ended": attrgetter("ended_at"),
    "updated": attrgetter("updated_at"),
    "exception": attrgetter("exception"),
}

#: Keys whose value may be missing: None, or an empty text.
_MAY_BE_MISSING = frozenset(
    {"runtime", "wait", "sent", "received", "started", "ended"}
    | {"queue", "worker", "args", "exception"}
)


def sort_rows(rows: list[TaskRow], sort_key: str, *, is_descending: bool) -> list[TaskRow]:
    """Return the rows in order; what has no value comes last in either direction.

    Rows that are equal keep their order. Raises: KeyError for an unknown key.
    """
    key = SORT_KEYS[sort_key]
    missing: list[TaskRow] = []
    if sort_key in _MAY_BE_MISSING:
        # Work for lists of 100,000: no function of ours is called for a row here.
        values = list(map(key, rows))
        if None in values or "" in values:
            is_known = [value is not None and value != "" for value in values]
            missing = list(compress(rows, map(not_, is_known)))
            rows = list(compress(rows, is_known))
    return [*sorted(rows, key=key, reverse=is_descending), *missing]

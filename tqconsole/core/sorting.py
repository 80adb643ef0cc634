"""How the tasks table can be ordered: one key per column, and where unknown values go."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from math import inf
from operator import attrgetter
from typing import Any

from tqconsole.core.views import TaskRow
from tqconsole.engine import states

Key = Callable[[TaskRow], Any]

_STATE_RANKS = {name: rank for rank, name in enumerate(states.PRECEDENCE) if name}
_CUSTOM_RANK = states.PRECEDENCE.index(None)


def _state_rank(row: TaskRow) -> int:
    return _STATE_RANKS.get(row.state, _CUSTOM_RANK)


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

#: Keys whose value may be None, and those that are texts and may be empty.
_MAY_BE_NONE = frozenset({"runtime", "wait", "sent", "received", "started", "ended"})
_MAY_BE_EMPTY = frozenset({"name", "queue", "worker", "args", "exception"})


def sort_rows(rows: list[TaskRow], sort_key: str, *, is_descending: bool) -> list[TaskRow]:
    """Return the rows in order; what has no value comes last in either direction.

    Rows that are equal keep their order. Raises: KeyError for an unknown key.
    """
    key = SORT_KEYS[sort_key]
    if sort_key in _MAY_BE_NONE:
        key = _with_none_as(-inf if is_descending else inf, key)
    rows = sorted(rows, key=key, reverse=is_descending)
    if sort_key in _MAY_BE_EMPTY and not is_descending:
        # Empty texts sort first: that block goes to the end.
        first = bisect_right(rows, "", key=key)
        rows = rows[first:] + rows[:first]
    return rows


def _with_none_as(worst: float, read: Key) -> Key:
    def key(row: TaskRow) -> float:
        value: float | None = read(row)
        return worst if value is None else value

    return key

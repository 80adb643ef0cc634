"""How the tasks table can be ordered: one key per column, and where unknown values go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tqconsole.core.views import TaskRow
from tqconsole.engine import states

#: Where rows without a number go in ascending order: after all that have one.
_UNKNOWN = float("inf")


def _state_rank(row: TaskRow) -> Any:
    return states.precedence(row.state)


def _negative_sequence(row: TaskRow) -> Any:
    return -row.sequence


def _runtime(row: TaskRow) -> Any:
    return _UNKNOWN if row.runtime_s is None else row.runtime_s


def _wait(row: TaskRow) -> Any:
    wait_s = row.wait_s
    return _UNKNOWN if wait_s is None else wait_s


def _instant(name: str) -> Callable[[TaskRow], Any]:
    def instant(row: TaskRow) -> Any:
        at = getattr(row, name)
        return _UNKNOWN if at is None else at

    return instant


def _attribute(name: str) -> Callable[[TaskRow], Any]:
    def attribute(row: TaskRow) -> Any:
        return getattr(row, name)

    return attribute


#: sort key -> ascending order. "age" ascending is newest first, as a table of ages reads.
SORT_KEYS: dict[str, Callable[[TaskRow], Any]] = {
    "age": _negative_sequence,
    "state": _state_rank,
    "name": _attribute("name"),
    "id": _attribute("task_id"),
    "queue": _attribute("queue"),
    "worker": _attribute("worker"),
    "args": _attribute("args"),
    "runtime": _runtime,
    "wait": _wait,
    "retries": _attribute("retries"),
    "sent": _instant("sent_at"),
    "received": _instant("received_at"),
    "started": _instant("started_at"),
    "ended": _instant("ended_at"),
    "updated": _attribute("updated_at"),
    "exception": _attribute("exception"),
}

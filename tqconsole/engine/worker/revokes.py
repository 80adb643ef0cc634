"""Which tasks must not start any more: by id and by stamp. Bounded in number and in age.

The limits are Celery's (wire.md §6.6): 50,000 ids, three hours. Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqconsole.engine.protocol.header import TaskHeader

#: Ids kept at most (Celery's CELERY_WORKER_REVOKES_MAX).
MAX_REVOKED_COUNT = 50_000
#: Seconds an id is kept (Celery's CELERY_WORKER_REVOKE_EXPIRES).
REVOKED_KEPT_S = 10_800.0


class Revokes:
    """The flagged ids, oldest first, and the flagged stamps."""

    def __init__(self, max_count: int = MAX_REVOKED_COUNT, kept_s: float = REVOKED_KEPT_S) -> None:
        self._max_count = max_count
        self._kept_s = kept_s
        self._flagged_mono: dict[str, float] = {}
        self._stamps: dict[str, set[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._flagged_mono or self._stamps)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._flagged_mono

    def add(self, task_ids: Iterable[str], now_mono: float) -> None:
        """Flag ids; the oldest give way past the limit."""
        for task_id in task_ids:
            self._flagged_mono.pop(task_id, None)
            self._flagged_mono[task_id] = now_mono
        self.purge(now_mono)

    def add_stamps(self, stamps: Mapping[str, Any]) -> None:
        """Flag every value of these stamps; a value may be one or a list."""
        for name, value in stamps.items():
            self._stamps.setdefault(name, set()).update(_texts(value))

    def purge(self, now_mono: float) -> None:
        """Forget what is too old or too much."""
        flagged = self._flagged_mono
        oldest_mono = now_mono - self._kept_s
        for task_id in list(flagged):
            if len(flagged) <= self._max_count and flagged[task_id] > oldest_mono:
                return
            del flagged[task_id]

    def task_ids(self) -> list[str]:
        """Return the flagged ids, oldest first."""
        return list(self._flagged_mono)

    def is_revoked(self, header: TaskHeader) -> bool:
        """True when this task must not start: by its id, or by a stamp it carries."""
        if header.task_id in self._flagged_mono:
            return True
        return bool(self._stamps) and carries_stamp(header, self._stamps)


def carries_stamp(header: TaskHeader, stamps: Mapping[str, Any]) -> bool:
    """True when the task bears one of the values of one of these stamps."""
    carried = header.stamps or {}
    return any(
        name in carried and not _texts(value).isdisjoint(_texts(carried[name]))
        for name, value in stamps.items()
    )


def _texts(value: Any) -> set[str]:
    """Return a stamp's values as text: users write `key=1` for what a task carries as a number."""
    if isinstance(value, list | tuple | set | frozenset):
        return {str(each) for each in value}
    return {str(value)}

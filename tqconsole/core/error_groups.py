"""Groups the failures of a task type by exception class: "412 times OSError" says more than rows.

Exceptions arrive as text, `OSError('no such file')` from Celery's events and `OSError: no such
file` from results. Owned by the UI's thread, like the stats.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from tqconsole.core.type_views import ErrorView

#: Kinds kept for one type: a class name is the task's to make up.
KIND_LIMIT = 30
#: Characters kept of the newest text.
TEXT_CHARS = 300

_KIND = re.compile(r"[A-Za-z_][\w.]*")


def error_kind(text: str) -> str:
    """Return the class of an exception by its text, without its module; "?" where none is told."""
    found = _KIND.match(text)
    return found.group().rpartition(".")[2] or "?" if found else "?"


class ErrorGroups:
    """Counts by kind; the kind that was not seen for longest goes when there are too many."""

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: OrderedDict[str, ErrorView] = OrderedDict()

    def note(self, text: str, task_id: str, now_at: float) -> None:
        """Count one failure or retry."""
        kind = error_kind(text)
        old = self._groups.get(kind)
        count = old.count + 1 if old is not None else 1
        self._groups[kind] = ErrorView(kind, count, now_at, text[:TEXT_CHARS], task_id)
        self._groups.move_to_end(kind)
        if len(self._groups) > KIND_LIMIT:
            self._groups.popitem(last=False)

    def views(self) -> tuple[ErrorView, ...]:
        """Return the groups, the most frequent first."""
        return tuple(sorted(self._groups.values(), key=lambda group: (-group.count, group.kind)))

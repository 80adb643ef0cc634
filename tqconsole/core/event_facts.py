"""What an event says of itself and of its task, cleaned; each thing is made when it is asked for.

A filter asks twenty thousand events for one thing each, and most of them for nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tqconsole.core.merge import number
from tqconsole.core.sanitize import clean, clean_name, shown
from tqconsole.core.views import TaskRow

#: Gives a task's row by its id, None while it is not known.
RowOf = Callable[[str], TaskRow | None]
Event = Mapping[str, Any]


class EventFacts:
    """One event, and what is known of its task now."""

    __slots__ = ("_row_of", "event")

    def __init__(self, event: Event, row_of: RowOf) -> None:
        self.event = event
        self._row_of = row_of

    @property
    def kind(self) -> str:
        """Its type."""
        return clean_name(self.event.get("type"))

    @property
    def worker(self) -> str:
        """Who sent it."""
        return clean_name(self.event.get("hostname"))

    @property
    def task_id(self) -> str:
        """The id of its task; "" when it tells of none."""
        return clean_name(self.event.get("uuid"))

    @property
    def row(self) -> TaskRow | None:
        """The row of its task, None while it is not known."""
        task_id = self.task_id
        return self._row_of(task_id) if task_id else None

    @property
    def name(self) -> str:
        """The name of its task; most events carry the id only, then the row knows it."""
        name = clean_name(self.event.get("name"))
        if name:
            return name
        row = self.row
        return row.name if row is not None else ""

    @property
    def text(self) -> str:
        """The rest of it, in a few words."""
        kind, event = self.kind, self.event
        if kind.startswith("worker-"):
            return _worker_text(event)
        if kind == "task-succeeded":
            runtime_s = number(event.get("runtime"))
            took = f"{runtime_s:.2f} s  " if runtime_s is not None else ""
            return clean(f"{took}{event.get('result') or ''}", 400)
        if kind == "task-progress":
            return clean(f"{event.get('done')} of {event.get('total')}", 200)
        return shown(event.get("exception") or event.get("args"), 400)


def _worker_text(event: Event) -> str:
    parts = [f"{key} {event[key]}" for key in ("active", "processed") if key in event]
    load = event.get("loadavg")
    if isinstance(load, list) and load:
        parts.append(f"load {load[0]:.1f}" if isinstance(load[0], float) else f"load {load[0]}")
    return clean("  ".join(parts), 200)

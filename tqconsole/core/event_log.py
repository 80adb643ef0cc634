"""The newest raw events, for the Events screen, within a budget of lines and bytes.

Lines are made when they are looked at: at ten thousand events a second nobody reads them all.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, overload

from tqconsole.core.event_filter import EventCheck, every_event
from tqconsole.core.merge import number
from tqconsole.core.sanitize import clean, clean_name, clean_tree, shown
from tqconsole.core.views import EventLine, TaskRow

#: Events kept, and bytes of them.
LINE_LIMIT = 20_000
BYTES_LIMIT = 16 * 1024 * 1024
#: Characters of the JSON of one line.
RAW_CHARS = 16_384

RowOf = Callable[[str], TaskRow | None]
#: An event with when it arrived and its size.
Kept = tuple[float, int, Mapping[str, Any]]


class EventLog:
    """A ring of events."""

    def __init__(self, line_limit: int = LINE_LIMIT, bytes_limit: int = BYTES_LIMIT) -> None:
        self._events: deque[Kept] = deque()
        self._line_limit = line_limit
        self._bytes_limit = bytes_limit
        self._bytes = 0
        #: Events that were pushed out by newer ones.
        self.dropped_count = 0

    def __len__(self) -> int:
        return len(self._events)

    def add(self, events: Iterable[Mapping[str, Any]], at: float, event_bytes: int) -> None:
        """Keep events that arrived at `at`; `event_bytes` is the size of one, about."""
        kept = self._events
        for event in events:
            kept.append((at, event_bytes, event))
            self._bytes += event_bytes
        while len(kept) > self._line_limit or (self._bytes > self._bytes_limit and kept):
            self._bytes -= kept.popleft()[1]
            self.dropped_count += 1

    def lines(self, check: EventCheck, limit: int, row_of: RowOf) -> Sequence[EventLine]:
        """Return the newest lines that match, newest first.

        `row_of` gives a task's row by its id: most events carry the id only. Without a filter a
        line is made when it is asked for: of a thousand one page is seen.
        """
        if check is every_event:
            return NewestLines(list(islice(reversed(self._events), limit)), row_of)
        found: list[EventLine] = []
        for line, row in self._newest(row_of):
            if check(line, row):
                found.append(line)
                if len(found) >= limit:
                    break
        return tuple(found)

    def _newest(self, row_of: RowOf) -> Iterator[tuple[EventLine, TaskRow | None]]:
        for kept in reversed(self._events):
            row = _row(kept, row_of)
            yield line_of(kept[2], kept[0], row), row


class NewestLines(Sequence[EventLine]):
    """Lines of events, each made when it is first asked for."""

    def __init__(self, events: Sequence[Kept], row_of: RowOf) -> None:
        self._events = events
        self._row_of = row_of
        self._made: dict[int, EventLine] = {}

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, index: int) -> EventLine: ...

    @overload
    def __getitem__(self, index: slice) -> list[EventLine]: ...

    def __getitem__(self, index: int | slice) -> EventLine | list[EventLine]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        line = self._made.get(index)
        if line is None:
            kept = self._events[index]
            line = self._made[index] = line_of(kept[2], kept[0], _row(kept, self._row_of))
        return line


def _row(kept: Kept, row_of: RowOf) -> TaskRow | None:
    task_id = clean_name(kept[2].get("uuid"))
    return row_of(task_id) if task_id else None


def line_of(event: Mapping[str, Any], at: float, row: TaskRow | None) -> EventLine:
    """Return the line of an event that arrived at `at`, of the task in `row` if it is known."""
    kind = clean_name(event.get("type"))
    task_id = clean_name(event.get("uuid"))
    name = clean_name(event.get("name")) or (row.name if row is not None else "")
    return EventLine(
        at=at,
        kind=kind,
        worker=clean_name(event.get("hostname")),
        name=name,
        task_id=task_id,
        text=_text(kind, event),
        raw_source=partial(_raw, event),
    )


def _text(kind: str, event: Mapping[str, Any]) -> str:
    if kind.startswith("worker-"):
        parts = [f"{key} {event[key]}" for key in ("active", "processed") if key in event]
        load = event.get("loadavg")
        if isinstance(load, list) and load:
            parts.append(f"load {load[0]}")
        return clean("  ".join(parts), 200)
    if kind == "task-succeeded":
        runtime_s = number(event.get("runtime"))
        took = f"{runtime_s:.2f} s  " if runtime_s is not None else ""
        return clean(f"{took}{event.get('result') or ''}", 400)
    if kind == "task-progress":
        return clean(f"{event.get('done')} of {event.get('total')}", 200)
    said = event.get("exception") or event.get("args")
    return shown(said, 400)


def _raw(event: Mapping[str, Any]) -> str:
    text = json.dumps(clean_tree(event, 2048), ensure_ascii=False, default=str)
    return clean(text, RAW_CHARS)

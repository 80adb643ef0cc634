"""The newest raw events, for the Events screen, within a budget of lines and bytes.

Lines are made when they are looked at: at ten thousand events a second nobody reads them all.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tqconsole.core import filter_parser as tree
from tqconsole.core.errors import FilterError
from tqconsole.core.filter_terms import is_subsequence, text_check, unknown_field
from tqconsole.core.merge import number
from tqconsole.core.sanitize import clean, clean_name, clean_tree, shown
from tqconsole.core.views import EventLine

#: Events kept, and bytes of them.
LINE_LIMIT = 20_000
BYTES_LIMIT = 16 * 1024 * 1024
#: Characters of the JSON of one line.
RAW_CHARS = 16_384

_FIELDS = ("type", "worker", "name", "id", "text")
Check = Callable[[EventLine], bool]


class EventLog:
    """A ring of events."""

    def __init__(self, line_limit: int = LINE_LIMIT, bytes_limit: int = BYTES_LIMIT) -> None:
        self._events: deque[tuple[float, int, Mapping[str, Any]]] = deque()
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

    def lines(
        self, expression: str, limit: int, name_of: Callable[[str], str]
    ) -> tuple[EventLine, ...]:
        """Return the newest lines that match, newest first.

        `name_of` gives a task's name by its id: most events do not carry it. Raises: FilterError.
        """
        check = _check(tree.parse(expression))
        found: list[EventLine] = []
        for line in self._newest(name_of):
            if check(line):
                found.append(line)
                if len(found) >= limit:
                    break
        return tuple(found)

    def _newest(self, name_of: Callable[[str], str]) -> Iterator[EventLine]:
        for at, _size, event in reversed(self._events):
            yield line_of(event, at, name_of)


def line_of(event: Mapping[str, Any], at: float, name_of: Callable[[str], str]) -> EventLine:
    """Return the line of an event that arrived at `at`."""
    kind = clean_name(event.get("type"))
    task_id = clean_name(event.get("uuid"))
    name = clean_name(event.get("name")) or (name_of(task_id) if task_id else "")
    return EventLine(
        at=at,
        kind=kind,
        worker=clean_name(event.get("hostname")),
        name=name,
        task_id=task_id,
        text=_text(kind, event),
        raw=_raw(event),
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


def _check(node: tree.Node) -> Check:
    match node:
        case tree.Term():
            return _term(node)
        case tree.Not():
            inner = _check(node.inner)
            return lambda line: not inner(line)
        case tree.All():
            every = [_check(part) for part in node.parts]
            return lambda line: all(check(line) for check in every)
        case tree.Any():
            some = [_check(part) for part in node.parts]
            return lambda line: any(check(line) for check in some)


def _term(term: tree.Term) -> Check:
    if term.operator == "fuzzy":
        needle = term.value.lower()
        return lambda line: is_subsequence(needle, f"{line.kind} {line.name}".lower())
    if not term.field:
        word = term.value.lower()
        return lambda line: word in _searched(line)
    if term.field not in _FIELDS:
        raise unknown_field(term, _FIELDS)
    check = text_check(term)
    attribute = {"type": "kind", "id": "task_id"}.get(term.field, term.field)
    return lambda line: check(getattr(line, attribute))


def _searched(line: EventLine) -> str:
    return f"{line.kind}\n{line.worker}\n{line.name}\n{line.task_id}\n{line.text}".lower()


__all__ = ["EventLog", "FilterError", "line_of"]

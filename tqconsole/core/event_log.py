"""The newest raw events, for the Events screen, within a budget of lines and bytes.

Lines are made when they are looked at: at ten thousand events a second nobody reads them all.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import overload

from tqconsole.core.event_facts import Event, EventFacts, RowOf
from tqconsole.core.event_filter import EventCheck, every_event
from tqconsole.core.sanitize import clean, clean_tree
from tqconsole.core.views import EventLine

#: Events kept, and bytes of them.
LINE_LIMIT = 20_000
BYTES_LIMIT = 16 * 1024 * 1024
#: Characters of the JSON of one line.
RAW_CHARS = 16_384


class _Batch:
    """Events that arrived together; those before `start` were let go."""

    __slots__ = ("at", "event_bytes", "events", "start")

    def __init__(self, at: float, event_bytes: int, events: Sequence[Event]) -> None:
        self.at = at
        self.event_bytes = max(1, event_bytes)
        self.events = events
        self.start = 0


class EventLog:
    """A ring of events, kept as they arrived: an object for each would cost more than its text."""

    def __init__(self, line_limit: int = LINE_LIMIT, bytes_limit: int = BYTES_LIMIT) -> None:
        self._batches: deque[_Batch] = deque()
        self._count = 0
        self._line_limit = line_limit
        self._bytes_limit = bytes_limit
        self._bytes = 0
        #: Events that were pushed out by newer ones.
        self.dropped_count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, events: Sequence[Event], at: float, event_bytes: int) -> None:
        """Keep events that arrived at `at`; `event_bytes` is the size of one, about.

        The sequence is kept as it is and must not change any more.
        """
        if not events:
            return
        batch = _Batch(at, event_bytes, events)
        self._batches.append(batch)
        self._count += len(events)
        self._bytes += len(events) * batch.event_bytes
        while self._batches and (excess := self._excess_count(self._batches[0])) > 0:
            self._drop(self._batches[0], excess)

    def _excess_count(self, oldest: _Batch) -> int:
        """Return how many events are too many, were all as large as those of the oldest batch."""
        over_bytes = self._bytes - self._bytes_limit
        return max(self._count - self._line_limit, -(-over_bytes // oldest.event_bytes))

    def _drop(self, batch: _Batch, count: int) -> None:
        """Let the first events of the oldest batch go, the whole of it if need be."""
        count = min(count, len(batch.events) - batch.start)
        batch.start += count
        if batch.start == len(batch.events):
            self._batches.popleft()
        self._count -= count
        self._bytes -= count * batch.event_bytes
        self.dropped_count += count

    def lines(self, check: EventCheck, limit: int, row_of: RowOf) -> Sequence[EventLine]:
        """Return the newest lines that match, newest first.

        `row_of` gives a task's row by its id: most events carry the id only. Without a filter a
        line is made when it is asked for: of a thousand one page is seen.
        """
        if check is every_event:
            return NewestLines(list(islice(self._newest(), limit)), row_of)
        found: list[EventLine] = []
        for at, event in self._newest():
            facts = EventFacts(event, row_of)
            if check(facts):
                found.append(line_of(facts, at))
                if len(found) >= limit:
                    break
        return tuple(found)

    def _newest(self) -> Iterator[tuple[float, Event]]:
        for batch in reversed(self._batches):
            for index in range(len(batch.events) - 1, batch.start - 1, -1):
                yield batch.at, batch.events[index]


class NewestLines(Sequence[EventLine]):
    """Lines of events, each made when it is first asked for."""

    def __init__(self, events: Sequence[tuple[float, Event]], row_of: RowOf) -> None:
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
            at, event = self._events[index]
            line = self._made[index] = line_of(EventFacts(event, self._row_of), at)
        return line


def line_of(facts: EventFacts, at: float) -> EventLine:
    """Return the line of an event that arrived at `at`."""
    return EventLine(
        at=at,
        kind=facts.kind,
        worker=facts.worker,
        name=facts.name,
        task_id=facts.task_id,
        text=facts.text,
        raw_source=partial(_raw, facts.event),
    )


def _raw(event: Event) -> str:
    text = json.dumps(clean_tree(event, 2048), ensure_ascii=False, default=str)
    return clean(text, RAW_CHARS)

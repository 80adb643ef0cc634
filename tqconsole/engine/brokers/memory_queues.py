"""The queues of the memory broker: order by priority then age, parking, topic patterns."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from tqconsole.engine.protocol.transfer import Delivery, Publication


class Held(msgspec.Struct, eq=False):
    """A message with what the broker knows of it. `number` is its age: lower is older."""

    number: int
    publication: Publication
    queue: str
    deaths: int = 0
    is_redelivered: bool = False
    is_acked: bool = False

    @property
    def priority(self) -> int:
        """0..9, high goes first, as on RabbitMQ."""
        value = self.publication.message.properties.get("priority")
        return min(9, max(0, value)) if isinstance(value, int) else 0

    def delivery(self, tag: str) -> Delivery:
        """Return it as a consumer sees it."""
        return Delivery(
            tag=tag,
            message=self.publication.message,
            queue=self.queue,
            exchange=self.publication.exchange,
            routing_key=self.publication.routing_key,
            is_redelivered=self.is_redelivered,
            deaths=self.deaths,
        )


class MemoryQueue:
    """One queue; its caller holds the server's condition."""

    def __init__(self) -> None:
        self.parked: list[tuple[float, Held]] = []
        self._ready: list[tuple[int, int, Held]] = []

    def add(self, held: Held) -> None:
        """Put in order: priority, then age (so that what is given back stands first)."""
        heapq.heappush(self._ready, (-held.priority, held.number, held))

    def take(self) -> Held | None:
        """Return the next message, None when empty."""
        return heapq.heappop(self._ready)[2] if self._ready else None

    def wake_due(self, now_at: float) -> None:
        """Make ready what is due."""
        due = [held for due_at, held in self.parked if due_at <= now_at]
        if due:
            self.parked = [entry for entry in self.parked if entry[0] > now_at]
        for held in due:
            self.add(held)

    def in_order(self) -> Iterator[Held]:
        """Iterate over what waits, next one first."""
        return (held for _, _, held in sorted(self._ready, key=lambda entry: entry[:2]))

    def ready_count(self) -> int:
        """How many wait."""
        return len(self._ready)

    def by_priority(self) -> tuple[tuple[int, int], ...]:
        """Return (priority, count) pairs, highest first."""
        counts: dict[int, int] = {}
        for rank, _, _ in self._ready:
            counts[-rank] = counts.get(-rank, 0) + 1
        return tuple(sorted(counts.items(), reverse=True))

    def clear(self) -> int:
        """Drop everything and return how many there were."""
        count = len(self._ready) + len(self.parked)
        self._ready.clear()
        self.parked.clear()
        return count


def topic_matches(pattern: str, routing_key: str) -> bool:
    """True when the AMQP topic `pattern` (`*` one word, `#` any number) takes `routing_key`."""
    return pattern == "#" or pattern == routing_key or bool(_compiled(pattern).match(routing_key))


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    words = ["[^.]+" if word == "*" else re.escape(word) for word in pattern.split(".")]
    text = r"\.".join(word if word != re.escape("#") else ".*" for word in words)
    # "#" may stand for no word at all: then its neighbouring dot goes too.
    text = text.replace(r"\..*", r"(?:\..*)?").replace(r".*\.", r"(?:.*\.)?")
    return re.compile(f"{text}\\Z")

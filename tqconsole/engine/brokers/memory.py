"""`memory://`: a broker inside this process, for tests and for a worker in a thread.

Every broker opened under one URL shares one set of queues. One condition guards it all and tells of
every change. A consumer dropped without `close` is not noticed: nothing outlives the process.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from tqconsole.engine.brokers.base import Broker, Capabilities, Consumer, Subscription
from tqconsole.engine.brokers.memory_queues import Held
from tqconsole.engine.brokers.memory_server import MemorySubscription, Server
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Broadcasted,
    DeadLetter,
    Delivery,
    ExchangeSpec,
    GivenBack,
    Handover,
    LiveWorker,
    Parked,
    Publication,
    QueueDepth,
    QueueSpec,
    Riding,
    Settlement,
    Verdict,
)

_SERVERS: dict[str, Server] = {}


class MemoryBroker(Broker):
    """Queues of this process. Lives as long as the process does."""

    transport = "memory"
    capabilities = Capabilities(
        can_give_back=False, knows_workers=True, is_shared_between_processes=False
    )

    def __init__(
        self, url: str, options: dict[str, Any] | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._url = url
        self._options = options or {}
        self._clock = clock
        self._server = _SERVERS.setdefault(url, Server())

    @property
    def url(self) -> str:
        """The URL; it has no password."""
        return self._url

    @property
    def place(self) -> str:
        """One place per URL and process."""
        return self._url

    def connect(self) -> None:
        """Always there."""

    def declare(self, queue: QueueSpec) -> None:
        """Make the queue and bind it."""
        with self._server.changed:
            self._server.queue(queue.name)
            if queue.exchange.name:
                pattern = "#" if queue.exchange.kind == "fanout" else queue.routing_key
                key = (queue.exchange.name, pattern)
                self._server.bindings.setdefault(key, set()).add(queue.name)

    def delete(self, queue_name: str) -> None:
        """Forget the queue."""
        with self._server.changed:
            self._server.queues.pop(queue_name, None)
            for names in self._server.bindings.values():
                names.discard(queue_name)

    def purge(self, queue_name: str) -> int:
        """Drop what waits or is parked."""
        with self._server.changed:
            return self._server.queue(queue_name).clear()

    def publish(self, publications: Sequence[Publication]) -> None:
        """Put all in place at once."""
        with self._server.changed:
            for publication in publications:
                self._server.place_message(publication)
            self._server.tell()

    def consumer(self, queues: Sequence[QueueSpec], worker_name: str) -> Consumer:
        """Register a consumer."""
        for queue in queues:
            self.declare(queue)
        return MemoryConsumer(self, self._server, [queue.name for queue in queues], worker_name)

    def depth(self, queue_name: str) -> QueueDepth:
        """Count what is there."""
        with self._server.changed:
            queue = self._server.queue(queue_name)
            return QueueDepth(
                ready_count=queue.ready_count(),
                unacked_count=sum(
                    held.queue == queue_name
                    for consumer in self._server.consumers
                    for held in consumer.in_hand()
                ),
                parked_count=len(queue.parked),
                dead_count=sum(letter.queue == queue_name for letter in self._server.dead),
                consumer_count=sum(
                    queue_name in consumer.queue_names() for consumer in self._server.consumers
                ),
                by_priority=queue.by_priority(),
            )

    def queue_names(self) -> list[str]:
        """Return every queue."""
        with self._server.changed:
            return sorted(self._server.queues)

    def peek(self, queue_name: str, count: int) -> list[Message]:
        """Look at the next messages."""
        with self._server.changed:
            waiting = self._server.queue(queue_name).in_order()
            return [held.publication.message for held in itertools.islice(waiting, count)]

    def parked(self, queue_names: Sequence[str], limit: int = 1000) -> list[Parked]:
        """Return what waits for its time."""
        with self._server.changed:
            waiting = sorted(
                (due_at, held.number, held)
                for name in queue_names
                for due_at, held in self._server.queue(name).parked
            )
        return [Parked(due_at, held.delivery("")) for due_at, _, held in waiting[:limit]]

    def dead_letters(self, queue_name: str | None = None, limit: int = 1000) -> list[DeadLetter]:
        """Return letters, newest first."""
        with self._server.changed:
            letters = [
                letter
                for letter in reversed(self._server.dead)
                if queue_name is None or letter.queue == queue_name
            ]
        return letters[:limit]

    def replay(self, letter_ids: Sequence[str]) -> int:
        """Put letters back into their queues."""
        with self._server.changed:
            letters = self._take_letters(letter_ids)
            for letter in letters:
                self._server.place_message(Publication(letter.message, letter.queue))
            self._server.tell()
        return len(letters)

    def drop(self, letter_ids: Sequence[str]) -> int:
        """Delete letters."""
        with self._server.changed:
            return len(self._take_letters(letter_ids))

    def broadcast(self, exchange: ExchangeSpec, publications: Sequence[Publication]) -> int | None:
        """Hand to every feed that listens now."""
        heard = 0
        with self._server.changed:
            for publication in publications:
                heard = 0
                for feed in self._server.feeds:
                    if feed.hears(exchange.name, publication.routing_key):
                        feed.add(Broadcasted(publication.routing_key, publication.message))
                        heard += 1
            self._server.tell()
        return heard

    def subscribe(self, queue: QueueSpec, patterns: Sequence[str]) -> Subscription:
        """Listen from now on."""
        wanted = ("#",) if queue.exchange.kind == "fanout" else tuple(patterns)
        return MemorySubscription(self._server, queue.exchange.name, wanted)

    def listener_count(self, exchange: ExchangeSpec, routing_key: str) -> int | None:
        """Count the feeds that would hear it."""
        with self._server.changed:
            return sum(feed.hears(exchange.name, routing_key) for feed in self._server.feeds)

    def live_workers(self) -> list[LiveWorker]:
        """Return who holds a consumer."""
        with self._server.changed:
            names = [one.worker_name for one in self._server.consumers if one.worker_name]
        return [LiveWorker(name, 0, "") for name in names]

    def close(self) -> None:
        """Nothing is open; the queues stay for the process's other brokers."""

    def now(self) -> float:
        """The clock that its consumers share."""
        return self._clock.now()

    def _take_letters(self, letter_ids: Sequence[str]) -> list[DeadLetter]:
        wanted = set(letter_ids)
        found = [letter for letter in self._server.dead if letter.letter_id in wanted]
        for letter in found:
            self._server.dead.remove(letter)
        return found


class MemoryConsumer(Consumer):
    """A hold on queues of this process."""

    def __init__(
        self, broker: MemoryBroker, server: Server, queue_names: list[str], worker_name: str
    ) -> None:
        self.worker_name = worker_name
        self._broker = broker
        self._server = server
        self._names = queue_names
        self._held: dict[str, Held] = {}
        self._seen = -1
        self._turn = -1
        with server.changed:
            server.consumers.append(self)

    def queue_names(self) -> list[str]:
        """Return what it consumes."""
        return self._names

    def in_hand(self) -> list[Held]:
        """Return what it holds."""
        return list(self._held.values())

    def exchange(
        self,
        settled: Sequence[Settlement] = (),
        started: Sequence[Handover] = (),
        wanted: int = 0,
        riding: Riding | None = None,
    ) -> list[Delivery]:
        """Do all under the one condition."""
        with self._server.changed:
            self._seen = self._server.version
            changes = self._write(riding) + self._settle(settled)
            for handover in started:
                if handover.tag in self._held:
                    self._held[handover.tag].is_acked = handover.is_acked
            if changes:
                self._server.tell()
                self._seen = self._server.version
            return self._fetch(wanted)

    def wait(self, timeout_s: float) -> bool:
        """Sleep until something changed or is due."""
        due_at = self.next_due_at()
        if due_at is not None:
            timeout_s = min(timeout_s, max(0.0, due_at - self._broker.now()))
        with self._server.changed:
            is_changed = self._server.changed.wait_for(
                lambda: self._server.version != self._seen or self._is_ready(), timeout_s
            )
            self._seen = self._server.version
        return is_changed

    def fileno(self) -> int | None:
        """Only `wait` can tell."""
        return None

    def next_due_at(self) -> float | None:
        """Return when the next parked delivery is due."""
        with self._server.changed:
            times = [
                due_at for name in self._names for due_at, _ in self._server.queue(name).parked
            ]
        return min(times, default=None)

    def park(self, due: Sequence[tuple[str, float]]) -> None:
        """Let the queue keep them."""
        with self._server.changed:
            for tag, due_at in due:
                held = self._held.pop(tag, None)
                if held is not None:
                    self._server.queue(held.queue).parked.append((due_at, held))
            self._server.tell()

    def renew(self) -> None:
        """There is no lease to renew inside one process."""

    def give_back(self, max_deaths: int) -> GivenBack:
        """Nothing outlives the process, so nobody dies alone."""
        del max_deaths
        return GivenBack()

    def add_queue(self, queue: QueueSpec) -> None:
        """Consume from it too."""
        self._broker.declare(queue)
        if queue.name not in self._names:
            self._names.append(queue.name)

    def cancel_queue(self, queue_name: str) -> None:
        """Consume from it no longer."""
        if queue_name in self._names:
            self._names.remove(queue_name)

    def close(self) -> None:
        """Return what is in hand and was not acknowledged, and leave."""
        with self._server.changed:
            self._put_back([tag for tag, held in self._held.items() if not held.is_acked])
            self._held.clear()
            if self in self._server.consumers:
                self._server.consumers.remove(self)
            self._server.tell()

    def _write(self, riding: Riding | None) -> int:
        if riding is None:
            return 0
        if riding.results:
            raise NotSupportedError("memory:// stores no results; no store rides on it")
        for publication in riding.publications:
            self._server.place_message(publication)
        return len(riding.publications)

    def _settle(self, settled: Sequence[Settlement]) -> int:
        for settlement in settled:
            held = self._held.get(settlement.tag)
            if held is None:
                continue
            if settlement.verdict in (Verdict.RETURN, Verdict.DIED):
                held.deaths += settlement.verdict is Verdict.DIED
                self._put_back([settlement.tag])
                continue
            if settlement.verdict is Verdict.DEAD:
                self._server.dead.append(self._letter(held, settlement))
            del self._held[settlement.tag]
        return len(settled)

    def _letter(self, held: Held, settlement: Settlement) -> DeadLetter:
        return DeadLetter(
            letter_id=str(held.number),
            message=held.publication.message,
            queue=held.queue,
            reason=settlement.reason,
            detail=settlement.detail,
            worker_name=self.worker_name,
            died_at=self._broker.now(),
        )

    def _put_back(self, tags: Sequence[str]) -> None:
        for tag in tags:
            held = self._held.pop(tag)
            held.is_redelivered = True
            held.is_acked = False
            self._server.queue(held.queue).add(held)

    def _fetch(self, wanted: int) -> list[Delivery]:
        deliveries: list[Delivery] = []
        now_at = self._broker.now()
        # A full queue must not starve the others: each is first in its turn.
        self._turn = (self._turn + 1) % max(1, len(self._names))
        for name in self._names[self._turn :] + self._names[: self._turn]:
            queue = self._server.queue(name)
            queue.wake_due(now_at)
            while len(deliveries) < wanted:
                held = queue.take()
                if held is None:
                    break
                tag = str(next(self._server.numbers))
                self._held[tag] = held
                deliveries.append(held.delivery(tag))
        return deliveries

    def _is_ready(self) -> bool:
        now_at = self._broker.now()
        return any(
            due_at <= now_at
            for name in self._names
            for due_at, _ in self._server.queue(name).parked
        )

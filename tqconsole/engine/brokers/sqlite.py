"""The embedded broker: the port on top of `engine/embedded`.

It can do everything the port knows. A task that has expired stays in its queue for a day at most,
since only a worker can report it as revoked; the sweeper takes it after that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tqconsole.engine.brokers.base import Broker, Capabilities, Consumer, Subscription
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.embedded import bindings, chords, inspection, letters, log, publish
from tqconsole.engine.embedded.hold import RENEW_INTERVAL_S, Hold
from tqconsole.engine.embedded.location import locate
from tqconsole.engine.embedded.log import Feed
from tqconsole.engine.embedded.reader import first
from tqconsole.engine.embedded.rows import prepare_all
from tqconsole.engine.embedded.store import Store, open_store
from tqconsole.engine.embedded.writer import Transaction
from tqconsole.engine.exceptions import BrokerUnreachableError, OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Broadcasted,
    ChordEnd,
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
)

#: Messages dropped in one transaction of a purge.
_PURGE_STEP = 5000


class SqliteSubscription(Subscription):
    """A listener of the event log."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def receive(self, timeout_s: float) -> list[Broadcasted]:
        """See `Subscription.receive`."""
        return self._feed.receive(timeout_s)

    def fileno(self) -> int | None:
        """See `Subscription.fileno`."""
        return self._feed.fileno()

    @property
    def missed_count(self) -> int:
        """See `Subscription.missed_count`."""
        return self._feed.missed_count

    def close(self) -> None:
        """See `Subscription.close`."""
        self._feed.close()


class SqliteConsumer(Consumer):
    """A hold on queues of the embedded store."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    def exchange(
        self,
        settled: Sequence[Settlement] = (),
        started: Sequence[Handover] = (),
        wanted: int = 0,
        riding: Riding | None = None,
    ) -> list[Delivery]:
        """See `Consumer.exchange`: one transaction, or none when there is nothing to do."""
        return self._hold.exchange(settled, started, wanted, riding)

    def wait(self, timeout_s: float) -> bool:
        """See `Consumer.wait`."""
        return self._hold.wait(timeout_s)

    def fileno(self) -> int | None:
        """See `Consumer.fileno`: the doorbell; a caller that selects also looks once a second."""
        return self._hold.fileno()

    def next_due_at(self) -> float | None:
        """See `Consumer.next_due_at`."""
        return self._hold.next_due_at()

    def park(self, due: Sequence[tuple[str, float]]) -> None:
        """See `Consumer.park`."""
        self._hold.park(due)

    def renew(self) -> None:
        """See `Consumer.renew`; sweeps the store when it is time."""
        self._hold.renew()

    def give_back(self, max_deaths: int) -> GivenBack:
        """See `Consumer.give_back`; what is lost is ours until it is settled."""
        return self._hold.give_back(max_deaths)

    def add_queue(self, queue: QueueSpec) -> None:
        """See `Consumer.add_queue`."""
        self._hold.add_queue(queue)

    def cancel_queue(self, queue_name: str) -> None:
        """See `Consumer.cancel_queue`."""
        self._hold.cancel_queue(queue_name)

    def close(self) -> None:
        """See `Consumer.close`."""
        self._hold.close()


class SqliteBroker(Broker):
    """A broker in one file of this machine. `url` as in `embedded/location.py`."""

    capabilities = Capabilities(knows_workers=True, can_end_chords=True)
    transport = "sqlite"
    renew_interval_s = RENEW_INTERVAL_S

    def __init__(
        self, url: str, options: Mapping[str, Any] | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._location = locate(url, options)
        self._store = open_store(self._location, clock)

    @property
    def url(self) -> str:
        """See `Broker.url`; there is no password in it."""
        return self._location.url

    @property
    def place(self) -> str:
        """See `Broker.place`: "sqlite:" and the real path."""
        return self._location.place

    @property
    def store(self) -> Store:
        """The store beneath, for those who ask it what no other broker can answer."""
        return self._store

    def connect(self) -> None:
        """See `Broker.connect`: makes the file, or checks that it is ours."""
        try:
            self._store.connect()
        except OperationalError as error:
            raise BrokerUnreachableError(str(error)) from error

    def declare(self, queue: QueueSpec) -> None:
        """See `Broker.declare`."""
        self._store.main.write(lambda it: bindings.declare(it, queue))

    def delete(self, queue_name: str) -> None:
        """See `Broker.delete`."""
        self.purge(queue_name)

        def unit(transaction: Transaction) -> None:
            row = transaction.first("SELECT id FROM queue WHERE name=?", queue_name)
            if row is not None:
                bindings.remove(transaction, [row[0]])

        self._store.main.write(unit)

    def purge(self, queue_name: str) -> int:
        """See `Broker.purge`: in steps, since workers wait while one is made. What is published
        meanwhile stays.
        """
        last = self._store.main.read(lambda it: first(it, "SELECT max(id) FROM message"))
        step = partial(
            bindings.purge_some,
            queue_name=queue_name,
            last_id=last[0] or 0,
            most_count=_PURGE_STEP,
        )
        total_count = 0
        while count := self._store.main.write(step):
            total_count += count
        return total_count

    def publish(self, publications: Sequence[Publication]) -> None:
        """See `Broker.publish`: all or nothing, on the disk when this returns."""
        if publications:
            messages = prepare_all(publications)
            self._store.main.write(lambda it: publish.put(it, messages), is_durable=True)

    def publish_end(self, publications: Sequence[Publication], end: ChordEnd) -> None:
        """See `Broker.publish_end`: one transaction."""
        messages = prepare_all(publications)

        def end_chord(transaction: Transaction) -> None:
            if chords.is_held(transaction, end):
                publish.put(transaction, messages)
                chords.close_chord(transaction, end.group_id)

        self._store.main.write(end_chord, is_durable=True)

    def consumer(self, queues: Sequence[QueueSpec], worker_name: str) -> SqliteConsumer:
        """See `Broker.consumer`."""
        return SqliteConsumer(Hold(self._store, queues, worker_name))

    def depth(self, queue_name: str) -> QueueDepth:
        """See `Broker.depth`."""
        return self._store.main.read(partial(inspection.depth, queue_name=queue_name))

    def queue_names(self) -> list[str]:
        """See `Broker.queue_names`."""
        return self._store.main.read(inspection.queue_names)

    def peek(self, queue_name: str, count: int) -> list[Message]:
        """See `Broker.peek`."""
        return self._store.main.read(partial(inspection.peek, queue_name=queue_name, count=count))

    def parked(self, queue_names: Sequence[str], limit: int = 1000) -> list[Parked]:
        """See `Broker.parked`."""
        wanted = list(queue_names)
        return self._store.main.read(lambda it: inspection.parked(it, wanted, limit))

    def dead_letters(self, queue_name: str | None = None, limit: int = 1000) -> list[DeadLetter]:
        """See `Broker.dead_letters`."""
        return self._store.main.read(lambda it: letters.listed(it, queue_name, limit))

    def replay(self, letter_ids: Sequence[str]) -> int:
        """See `Broker.replay`."""
        return self._store.main.write(lambda it: letters.replay(it, letter_ids), is_durable=True)

    def drop(self, letter_ids: Sequence[str]) -> int:
        """See `Broker.drop`."""
        return self._store.main.write(lambda it: letters.drop(it, letter_ids))

    def broadcast(self, exchange: ExchangeSpec, publications: Sequence[Publication]) -> int:
        """See `Broker.broadcast`; nothing is written when nobody listens."""
        return log.send(self._store, exchange, prepare_all(publications))

    def subscribe(self, queue: QueueSpec, patterns: Sequence[str]) -> SqliteSubscription:
        """See `Broker.subscribe`; the queue's TTL and expiry are the log's own here."""
        return SqliteSubscription(Feed(self._store, queue.exchange, patterns))

    def listener_count(self, exchange: ExchangeSpec, routing_key: str) -> int:
        """See `Broker.listener_count`."""
        return log.listener_count(self._store, exchange.name, routing_key)

    def live_workers(self) -> list[LiveWorker]:
        """See `Broker.live_workers`."""
        return inspection.live_workers(self._store)

    def close(self) -> None:
        """See `Broker.close`."""
        self._store.close()

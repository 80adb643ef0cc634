"""The broker port: what the engine needs of a broker, in batches, and nothing that names one.

One exchange per cycle is the heart of the engine: in as few trips as the broker allows (one for
SQLite and Redis) a consumer settles what has ended, writes down what was handed to run, and
fetches more. Each adapter says in `Capabilities` what it cannot do; callers ask, never guess.
An adapter knows this port and never another adapter. All calls are thread-safe on `Broker`;
a `Consumer` and a `Subscription` belong to one thread each, except `Consumer.renew`.

Errors: `OperationalError` when the broker fails (callers retry with backoff),
`ImproperlyConfigured` when no retry can help. Nothing is swallowed.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tqconsole.engine.exceptions import NotSupportedError
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

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Capabilities(msgspec.Struct, frozen=True):
    """What a broker can do. The caller asks here instead of guessing from a name."""

    can_fanout: bool = True
    can_park: bool = True
    can_peek: bool = True
    can_dead_letter: bool = True
    can_list_parked: bool = True
    can_give_back: bool = True
    knows_listeners: bool = True
    knows_workers: bool = False
    is_shared_between_processes: bool = True
    #: High priorities overtake low ones.
    can_rank: bool = True
    #: What a killed worker had in hand, and had not acknowledged, comes back.
    keeps_unacked: bool = True
    #: What it had acknowledged and begun is on record, and comes with `give_back`.
    keeps_handed: bool = True
    #: `publish_end`, for chords of a store that `rides_on` this broker.
    can_end_chords: bool = False
    #: `Consumer.start`: what starts is noted while an exchange is under way.
    can_start_beside: bool = False


class Subscription(abc.ABC):
    """A private feed of an exchange: it starts now, is never acked and dies with its owner."""

    @abc.abstractmethod
    def receive(self, timeout_s: float) -> list[Broadcasted]:
        """Return what came, oldest first; wait at most `timeout_s` for the first. Never raises for
        undecodable messages: it hands on raw bytes.
        """

    @abc.abstractmethod
    def fileno(self) -> int | None:
        """Return a descriptor that becomes readable when something may be there, or None."""

    @property
    @abc.abstractmethod
    def missed_count(self) -> int:
        """How many messages went by before this reader could read them, 0 where nobody can tell."""

    def beside(self, queue: QueueSpec, patterns: Sequence[str]) -> Subscription:
        """Listen as `Broker.subscribe` does, over this one's connection and for the same thread.

        It ends with this one at the latest, by an OperationalError in `receive`.
        Raises: NotSupportedError where subscriptions have no connections of their own.
        """
        raise NotSupportedError("subscriptions here have no connection to share")

    @abc.abstractmethod
    def close(self) -> None:
        """Leave; what was not received is dropped. May be called twice."""


class Consumer(abc.ABC):
    """One worker's hold on its queues. Made by `Broker.consumer`; used by one thread."""

    @abc.abstractmethod
    def exchange(
        self,
        settled: Sequence[Settlement] = (),
        started: Sequence[Handover] = (),
        wanted: int = 0,
        riding: Riding | None = None,
    ) -> list[Delivery]:
        """Do in one trip: write what rides, settle, note what starts, fetch up to `wanted`.

        Order of effect: riding, settled, started, fetch. A settlement of a delivery that is no
        longer ours changes nothing. The queues take turns to be first, so that a full one starves
        no other; within a queue by priority, then age; what is due of the parked ones is among
        them. Returns at once, also empty.
        Raises: OperationalError; nothing took effect then, call again with the same arguments.
        """

    def begin(
        self,
        settled: Sequence[Settlement] = (),
        started: Sequence[Handover] = (),
        wanted: int = 0,
        riding: Riding | None = None,
    ) -> None:
        """Do the part of an exchange after which what is `started` may start: its write has left.

        `finish` must come next. Raises: as `exchange`.
        """
        self._begun = self.exchange(settled, started, wanted, riding)

    def finish(self) -> list[Delivery]:
        """Return what the exchange that was begun has brought. Raises: as `exchange`."""
        begun, self._begun = self._begun, []
        return begun

    def finish_unread(self) -> Sequence[Any]:
        """As `finish`, of what `read` makes deliveries later: now only their count matters."""
        return self.finish()

    def read(self, unread: Sequence[Any]) -> list[Delivery]:
        """Return the deliveries in what `finish_unread` returned. Never raises: what cannot be read
        is dealt with here.
        """
        return list(unread)

    _begun: list[Delivery] = []  # noqa: RUF012 - replaced, never changed

    def start(self, started: Sequence[Handover]) -> None:
        """Let the note of what starts leave, also between `begin` and `finish`: it may start then.

        Raises: OperationalError; what was begun has failed too then. NotSupportedError without
        `can_start_beside`.
        """
        raise NotSupportedError("what starts goes with an exchange here")

    def has_answered(self) -> bool:
        """Return whether `finish` has nothing to wait for. Never waits itself."""
        return True

    @property
    def answers_later(self) -> bool:
        """True while what was begun waits for an answer, of which `fileno` tells."""
        return False

    @property
    def brings_nothing(self) -> bool:
        """True while what was begun and answers later fetches nothing."""
        return False

    @abc.abstractmethod
    def wait(self, timeout_s: float) -> bool:
        """Sleep until something may be there to fetch, or `timeout_s`; True when it may."""

    @abc.abstractmethod
    def fileno(self) -> int | None:
        """Return a descriptor for a selector that becomes readable when `exchange` may find
        something, or None when only `wait` can tell. Reading it is `exchange`'s business.
        """

    def prepare_wait(self) -> None:  # noqa: B027 - most adapters are always ready
        """Called by who uses `begin` and `finish` before it sleeps on `fileno`: from now on that
        tells of everything that comes. Never raises.
        """

    def caught(self) -> list[Delivery]:
        """Return what has come by itself, without an exchange, and is in our hands; nothing where
        there is no such thing. Called when `fileno` tells of something. Never raises, never waits.
        """
        return []

    def tells_nothing(self) -> bool:
        """Return whether what `fileno` tells of, which is taken in, is nothing to be fetched. Never
        raises, never waits.
        """
        return False

    def take_ring(self) -> bool:
        """Return whether `exchange` may find something of which word came along with an answer:
        `fileno` does not tell of it again, and this only once.
        """
        return False

    @abc.abstractmethod
    def next_due_at(self) -> float | None:
        """Return when the next parked delivery of these queues is due (a hint; epoch seconds)."""

    @abc.abstractmethod
    def park(self, due: Sequence[tuple[str, float]]) -> None:
        """Let the broker keep these deliveries ((tag, due_at)) until due: they are ours no more."""

    def forfeited(self) -> list[str]:
        """Return the tags that were taken from us since the last call: others may have the messages
        by now, so what has not started must not start. None where that is not noticed.
        """
        return []

    @abc.abstractmethod
    def renew(self) -> None:
        """Say that this worker lives (every `Broker.renew_interval_s`). Any thread may call it."""

    @property
    def fears_losses(self) -> bool:
        """False while `give_back` has nothing to find before the next `renew`, as far as that can
        know: somebody who sleeps need not wake for it. Any thread may ask.
        """
        return True

    @abc.abstractmethod
    def give_back(self, max_deaths: int) -> GivenBack:
        """Find consumers that died and give back what they held; also ours of an earlier life.

        A started, not acked delivery counts one death more; at `max_deaths` it is a dead letter.
        """

    @abc.abstractmethod
    def add_queue(self, queue: QueueSpec) -> None:
        """Declare `queue` and consume from it too."""

    @abc.abstractmethod
    def cancel_queue(self, queue_name: str) -> None:
        """Consume from it no longer; what is in hand stays."""

    @abc.abstractmethod
    def close(self) -> None:
        """Return what is still in hand and was not started, and leave. May be called twice."""


class Broker(abc.ABC):
    """A connection to one broker. Cheap to make: it connects on first use. Thread-safe, and
    usable after a fork in the child (it reconnects).
    """

    capabilities: Capabilities
    #: The transport's name as Celery's banner and stats have it: "sqlite", "redis", "amqp", ...
    transport: str
    #: Seconds between two calls of `Consumer.renew`.
    renew_interval_s: float = 5.0
    #: Seconds between two calls of `Consumer.give_back`.
    give_back_interval_s: float = 5.0

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The URL with its password as `**`."""

    @property
    @abc.abstractmethod
    def place(self) -> str:
        """The server and database as one comparable word: a store with the same place may ride."""

    @abc.abstractmethod
    def connect(self) -> None:
        """Make sure that the broker answers.

        Raises: BrokerUnreachableError, ImproperlyConfigured.
        """

    @abc.abstractmethod
    def declare(self, queue: QueueSpec) -> None:
        """Make the queue, its exchange and binding where they do not exist. Idempotent."""

    @abc.abstractmethod
    def delete(self, queue_name: str) -> None:
        """Remove the queue with its messages; unknown is fine."""

    @abc.abstractmethod
    def purge(self, queue_name: str) -> int:
        """Drop the waiting messages (also parked ones) and return how many; in-flight ones stay."""

    @abc.abstractmethod
    def publish(self, publications: Sequence[Publication]) -> None:
        """Put all in place, durably, all or nothing where the broker can; returns when confirmed.

        Raises: OperationalError within the publish timeout; QueueNotFound is never raised: a
        direct publish to an unknown queue makes it.
        """

    def publish_end(self, publications: Sequence[Publication], end: ChordEnd) -> None:
        """Publish what a chord ends in, and close it, in one step; nothing when another task holds
        it by now, or it is closed. So whatever is lost or killed, it is published once.

        Raises: OperationalError; call again then. NotSupportedError without `can_end_chords`.
        """
        raise NotSupportedError(f"{self.transport} publishes and closes a chord in two steps")

    @abc.abstractmethod
    def consumer(self, queues: Sequence[QueueSpec], worker_name: str) -> Consumer:
        """Register a consumer (declares its queues)."""

    @abc.abstractmethod
    def depth(self, queue_name: str) -> QueueDepth:
        """Return how full it is, without cost to workers."""

    def unacked_count(self) -> int | None:
        """Return how much consumers hold of all queues together, parked or not; None: not told."""
        return None

    @abc.abstractmethod
    def queue_names(self) -> list[str]:
        """Return the queues this broker can list (without control and event queues), sorted."""

    @abc.abstractmethod
    def peek(self, queue_name: str, count: int) -> list[Message]:
        """Return the next `count` waiting messages without touching them.

        Raises: NotSupportedError where `can_peek` is False.
        """

    @abc.abstractmethod
    def parked(self, queue_names: Sequence[str], limit: int = 1000) -> list[Parked]:
        """Return what waits for its time, soonest first. Raises: NotSupportedError."""

    @abc.abstractmethod
    def dead_letters(self, queue_name: str | None = None, limit: int = 1000) -> list[DeadLetter]:
        """Return dead letters, newest first, of one queue or all."""

    @abc.abstractmethod
    def replay(self, letter_ids: Sequence[str]) -> int:
        """Put these letters back into their queues, deaths at 0; return how many were found."""

    @abc.abstractmethod
    def drop(self, letter_ids: Sequence[str]) -> int:
        """Delete these letters for good; return how many were found."""

    @abc.abstractmethod
    def broadcast(self, exchange: ExchangeSpec, publications: Sequence[Publication]) -> int | None:
        """Send to whoever is subscribed now; stored for nobody else. Returns how many listened to
        the last one, or None where the broker cannot tell.
        """

    @abc.abstractmethod
    def subscribe(self, queue: QueueSpec, patterns: Sequence[str]) -> Subscription:
        """Listen to `queue.exchange` by topic patterns (`*` one word, `#` any; for fanout "").

        `queue` carries the name, TTL and expiry that brokers with real queues need (wire.md §2).
        """

    @abc.abstractmethod
    def listener_count(self, exchange: ExchangeSpec, routing_key: str) -> int | None:
        """Return how many subscriptions would get that key now, None where nobody can tell."""

    @abc.abstractmethod
    def live_workers(self) -> list[LiveWorker]:
        """Return the workers that hold a consumer here. Raises: NotSupportedError."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give up the connection; a later call opens it again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


#: How an adapter is made: (url, transport options) -> Broker.
BrokerFactory = Callable[[str, dict[str, Any]], Broker]

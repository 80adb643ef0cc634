"""The values that pass between the engine and a broker or result store. They carry no verbs.

They stand below every adapter, so that the port, its adapters and the embedded store share them.
Times are epoch seconds (`..._at`) and float seconds (`..._s`).
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from tqconsole.engine.protocol.message import Message


class ExchangeSpec(msgspec.Struct, frozen=True):
    """An exchange: `name` may be "" (the default one, routing key = queue name)."""

    name: str
    kind: str = "direct"  # direct | topic | fanout | headers
    is_durable: bool = True


class Binding(msgspec.Struct, frozen=True):
    """One way to a queue beside its own: an exchange, a key, and what a headers exchange asks."""

    exchange: ExchangeSpec
    routing_key: str = ""
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class QueueSpec(msgspec.Struct, frozen=True):
    """A queue with its binding, as Celery declares it (wire.md §2). Times in seconds."""

    name: str
    exchange: ExchangeSpec = msgspec.field(default_factory=lambda: ExchangeSpec(""))
    routing_key: str = ""
    is_durable: bool = True
    is_auto_delete: bool = False
    is_exclusive: bool = False
    expires_s: float | None = None
    message_ttl_s: float | None = None
    max_priority: int | None = None
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    #: AMQP only: what its exchange asks of a message's headers, and further ways to it.
    binding_arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    bindings: tuple[Binding, ...] = ()
    #: What has begun does not come back, whatever its task says of acknowledging.
    is_no_ack: bool = False


class Publication(msgspec.Struct, frozen=True, gc=False):
    """A message and where it goes. With exchange "" the routing key is the queue's name.

    `is_plain`: who made it knows that its headers and properties are texts, integers, finite
    floats, bools, None, lists, and dicts with text keys, none of a subclass: no adapter need look.
    """

    message: Message
    routing_key: str
    exchange: str = ""
    is_plain: bool = False


class ResultWrite(msgspec.Struct, frozen=True, gc=False):
    """One result record on its way to the store.

    `record` is the encoded meta record (wire.md §4.1), `reply_to` the message's own (stores use it
    to tell the waiting client), `expires_s` None for "never". A SUCCESS is never overwritten.
    """

    task_id: str
    state: str
    record: bytes
    content_type: str = "application/json"
    reply_to: str = ""
    expires_s: float | None = 86400.0


class Riding(msgspec.Struct, frozen=True):
    """What must be written in the same trip, before the settlements take effect.

    `publications` are retries and links of runs that ended; `results` only when the store said
    `rides_on(broker)`, else the caller has stored them before.
    """

    results: tuple[ResultWrite, ...] = ()
    publications: tuple[Publication, ...] = ()


class ChordEnd(msgspec.Struct, frozen=True):
    """The chord that publications end, and the task that holds it (`Joiner.add_part`)."""

    group_id: str
    task_id: str


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A message in a consumer's hands.

    `tag` means something to its adapter only. `deaths` is how many earlier starts ended in the
    death of the worker or child that ran it.
    """

    tag: str
    message: Message
    queue: str
    exchange: str = ""
    routing_key: str = ""
    is_redelivered: bool = False
    deaths: int = 0


class Verdict(Enum):
    """How a delivery leaves a consumer's hands."""

    #: Done: gone for good.
    ACK = "ack"
    #: Never started, or a user's requeue: back to the queue's head, not counted.
    RETURN = "return"
    #: Started, and the process that ran it died: back to the queue, deaths + 1.
    DIED = "died"
    #: To `<queue>.dead` with reason and detail; a queue with a dead-letter exchange of the user's
    #: gets the broker's own reject instead.
    DEAD = "dead"


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """What becomes of one delivery. `reason` and `detail` are for DEAD."""

    tag: str
    verdict: Verdict
    reason: str = ""
    detail: str = ""


class Handover(msgspec.Struct, frozen=True, gc=False):
    """A delivery is about to start. `is_acked`: early ack, it must not come back, but a record of
    it stays until it is settled, so that a death of this worker can be reported.
    """

    tag: str
    is_acked: bool


class GivenBack(msgspec.Struct, frozen=True):
    """What `give_back` did with the deliveries of dead consumers.

    `returned_count` went back to their queues; `lost` were acknowledged early and had started:
    they do not come back and must be reported; `dead_lettered` died once too often.
    """

    returned_count: int = 0
    lost: tuple[Delivery, ...] = ()
    dead_lettered: tuple[Delivery, ...] = ()
    worker_names: tuple[str, ...] = ()


class Parked(msgspec.Struct, frozen=True):
    """A delivery that waits in the broker for its time."""

    due_at: float
    delivery: Delivery


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was refused or killed its worker too often. `reason` as in protocol.limits."""

    letter_id: str
    message: Message
    queue: str
    reason: str
    detail: str
    worker_name: str
    died_at: float


class QueueDepth(msgspec.Struct, frozen=True):
    """How full a queue is; None means that this broker cannot tell (never shown as 0)."""

    ready_count: int | None
    unacked_count: int | None = None
    parked_count: int | None = None
    dead_count: int | None = None
    consumer_count: int | None = None
    oldest_at: float | None = None
    by_priority: tuple[tuple[int, int], ...] = ()


class Broadcasted(msgspec.Struct, frozen=True):
    """One message that came through an exchange: an event batch, a command or a reply."""

    routing_key: str
    message: Message


class LiveWorker(msgspec.Struct, frozen=True):
    """A consumer that the broker itself knows to be alive (SQLite's bells, Redis' leases)."""

    worker_name: str
    pid: int
    host: str

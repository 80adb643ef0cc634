"""A kombu channel over the embedded store: publish, declare, claim and settle.

Messages stand in the same rows that our own clients and workers use: raw bodies, headers and
properties as they are. Each channel that consumes has a consumer row with a bell (`Hold`), so what
it holds comes back when its process is killed. Used by one thread, as kombu's channels are, except
that messages may be settled from any.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty
from typing import TYPE_CHECKING, Any

from amqp.protocol import queue_declare_ok_t
from kombu.exceptions import ChannelError
from kombu.exceptions import EncodeError as KombuEncodeError
from kombu.transport import virtual
from kombu.transport.base import to_rabbitmq_queue_arguments
from kombu.utils.uuid import uuid

from tqconsole.engine.embedded import exchange as cycle
from tqconsole.engine.embedded import guest, log, publish
from tqconsole.engine.embedded.guest_message import (
    Payload,
    broadcast_payload,
    payload_of,
    publication_of,
)
from tqconsole.engine.embedded.guest_queues import GuestQueues
from tqconsole.engine.embedded.hold import Hold
from tqconsole.engine.embedded.rows import prepared
from tqconsole.engine.embedded.writer import Transaction
from tqconsole.engine.exceptions import EncodeError, NotSupportedError
from tqconsole.engine.protocol.limits import Reason
from tqconsole.engine.protocol.transfer import (
    Delivery,
    ExchangeSpec,
    Settlement,
    Verdict,
)

if TYPE_CHECKING:
    from tqconsole.engine.embedded.kombu_transport import Transport

#: Messages one claim takes at most: with more a batch is no faster.
MOST_CLAIMED = 100
#: The same where no prefetch count is set: whoever takes one and leaves, returns the rest.
UNLIMITED_CLAIM = 16
#: The types of exchanges.
KINDS = ("direct", "topic", "fanout")
_TRANSIENT = 1


class OpenMessages(virtual.QoS):
    """The messages of a channel that wait for their acknowledgement. Settling is thread-safe."""

    channel: StoreChannel

    def ack(self, delivery_tag: str) -> None:
        """Delete a message for good, at once: after this no death brings it back."""
        self._settle(delivery_tag, Verdict.ACK)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Put a message back to its place in the queue, or to the dead letters."""
        self._settle(delivery_tag, Verdict.RETURN if requeue else Verdict.DEAD)

    def until(self, delivery_tag: str) -> list[str]:
        """Return the open tags up to this one, oldest first."""
        open_tags = [tag for tag in self._delivered if tag not in self._dirty]
        if delivery_tag not in open_tags:
            return []
        return open_tags[: open_tags.index(delivery_tag) + 1]

    def restore_unacked(self) -> list[Any]:
        """Return all open messages to their queues."""
        self._flush()
        tags = list(self._delivered)
        self._delivered.clear()
        self.channel.settle(tags, Verdict.RETURN)
        return []

    def forget(self) -> None:
        """Let go of all without settling any."""
        self._delivered.clear()
        self._dirty.clear()

    def _settle(self, delivery_tag: str, verdict: Verdict) -> None:
        # A tag of an earlier connection: its message was returned and is not ours to settle.
        if delivery_tag in self._delivered and delivery_tag not in self._dirty:
            self.channel.settle([delivery_tag], verdict)
            self._quick_ack(delivery_tag)
            self.channel.wake()


class StoreChannel(GuestQueues, virtual.Channel):
    """A channel. `connection` is its transport, None once it is closed."""

    QoS = OpenMessages
    supports_fanout = True
    #: Bodies are stored as they are; kombu's options about that have no meaning here.
    body_encoding = None  # type: ignore[assignment]  # kombu's own is a name
    from_transport_options = ()  # type: ignore[assignment]  # kombu's has two options

    def __init__(self, connection: Transport, **options: Any) -> None:
        super().__init__(connection, **options)
        self._store = connection.store
        self._hold: Hold | None = None
        self._turn: deque[str] = deque()
        self._no_ack: set[str] = set()
        self._claimed: deque[Delivery] = deque()
        self._pid = os.getpid()

    # -- publishing

    def basic_publish(
        self, message: Payload, exchange: str, routing_key: str, **_options: Any
    ) -> None:
        """Put a message in place; when this returns it is on the disk, unless it is transient.

        Raises: OperationalError; kombu's EncodeError for headers that cannot be stored.
        """
        publication = publication_of(message, exchange or "", routing_key or "")
        try:
            row = prepared(publication)
        except EncodeError as error:
            raise KombuEncodeError(str(error)) from error
        if self._transport.is_logged(publication.exchange):
            log.send(self._store, ExchangeSpec(publication.exchange), [row])
            return
        is_durable = publication.message.properties.get("delivery_mode") != _TRANSIENT
        self._store.main.write(lambda it: publish.put(it, [row]), is_durable=is_durable)

    def _put(self, queue: str, message: Payload, **_options: Any) -> None:
        self.basic_publish(message, "", queue)

    def _put_fanout(
        self, exchange: str, message: Payload, routing_key: str, **_options: Any
    ) -> None:
        self.basic_publish(message, exchange, routing_key)

    # -- declaring

    def exchange_declare(  # type: ignore[override]  # kombu calls it by keywords
        self,
        exchange: str | None = None,
        type: str = "direct",  # noqa: A002 - kombu's signature
        **options: Any,
    ) -> None:
        """Note an exchange; only its bindings are stored, so one bound by others is known too.

        Raises: NotSupportedError for a type that sqlite has not.
        """
        if type and type not in KINDS:
            raise NotSupportedError(
                f"exchange {exchange!r}: sqlite has no {type} exchanges; use {', '.join(KINDS)}"
            )
        if options.get("passive") and self._bindings(exchange or ""):
            return
        super().exchange_declare(exchange, type, **options)

    def prepare_queue_arguments(
        self, arguments: dict[str, Any] | None, **options: Any
    ) -> dict[str, Any]:
        """Return `expires`, `message_ttl` and the like as RabbitMQ's arguments."""
        prepared_arguments: dict[str, Any] = to_rabbitmq_queue_arguments(arguments or {}, **options)
        return prepared_arguments

    def queue_declare(
        self,
        queue: str | None = None,
        passive: bool = False,  # noqa: FBT001, FBT002 - kombu's signature
        **options: Any,
    ) -> Any:
        """Make a queue, or only look for it; return its name, messages and consumers.

        Raises: kombu's ChannelError (404) for a passive look at an unknown one.
        """
        name = queue or f"amq.gen-{uuid()}"
        if not passive:
            self._new_queue(name, **options)
        elif not self._has_queue(name):
            raise _not_found("queue", name, "Channel.queue_declare")
        found = self._store.main.read(partial(guest.counts, queue_name=name))
        return queue_declare_ok_t(name, *(found or (0, 0)))

    # -- consuming

    def basic_consume(
        self,
        queue: str,
        no_ack: bool,  # noqa: FBT001 - kombu's signature
        callback: Callable[[Any], Any],
        consumer_tag: str,
        **options: Any,
    ) -> None:
        """Deliver this queue's messages to `callback` from now on."""
        if queue not in self._transport.log_queues:
            self._settle_declaration(queue)
            spec = self._store.main.read(partial(guest.described, queue_name=queue))
            self._own_hold().add_queue(spec)
            self._turn.append(queue)
            if no_ack:
                self._no_ack.add(queue)
        super().basic_consume(queue, no_ack, callback, consumer_tag, **options)
        self.wake()

    def basic_cancel(self, consumer_tag: str) -> None:
        """Deliver no more; what was claimed and not delivered goes back."""
        self._mind_forks()
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue is None or queue in self._active_queues:
            return
        if queue in self._transport.log_queues:
            self._transport.close_log_queue(queue)
            return
        self._no_ack.discard(queue)
        if queue in self._turn:
            self._turn.remove(queue)
        left = [one.tag for one in self._claimed if one.queue == queue]
        self._claimed = deque(one for one in self._claimed if one.queue != queue)
        self.settle(left, Verdict.RETURN)
        if self._hold is not None:
            self._hold.cancel_queue(queue)

    def take(self) -> tuple[Payload, str] | None:
        """Return the next message for a consumer of this channel, and its queue.

        None when there is none or the prefetch count is reached. One claim fetches a batch.
        """
        if self._hold is None or not self._turn:
            return None
        # Also when nothing may be fetched: a bell that is not drained keeps a selector awake.
        may_find = self._hold.wait(0.0)
        if not self._claimed and may_find:
            self._claim(self._hold)
        if not self._claimed:
            return None
        delivery = self._claimed.popleft()
        if delivery.queue in self._no_ack:
            self.settle([delivery.tag], Verdict.ACK)
        return payload_of(delivery), delivery.queue

    def basic_get(self, queue: str, no_ack: bool = False, **_options: Any) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        """Return the next message of a queue, None when it is empty."""
        try:
            payload = self._get(queue)
        except Empty:
            return None
        message = self.Message(payload, channel=self)
        if not no_ack:
            self.qos.append(message, message.delivery_tag)
        elif queue not in self._transport.log_queues:
            self.settle([str(message.delivery_tag)], Verdict.ACK)
        return message

    def _get(self, queue: str, timeout: float | None = None) -> Payload:
        if queue in self._transport.log_queues:
            received = self._transport.log_queues[queue].take()
            if received is None:
                raise Empty
            return broadcast_payload(*received)
        self._settle_declaration(queue)
        hold = self._own_hold()
        claimed = self._claim_from(hold, [queue], 1)
        if not claimed:
            raise Empty
        return payload_of(claimed[0])

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Acknowledge a message, or all up to it."""
        for tag in self.qos.until(delivery_tag) if multiple else [delivery_tag]:
            self.qos.ack(tag)

    def settle(self, tags: Sequence[str], verdict: Verdict) -> None:
        """Write what becomes of messages. What is ours no more is left alone. Thread-safe."""
        if not tags:
            return
        detail = "a kombu consumer rejected it" if verdict is Verdict.DEAD else ""
        plan = cycle.plan_of(
            [Settlement(tag, verdict, Reason.REJECTED, detail) for tag in tags], (), None
        )
        worker_name, bells = self._worker_name, str(self._store.bells())
        self._store.main.write(lambda it: cycle.carry_out(it, plan, worker_name, bells))

    def wake(self) -> None:
        """Make the transport look again: there may be room for more. Thread-safe."""
        if self.connection is not None:
            self.connection.wake()

    @property
    def hold(self) -> Hold | None:
        """The consumer row and bell of this channel, None while it consumes nothing."""
        return self._hold

    @property
    def has_consumers(self) -> bool:
        """Whether it consumes from a queue with rows."""
        return bool(self._turn)

    def reopen(self) -> None:
        """Register anew: in a forked child, where the hold is the parent's."""
        self._mind_forks()
        for queue in self._turn:
            spec = self._store.main.read(partial(guest.described, queue_name=queue))
            self._own_hold().add_queue(spec)

    def close(self) -> None:
        """Return everything that is not acknowledged, and leave. May be called twice."""
        self._mind_forks()
        hold, transport = self._hold, self.connection
        try:
            super().close()
        finally:
            self._hold = None
            self._turn.clear()
            if hold is not None:
                if transport is not None:
                    transport.forget(hold.fileno())
                hold.close()

    # -- beneath

    def _mind_forks(self) -> None:
        """In a forked child forget the hold and the messages: they are the parent's."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._hold = None
            self._claimed.clear()
            self.qos.forget()

    @property
    def _worker_name(self) -> str:
        return self.connection.node_name if self.connection is not None else ""

    def _own_hold(self) -> Hold:
        if self._hold is None:
            self._hold = Hold(self._store, (), self._worker_name)
            self._transport.on_first_hold()
        return self._hold

    def _claim(self, hold: Hold) -> None:
        free_count = self.qos.can_consume_max_estimate()
        wanted = UNLIMITED_CLAIM if free_count is None else min(free_count, MOST_CLAIMED)
        if wanted > 0:
            self._claimed.extend(self._claim_from(hold, list(self._turn), wanted))
            # Who was first is last next time: a full queue must not starve the others.
            self._turn.rotate(-1)

    def _claim_from(self, hold: Hold, queues: Sequence[str], wanted: int) -> list[Delivery]:
        def unit(transaction: Transaction) -> list[Delivery] | None:
            return guest.claim(transaction, hold.consumer_id, queues, wanted)

        claimed = self._store.main.write(unit)
        if claimed is None:
            # The lease was lost meanwhile; others have what we held.
            hold.renew()
            claimed = self._store.main.write(unit)
        return claimed or []


def _not_found(kind: str, name: str, method: str) -> ChannelError:
    return ChannelError(f"NOT_FOUND - no {kind} {name!r}", (50, 10), method, "404")

"""The declaring half of a kombu channel: queues, bindings and sizes. No kombu in here.

Queues stand in the tables that our own side uses. Mailboxes and event queues are the exception:
bound to an exchange that is served from the event log, they have no rows (`LogQueue`). Since only
the binding tells, an auto-delete queue is made when it is bound or used.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from tqconsole.engine.embedded import bindings, guest
from tqconsole.engine.embedded.guest_message import spec_of
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.transfer import ExchangeSpec

if TYPE_CHECKING:
    from tqconsole.engine.embedded.kombu_transport import Transport
    from tqconsole.engine.embedded.store import Store


logger = logging.getLogger(__name__)

#: Arguments of RabbitMQ's that would change what happens to messages, and have no meaning here.
_WITHOUT_MEANING = ("x-max-length", "x-max-length-bytes", "x-overflow")


class GuestQueues:
    """What a channel inherits. The names and signatures are kombu's virtual channels'."""

    #: The transport, None once the channel is closed.
    connection: Transport | None
    _store: Store

    def queue_bind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Any = None,
        **_options: Any,
    ) -> None:
        """Bind a queue to an exchange."""
        self._queue_bind(exchange or "amq.direct", routing_key or "", None, queue)

    def _queue_bind(self, exchange: str, routing_key: str, _pattern: Any, queue: str) -> None:
        spec = ExchangeSpec(exchange, self._kind_of(exchange))
        if self._transport.is_logged(exchange):
            self._transport.log_queue(queue).bind(spec, routing_key)
            self._transport.transient.pop(queue, None)
            return
        self._settle_declaration(queue)
        self._store.main.write(lambda it: guest.bind(it, queue, spec, routing_key))

    def queue_unbind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Any = None,
        **_options: Any,
    ) -> None:
        """Take a binding away."""
        if queue in self._transport.log_queues:
            self._transport.log_queues[queue].unbind(exchange or "", routing_key)
            return
        self._store.main.write(lambda it: guest.unbind(it, queue, exchange or "", routing_key))

    def queue_delete(
        self,
        queue: str,
        if_unused: bool = False,  # noqa: FBT001, FBT002 - kombu's signature
        if_empty: bool = False,  # noqa: FBT001, FBT002 - kombu's signature
        **_options: Any,
    ) -> int:
        """Delete a queue with its messages and bindings; return how many messages it had."""
        self._transport.transient.pop(queue, None)
        if queue in self._transport.log_queues:
            self._transport.close_log_queue(queue)
            return 0
        deleted_count = self._store.main.write(
            lambda it: guest.delete(it, queue, if_unused=if_unused, if_empty=if_empty)
        )
        return deleted_count or 0

    def _delete(self, queue: str, *_meta: Any, **_options: Any) -> None:
        self.queue_delete(queue)

    def exchange_delete(
        self,
        exchange: str,
        if_unused: bool = False,  # noqa: FBT001, FBT002 - kombu's signature
        nowait: bool = False,  # noqa: FBT001, FBT002 - kombu's signature; it never waits
    ) -> None:
        """Forget an exchange and its bindings; the queues stay, as in AMQP."""
        bound = self._bindings(exchange)
        if if_unused and bound:
            return
        for _, _, routing_key, queue in bound:
            self.queue_unbind(queue, exchange, routing_key)
        self._transport.exchanges.pop(exchange, None)

    def get_table(self, exchange: str) -> list[tuple[str, Any, str]]:
        """Return (routing key, pattern, queue) of an exchange's bindings, whoever made them."""
        return [(key, None, queue) for _, _, key, queue in self._bindings(exchange)]

    def list_bindings(self) -> list[tuple[str, str, str]]:
        """Return (queue, exchange, routing key) of all bindings."""
        return [(queue, exchange, key) for exchange, _, key, queue in self._bindings(None)]

    def _bindings(self, exchange: str | None) -> list[tuple[str, ...]]:
        return self._store.main.read(partial(guest.table, exchange=exchange))

    def _kind_of(self, exchange: str) -> str:
        declared = self._transport.exchanges.get(exchange)
        if declared is not None:
            return str(declared["type"])
        return next((kind for _, kind, _, _ in self._bindings(exchange)), "direct")

    def _new_queue(self, queue: str, **options: Any) -> None:
        spec = spec_of(queue, options)
        for name in _WITHOUT_MEANING:
            if name in spec.arguments:
                logger.warning("queue %s: sqlite has no %s; the queue is not bounded", queue, name)
        if spec.is_auto_delete:
            # It may be a mailbox or an event queue, which have no rows: its binding will tell.
            self._transport.transient[queue] = spec
        else:
            self._store.main.write(lambda it: bindings.declare(it, spec))

    def _settle_declaration(self, queue: str) -> None:
        """Make a queue that was declared and waits for the binding or the use that tells."""
        spec = self._transport.transient.pop(queue, None)
        if spec is not None:
            self._store.main.write(lambda it: bindings.declare(it, spec))

    def _has_queue(self, queue: str, **_options: Any) -> bool:
        if queue in self._transport.transient or queue in self._transport.log_queues:
            return True
        return self._store.main.read(partial(guest.counts, queue_name=queue)) is not None

    def _size(self, queue: str) -> int:
        found = self._store.main.read(partial(guest.counts, queue_name=queue))
        return found[0] if found else 0

    def _purge(self, queue: str) -> int:
        if queue in self._transport.log_queues:
            return self._transport.log_queues[queue].purge()
        return self._store.main.write(lambda it: guest.purge(it, queue))

    @property
    def _transport(self) -> Transport:
        if self.connection is None:
            raise OperationalError("the channel is closed")
        return self.connection

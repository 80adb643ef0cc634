"""The worker's end of the broadcast commands: requests in, answers out.

It belongs to the worker's loop, which selects on `fileno()` and calls `poll`. What is not for this
node, or is not a request at all, goes by without a trace but a log line.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import LamportClock
from tqconsole.engine.control.selection import is_addressed
from tqconsole.engine.exceptions import EncodeError, RefusedError
from tqconsole.engine.protocol.control import Request, decode_request, encode_reply
from tqconsole.engine.protocol.mailboxes import CELERYS, Mailboxes
from tqconsole.engine.protocol.transfer import ExchangeSpec, Publication

logger = logging.getLogger(__name__)


class Mailbox:
    """A node's subscription to the control exchange. Used by one thread.

    `lamport` is the mailbox's own clock: Celery keeps it apart from the app's (wire.md §6.6).
    """

    def __init__(
        self,
        broker: Broker,
        node: str,
        lamport: LamportClock | None = None,
        mailboxes: Mailboxes = CELERYS,
    ) -> None:
        self._broker = broker
        self._node = node
        self._lamport = lamport or LamportClock()
        self._mailboxes = mailboxes
        #: Others of this thread may listen beside it.
        self.subscription = broker.subscribe(mailboxes.of_node(node), [""])

    def fileno(self) -> int | None:
        """Return a descriptor that becomes readable when a request may be there, or None."""
        return self.subscription.fileno()

    def poll(self, timeout_s: float = 0.0) -> list[Request]:
        """Return the requests for this node, oldest first; wait at most `timeout_s`.

        Raises: OperationalError when the broker fails.
        """
        requests = []
        for broadcasted in self.subscription.receive(timeout_s):
            try:
                request = decode_request(broadcasted.message, self._mailboxes.accepted_commands)
            except RefusedError as error:
                logger.warning("Control request dropped: %s", error)
                continue
            self._lamport.adjust(request.clock)
            if is_addressed(self._node, request.destination, request.pattern, request.matcher):
                requests.append(request)
        return requests

    def answer(self, request: Request, value: Any) -> None:
        """Send the reply, if the request wants one.

        What cannot be serialised is sent as its repr. Raises: OperationalError.
        """
        if request.ticket is None or not request.reply_key:
            return
        clock = self._lamport.forward()
        try:
            message = encode_reply(
                self._node, value, request.ticket, clock, self._mailboxes.control_serializer
            )
        except EncodeError:
            message = encode_reply(self._node, _with_reprs(value), request.ticket, clock)
        own = self._mailboxes.replies
        name = request.reply_exchange or own.name
        exchange = ExchangeSpec(name, own.kind, own.is_durable)
        self._broker.broadcast(exchange, [Publication(message, request.reply_key, name)])

    def close(self) -> None:
        """Leave the exchange. May be called twice."""
        self.subscription.close()


def _with_reprs(value: Any) -> Any:
    """Return `value` with every leaf that JSON does not know as its repr."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _with_reprs(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_reprs(item) for item in value]
    return repr(value)

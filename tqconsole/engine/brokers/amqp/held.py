"""A delivery in a worker's hands, and our own marks in a message's headers.

RabbitMQ tells that a message was given out before, not whether it had started. Two headers of ours
travel with a copy: how often a start ended in a death, and which delivery a copy stands for.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tqconsole.engine.amqp_server.forms import Forms
from tqconsole.engine.amqp_server.inbound import Delivered
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.sealed import SealedMessage
from tqconsole.engine.protocol.transfer import Delivery

DEATHS, COPY_OF = "tq-deaths", "tq-copy"
#: What begins the names of queues and exchanges that only we use.
OWN_PREFIX = "tq."
#: Headers by which RabbitMQ tells where a message was dead-lettered.
_TRACE, _FIRST, _LAST = "x-death", "x-first-death-", "x-last-death-"


class Held(msgspec.Struct):
    """A delivery. `number` is the server's, of the channel it came over."""

    tag: str
    number: int
    queue: str
    delivered: Delivered
    #: It was fetched by itself, outside the window.
    is_pulled: bool = False
    message: Message | None = None
    deaths: int = 0
    #: Its headers say that it was given out before.
    is_marked: bool = False
    #: Acknowledged early: the server knows it no longer, we do until it is settled.
    is_acked: bool = False
    #: What is published in its stead is there already; only the server has still to let go.
    is_moved: bool = False
    #: A copy stands for it while it runs (suspects.py).
    has_copy: bool = False

    def read(self, forms: Forms) -> Delivery:
        """Return what the engine sees of it. Raises: RefusedError for an unreadable header."""
        if self.message is None:
            self.message, deaths = without_marks(forms.read(self.delivered))
            self.is_marked, self.deaths = deaths is not None, deaths or 0
        delivered = self.delivered
        return Delivery(
            self.tag,
            self.message,
            self.queue,
            delivered.exchange,
            delivered.routing_key,
            self.is_suspect,
            self.deaths,
        )

    @property
    def is_suspect(self) -> bool:
        """Whether an earlier start of it may have killed its worker."""
        return self.delivered.is_redelivered or self.is_marked

    @property
    def marks(self) -> dict[str, Any]:
        """What is published in its stead must say: the server takes that for a new message."""
        return {DEATHS: self.deaths}


def without_marks(message: Message) -> tuple[Message, int | None]:
    """Return a message as its sender made it, and how many deaths it has seen; None where nothing
    says that it was given out before.
    """
    if type(message) is SealedMessage:
        return message, None
    headers = message.headers
    if not (DEATHS in headers or COPY_OF in headers or _TRACE in headers):
        return message, None
    kept = {name: value for name, value in headers.items() if name not in (DEATHS, COPY_OF)}
    return (
        Message(
            message.body,
            message.content_type,
            message.content_encoding,
            _without_our_trace(kept),
            message.properties,
        ),
        _count(headers[DEATHS]) if DEATHS in headers else None,
    )


def _count(deaths: Any) -> int:
    return deaths if type(deaths) is int and 0 <= deaths < 2**31 else 0


def _without_our_trace(headers: dict[str, Any]) -> dict[str, Any]:
    """Take out what RabbitMQ wrote when a message left one of our own queues."""
    trace = headers.get(_TRACE)
    if not isinstance(trace, list) or not any(map(_is_ours, trace)):
        return headers
    kept = {
        name: value
        for name, value in headers.items()
        if name != _TRACE and not name.startswith((_FIRST, _LAST))
    }
    others = [it for it in trace if not _is_ours(it)]
    return {**kept, _TRACE: others} if others else kept


def _is_ours(death: Any) -> bool:
    return isinstance(death, dict) and str(death.get("queue", "")).startswith(OWN_PREFIX)

"""Broadcast commands and their replies: kombu's pidbox on the wire (wire.md §6)."""

from __future__ import annotations

from typing import Any

import msgspec

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.event import event_mailbox
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS, Limits, Reason
from tqconsole.engine.protocol.mailboxes import CELERYS
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import JSON_ONLY, decoded_payload
from tqconsole.engine.protocol.transfer import QueueSpec
from tqconsole.engine.serialization import encode

__all__ = [
    "PIDBOX",
    "REPLIES",
    "Reply",
    "Request",
    "decode_reply",
    "decode_request",
    "encode_reply",
    "encode_request",
    "event_mailbox",
    "reply_mailbox",
    "worker_mailbox",
]

_MATCHERS = frozenset({"glob", "pcre"})


#: Where commands and their replies go when no setting says otherwise.
PIDBOX, REPLIES = CELERYS.commands, CELERYS.replies


def worker_mailbox(node: str) -> QueueSpec:
    """Return the queue in which a worker finds commands, as Celery declares it (wire.md §2)."""
    return CELERYS.of_node(node)


def reply_mailbox(oid: str) -> QueueSpec:
    """Return the queue in which a caller finds replies; its routing key is the caller's oid."""
    return CELERYS.of_caller(oid)


class Request(msgspec.Struct, frozen=True):
    """A command to all workers, to `destination`, or to those whose name fits `pattern`.

    `matcher` is "glob" or "pcre". Without `ticket` nobody replies (a cast). `expires_at` 0: never.
    """

    method: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    destination: tuple[str, ...] | None = None
    pattern: str | None = None
    matcher: str | None = None
    ticket: str | None = None
    reply_exchange: str = REPLIES.name
    reply_key: str = ""
    expires_at: float = 0.0
    clock: int = 0


class Reply(msgspec.Struct, frozen=True):
    """One worker's answer."""

    ticket: str
    node: str
    value: Any
    clock: int = 0


def encode_request(request: Request, serializer: str = "json") -> Message:
    """Return the message for the exchange of the commands. Raises: EncodeError."""
    body: dict[str, Any] = {
        "method": request.method,
        "arguments": request.arguments,
        "destination": None if request.destination is None else list(request.destination),
        "pattern": request.pattern,
        "matcher": request.matcher,
    }
    if request.ticket is not None:
        body["ticket"] = request.ticket
        body["reply_to"] = {
            "exchange": request.reply_exchange,
            "routing_key": request.reply_key,
        }
    content_type, encoding, payload = encode(body, serializer)
    headers = {"clock": request.clock, "expires": request.expires_at}
    return Message(payload, content_type, encoding, headers, {"delivery_mode": 2})


def decode_request(
    message: Message, accept: frozenset[str] = JSON_ONLY, limits: Limits = DEFAULT_LIMITS
) -> Request:
    """Return the command in a message. Raises: RefusedError only."""
    body = _map_of(message, accept, limits)
    arguments = body.get("arguments") or {}
    if not isinstance(arguments, dict) or not all(isinstance(key, str) for key in arguments):
        raise _refused("arguments are not a map of names")
    method = _text(body, "method", limits)
    if not method:
        raise _refused("no method")
    matcher = _text(body, "matcher", limits)
    if matcher is not None and matcher not in _MATCHERS:
        raise _refused("unknown matcher")
    reply_to = body.get("reply_to") or {}
    if not isinstance(reply_to, dict):
        raise _refused("reply_to is not a map")
    return Request(
        method=method,
        arguments=arguments,
        destination=_destination(body.get("destination")),
        pattern=_text(body, "pattern", limits),
        matcher=matcher,
        ticket=_text(body, "ticket", limits),
        reply_exchange=_text(reply_to, "exchange", limits) or "",
        reply_key=_text(reply_to, "routing_key", limits) or "",
        expires_at=float(_count(message.headers.get("expires"))),
        clock=int(_count(message.headers.get("clock"))),
    )


def encode_reply(
    node: str, value: Any, ticket: str, clock: int, serializer: str = "json"
) -> Message:
    """Return the message of one worker's answer. Raises: EncodeError."""
    content_type, encoding, payload = encode({node: value}, serializer)
    headers = {"ticket": ticket, "clock": clock}
    return Message(payload, content_type, encoding, headers, {"delivery_mode": 1})


def decode_reply(
    message: Message, accept: frozenset[str] = JSON_ONLY, limits: Limits = DEFAULT_LIMITS
) -> Reply:
    """Return the answer in a message. Raises: RefusedError only."""
    body = _map_of(message, accept, limits)
    if len(body) != 1:
        raise _refused("not one node's answer")
    node, value = next(iter(body.items()))
    if not isinstance(node, str) or not node.isprintable() or len(node) > limits.name_bytes:
        raise _refused("not a node's name")
    ticket = _text(message.headers, "ticket", limits)
    return Reply(ticket or "", node, value, int(_count(message.headers.get("clock"))))


def _map_of(message: Message, accept: frozenset[str], limits: Limits) -> dict[Any, Any]:
    body = decoded_payload(message, accept, limits)
    if not isinstance(body, dict):
        raise _refused(f"a {type(body).__name__}, not a map")
    return body


def _text(fields: dict[Any, Any], key: str, limits: Limits) -> str | None:
    value = fields.get(key)
    if value is None:
        return None
    # Replies are addressed by these: they become keys, queue names and log lines.
    if not isinstance(value, str) or not value.isprintable() or len(value) > limits.name_bytes:
        raise _refused(f"{key} is not a name")
    return value


def _destination(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(node, str) for node in value):
        raise _refused("destination is not a list of names")
    return tuple(value)


def _count(value: Any) -> float:
    """Return a header's number, 0 for none: nothing hangs on it but order and a deadline."""
    # A comparison refuses NaN too.
    if type(value) in (int, float) and 0 <= value < 2**63:
        number: float = value
        return number
    return 0


def _refused(detail: str) -> RefusedError:
    return RefusedError(Reason.BAD_REQUEST, detail)

"""kombu's envelope with our marks: it was given out before, and so often that killed somebody.

The first is kombu's own header; the second is a header of ours, which Celery's workers carry along.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.envelope import from_envelope, to_envelope
from tqconsole.engine.protocol.identity import numbered_id
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.sealed import SealedMessage, open_usual
from tqconsole.engine.protocol.transfer import Delivery, Publication
from tqconsole.engine.serialization import decode_json, encode_json

#: Envelopes below this are never too large, whatever is in them.
_USUAL_BYTES = 1 << 20
_REDELIVERED, _DEATHS = "redelivered", "tq-deaths"


#: What the tags of our fanout messages begin with: whoever of ours listens has a copy in a list.
_COPIED = "tqc:"


def written(publication: Publication, *, is_copied: bool = False) -> bytes:
    """Return the envelope of a publication. Raises: EncodeError.

    `is_copied`: queues of ours get it besides those who listen to its exchange.
    """
    tag = f"{_COPIED}{numbered_id()}" if is_copied else numbered_id()
    return to_envelope(
        publication.message,
        publication.exchange,
        publication.routing_key,
        tag,
        is_plain=publication.is_plain,
    )


def delivery_of(envelope: bytes, tag: str, queue: str) -> Delivery:
    """Return the delivery in an envelope. Raises: RefusedError only."""
    usual = open_usual(envelope) if len(envelope) < _USUAL_BYTES else None
    if usual is not None:
        # Without our marks, or it would not be a usual one.
        exchange, routing_key, _ = usual.address
        return Delivery(tag, usual, queue, exchange, routing_key)
    message, exchange, routing_key, _ = from_envelope(envelope)
    return Delivery(tag, message, queue, exchange, routing_key, *_take_marks(message))


def raw_delivery(envelope: bytes, tag: str, queue: str) -> Delivery:
    """Return a delivery of what is no envelope: its bytes as they are."""
    return Delivery(tag, Message(envelope, "application/data", "binary"), queue, "", queue)


def read(envelope: bytes) -> Message:
    """Return the message in an envelope; the bytes as they are when it is none."""
    try:
        message = from_envelope(envelope)[0]
    except RefusedError:
        return raw_delivery(envelope, "", "").message
    _take_marks(message)
    return message


def _take_marks(message: Message) -> tuple[bool, int]:
    """Take our marks out of a message and return whether it was given out, and its deaths."""
    if type(message) is SealedMessage:
        return False, 0
    headers = message.headers
    return bool(headers.pop(_REDELIVERED, False)), _count(headers.pop(_DEATHS, 0))


def heard_priority(envelope: bytes) -> Any:
    """Return the priority of what was heard on a channel; None where a queue of ours has it."""
    try:
        fields = decode_json(envelope)
        properties = fields["properties"]
        if str(properties.get("delivery_tag")).startswith(_COPIED):
            return None
    except (RefusedError, KeyError, TypeError, AttributeError):
        return 0
    return properties.get("priority") or 0


class Marked(msgspec.Struct, frozen=True):
    """An envelope that goes back: marked, with what decides where it goes."""

    envelope: bytes
    priority: Any
    deaths: int


def marked(envelope: bytes, death_count: int) -> Marked:
    """Return the envelope as given out before, `death_count` deaths more; junk stays as it is."""
    try:
        fields = decode_json(envelope)
    except RefusedError:
        return Marked(envelope, 0, 0)
    headers = fields.get("headers") if isinstance(fields, dict) else None
    properties = fields.get("properties") if isinstance(fields, dict) else None
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        return Marked(envelope, 0, 0)
    deaths = _count(headers.get(_DEATHS)) + death_count
    headers[_REDELIVERED] = True
    if deaths:
        headers[_DEATHS] = deaths
    address = properties.get("delivery_info")
    if isinstance(address, dict):
        address[_REDELIVERED] = True
    return Marked(encode_json(fields), properties.get("priority"), deaths)


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**31 else 0

"""A dead letter as it lies in a plain queue: the message, with what became of it in one header.

For brokers that have nothing but queues (RabbitMQ, kombu's transports).
"""

from __future__ import annotations

import uuid
from typing import Any

from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import DeadLetter

#: What the name of a queue of letters ends with.
LETTERS_SUFFIX = ".dead"
_CAUSE = "tq-dead"


def new_letter_id() -> str:
    """Return an id for a letter."""
    return uuid.uuid4().hex


def to_letter(letter: DeadLetter) -> Message:
    """Return what is published to the queue of letters."""
    cause = {
        "id": letter.letter_id,
        "reason": str(letter.reason),
        "detail": letter.detail,
        "worker": letter.worker_name,
        "at": letter.died_at,
        "queue": letter.queue,
    }
    return _with_headers(letter.message, {**letter.message.headers, _CAUSE: cause})


def from_letter(message: Message, queue_name: str) -> DeadLetter:
    """Return a letter and what it was before, whoever wrote it."""
    headers = dict(message.headers)
    cause = headers.pop(_CAUSE, None)
    cause = cause if isinstance(cause, dict) else {}
    died_at = cause.get("at")
    return DeadLetter(
        letter_id=_text(cause, "id"),
        message=_with_headers(message, headers),
        queue=queue_name,
        reason=_text(cause, "reason"),
        detail=_text(cause, "detail"),
        worker_name=_text(cause, "worker"),
        died_at=float(died_at) if isinstance(died_at, int | float) else 0.0,
    )


def _with_headers(message: Message, headers: dict[str, Any]) -> Message:
    return Message(
        message.body, message.content_type, message.content_encoding, headers, message.properties
    )


def _text(cause: dict[str, Any], key: str) -> str:
    value = cause.get(key)
    return value if isinstance(value, str) else ""

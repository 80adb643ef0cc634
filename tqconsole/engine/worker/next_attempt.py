"""The next attempt of a call whose process died: the same message, one retry more."""

from __future__ import annotations

from tqconsole.engine.protocol.instant import iso_instant
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Delivery, Publication
from tqconsole.engine.worker.values import Entry


def may_retry(entry: Entry) -> bool:
    """Return True when a task that retries what was lost has a retry left."""
    most = entry.policy.max_retries
    return most is None or entry.header.retries < most


def next_attempt(delivery: Delivery, retries: int, due_at: float) -> Publication:
    """Return the call once more, for `due_at` (epoch seconds), to the queue that it came from.

    The body was not decoded and stays as it is.
    """
    message = delivery.message
    headers = {**message.headers, "retries": retries, "eta": iso_instant(due_at)}
    again = Message(
        bytes(message.body),
        message.content_type,
        message.content_encoding,
        headers,
        dict(message.properties),
    )
    return Publication(again, delivery.queue)

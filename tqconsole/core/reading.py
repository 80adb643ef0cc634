"""Makes what the screens show of messages that lie in a queue or among the dead letters.

Their bytes are anybody's: what cannot be read is shown by its headers, or as unreadable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tqconsole.core.lookup import call_of_message
from tqconsole.core.sanitize import clean, clean_name, shown
from tqconsole.core.views import DeadLetterView, PeekedMessage, QueuePeek
from tqconsole.engine.protocol.limits import Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import DeadLetter

#: Name shown for a message that is no task.
UNREADABLE = "(not a task)"


def peeked(queue: str, messages: Sequence[Message]) -> QueuePeek:
    """Return the messages of a queue, and how many there are of each type, most first."""
    shown_messages = tuple(_peeked(message) for message in messages)
    counts = Counter(message.name for message in shown_messages)
    by_type = tuple(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
    return QueuePeek(clean_name(queue), shown_messages, by_type)


#: Reason of a dead letter -> what it means, for letters that say no more.
_REASONS: dict[str, str] = {
    Reason.UNKNOWN_TASK: "the worker that took it knows no such task",
    Reason.WORKER_LOST: "its process died each time",
    Reason.REJECTED: "the task rejected it",
}


def letter_view(letter: DeadLetter) -> DeadLetterView:
    """Return what the screens show of a dead letter."""
    name, args, kwargs = _call(letter.message)
    return DeadLetterView(
        letter_id=letter.letter_id,
        task_id=clean_name(letter.message.headers.get("id")),
        name=name,
        queue=clean_name(letter.queue),
        reason=clean_name(letter.reason),
        detail=_why(letter, name),
        worker=clean_name(letter.worker_name),
        died_at=letter.died_at,
        args=args,
        kwargs=kwargs,
    )


def _why(letter: DeadLetter, name: str) -> str:
    """Return why it died: the worker's words, ours where those only repeat the task's name."""
    detail = clean(letter.detail, 1000)
    return detail if detail and detail != name else _REASONS.get(letter.reason, detail)


def _peeked(message: Message) -> PeekedMessage:
    headers = message.headers
    name, args, kwargs = _call(message)
    priority, retries = message.properties.get("priority"), headers.get("retries")
    return PeekedMessage(
        task_id=clean_name(headers.get("id")),
        name=name,
        args=args,
        kwargs=kwargs,
        eta=clean_name(headers.get("eta")),
        retries=retries if isinstance(retries, int) else 0,
        origin=clean_name(headers.get("origin")),
        priority=priority if isinstance(priority, int) else None,
        size_bytes=len(message.body),
    )


def _call(message: Message) -> tuple[str, str, str]:
    """Return name, args and kwargs: the real ones where the body can be read, else the reprs."""
    headers = message.headers
    call = call_of_message(message)
    if call is not None:
        return call.name, shown(tuple(call.args)), shown(call.kwargs)
    name = clean_name(headers.get("task")) or UNREADABLE
    return name, clean(headers.get("argsrepr")), clean(headers.get("kwargsrepr"))

"""Stamps: what is revoked by them, as typed, and which waiting calls carry them.

No event and no answer of a worker tells the stamps of a task; the messages that wait do. So a look
at the queues is what can be known before a revoke goes out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tqconsole.core.errors import ActionError
from tqconsole.core.sanitize import clean, clean_name
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.exceptions import EngineError, RefusedError
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import JSON_ONLY
from tqconsole.engine.protocol.task import read_header, upgrade
from tqconsole.engine.worker.revokes import carries_stamp

#: Messages of a queue, and queues, that one look goes through at most.
MESSAGES_LIMIT, QUEUES_LIMIT = 500, 50


@dataclass(frozen=True, slots=True)
class Stamped:
    """What waits and carries one of some stamps: (queue, task name, count), most first.

    `looked_at` messages of `queue_count` queues were read. `error` says why none could be.
    """

    found: tuple[tuple[str, str, int], ...] = ()
    looked_at: int = 0
    queue_count: int = 0
    #: Some queue holds more than was read of it.
    is_partial: bool = False
    error: str = ""

    @property
    def count(self) -> int:
        """How many carry one."""
        return sum(count for _, _, count in self.found)


def read_stamps(text: str) -> dict[str, str]:
    """Return name -> value of `name=value ...`. Raises: ActionError naming the word."""
    stamps: dict[str, str] = {}
    for word in text.split():
        name, is_given, value = word.partition("=")
        if not (is_given and name and value):
            raise ActionError(f"a stamp is written name=value, not {word!r}")
        if name in stamps:
            raise ActionError(f"{name} is given twice; a stamp has one value here")
        stamps[name] = value
    if not stamps:
        raise ActionError("name one stamp at least, as name=value")
    return stamps


def find_stamped(broker: Broker, queue_names: Sequence[str], stamps: Mapping[str, str]) -> Stamped:
    """Look through what waits, taking nothing. Never raises."""
    if not broker.capabilities.can_peek:
        return Stamped(error="on this broker nothing can be looked at without being taken")
    counts: Counter[tuple[str, str]] = Counter()
    looked_at, is_partial = 0, len(queue_names) > QUEUES_LIMIT
    names = queue_names[:QUEUES_LIMIT]
    try:
        for queue_name in names:
            messages = broker.peek(queue_name, MESSAGES_LIMIT)
            looked_at += len(messages)
            is_partial = is_partial or len(messages) >= MESSAGES_LIMIT
            for message in messages:
                task_name = _name_if_stamped(message, stamps)
                if task_name:
                    counts[clean_name(queue_name), task_name] += 1
    except EngineError as error:
        return Stamped(error=clean(str(error), 300))
    found = tuple((queue, name, count) for (queue, name), count in counts.most_common())
    return Stamped(found, looked_at, len(names), is_partial)


def _name_if_stamped(message: Message, stamps: Mapping[str, str]) -> str:
    try:
        header = read_header(upgrade(message, JSON_ONLY, DEFAULT_LIMITS), DEFAULT_LIMITS)
    except RefusedError:
        return ""
    return clean_name(header.task_name) if carries_stamp(header, stamps) else ""

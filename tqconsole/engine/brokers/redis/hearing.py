"""The fanout queues of one consumer: what Celery publishes on their channels goes into their lists.

Celery's clients only publish such a message: who does not listen has none. What is heard becomes a
message like any other, in the queue's list, before anything else is done. Used by one thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from tqconsole.engine.brokers.redis import lua
from tqconsole.engine.brokers.redis.envelope import heard_priority
from tqconsole.engine.brokers.redis.fanout import channel_globs
from tqconsole.engine.brokers.redis.keys import Keys
from tqconsole.engine.brokers.redis.routing import PASSING_S, is_passing
from tqconsole.engine.protocol.transfer import QueueSpec
from tqconsole.engine.redis_server.link import Link

#: Seconds for which a copy is remembered: several consumers of one queue hear the same message.
_MEMORY_S = 30
#: A pattern and what came by it, as the bell brings them.
Heard = tuple[bytes, bytes]


class Hearing:
    """Knows the channels of the fanout queues, and keeps what could not be written yet."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._queues: dict[str, QueueSpec] = {}
        self._known_globs: tuple[str, ...] = ()
        self._unwritten: list[tuple[str, str, int, bytes]] = []

    def add(self, queue: QueueSpec) -> None:
        """Listen for this queue too, when it is a fanout exchange's."""
        if queue.exchange.kind == "fanout":
            self._queues[queue.name] = queue
            self._note_globs()

    def remove(self, queue_name: str) -> None:
        """Listen for it no longer."""
        self._queues.pop(queue_name, None)
        self._note_globs()

    @property
    def globs(self) -> tuple[str, ...]:
        """The channel patterns of all of them."""
        return self._known_globs

    @property
    def may_hear(self) -> bool:
        """Whether something may have been heard that is to be written."""
        return bool(self._known_globs or self._unwritten)

    def write(self, heard: Iterable[Heard]) -> None:
        """Put what was heard into the lists. Raises: OperationalError; the next call tries again,
        and nothing is there twice.
        """
        for glob, envelope in heard:
            self._unwritten += self._copies(glob.decode(errors="replace"), envelope)
        if self._unwritten:
            words = [word for copy in self._unwritten for word in copy]
            self._link.script(lua.HEAR, [_MEMORY_S, len(self._unwritten), *words])
            self._unwritten = []

    def _copies(self, glob: str, envelope: bytes) -> Iterable[tuple[str, str, int, bytes]]:
        priority = heard_priority(envelope) if envelope else None
        if priority is None:
            return
        digest = hashlib.sha1(envelope, usedforsecurity=False).hexdigest()
        for name, queue in self._queues.items():
            if glob in self._globs(queue):
                life_ms = PASSING_S * 1000 if is_passing(queue) else 0
                place = self._keys.list_for(name, priority)
                yield self._keys.heard(name, digest), place, life_ms, envelope

    def _note_globs(self) -> None:
        found = (it for queue in self._queues.values() for it in self._globs(queue))
        self._known_globs = tuple(dict.fromkeys(found))

    def _globs(self, queue: QueueSpec) -> list[str]:
        return channel_globs(self._keys, queue.exchange, ())

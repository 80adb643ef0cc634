"""A connection on which a Redis server tells of records, used by one wait after another.

What is there already is asked for in the write that subscribes. A wait that has heard all that it
waited for leaves its channels as they are, since nothing more will be told on them: the next one
lets go of them in its own write.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis

from tqconsole.engine.clock import Clock
from tqconsole.engine.redis_server.address import Address
from tqconsole.engine.redis_server.link import Command, Link

#: Channels of one command.
_CHUNK = 1_000
#: Bytes of the answers to UNSUBSCRIBE and SUBSCRIBE beside a channel's name, and to MGET, for who
#: is told of nothing; a few more or less only wake too early.
_LEFT_BYTES, _HEARD_BYTES = (
    len(">3\r\n$11\r\nunsubscribe\r\n$52\r\n\r\n:0\r\n"),
    len(">3\r\n$9\r\nsubscribe\r\n$52\r\n\r\n:1\r\n"),
)
#: Channels that are left as they are until somebody listens again.
_MOST_LEFT = 16


class Ear:
    """Listens to one set of channels at a time. Raises: OperationalError. Used by one thread."""

    def __init__(self, address: Address, clock: Clock) -> None:
        self._link = Link(address, clock)
        #: The connection that what follows is true of.
        self._socket: Any = None
        self._channels: frozenset[str] = frozenset()
        self._left: Sequence[str] = ()
        #: The keys of each question that is not answered yet, None where nobody waits for it.
        self._asked: deque[Sequence[str] | None] = deque()

    @property
    def is_open(self) -> bool:
        """Whether it hears anything."""
        return self._link.is_open

    def listen(self, channels: Sequence[str]) -> None:
        """Listen to these from now on, and ask for what is there: a record's key is its channel."""
        opened = self._link.connect()
        if opened is not self._socket:
            self._socket, self._left = opened, ()
            self._asked.clear()
        chunks = [channels]
        if not 0 < len(channels) <= _CHUNK:
            chunks = [channels[at : at + _CHUNK] for at in range(0, len(channels), _CHUNK)]
        commands: list[Command] = [("UNSUBSCRIBE", *self._left)] if self._left else []
        commands += [("SUBSCRIBE", *names) for names in chunks]
        commands += [("MGET", *names) for names in chunks]
        self._link.send(commands, quiet_bytes(self._left, channels) + 1)
        self._left = ()
        self._channels = frozenset(channels)
        self._asked.extend(chunks)

    def take(self, timeout_s: float) -> list[tuple[str, bytes]]:
        """Return (channel, record) of what has been told; wait at most `timeout_s` for something.

        What tells of no record is something too.
        """
        told: list[tuple[str, bytes]] = []
        for answer in self._link.receive(timeout_s):
            if isinstance(answer, hiredis.PushNotification):
                if answer[0] == b"message":
                    channel = answer[1].decode(errors="replace")
                    # Others are of a wait that is over: nobody would ask for them.
                    if channel in self._channels:
                        told.append((channel, answer[2]))
            elif self._asked:
                names = self._asked.popleft()
                if names is not None and isinstance(answer, list):
                    told += [it for it in zip(names, answer, strict=True) if it[1]]
        return told

    def leave(self, *, is_over: bool) -> None:
        """Listen to them no more. `is_over`: nothing more will be told on them."""
        channels, self._channels = self._channels, frozenset()
        if self._asked:
            self._asked = deque([None] * len(self._asked))
        if is_over and len(channels) <= _MOST_LEFT:
            self._left = tuple(channels)
        else:
            self._link.send([("UNSUBSCRIBE",)])

    def close(self) -> None:
        """Hang up."""
        self._link.close()


def quiet_bytes(left: Sequence[str], channels: Sequence[str]) -> int:
    """Return how many bytes answer `listen` where nothing is told yet."""
    if len(channels) > _MOST_LEFT:
        return 0
    names_bytes = sum(map(len, left)) + sum(map(len, channels))
    answers_bytes = len(left) * _LEFT_BYTES + len(channels) * (_HEARD_BYTES + len("_\r\n"))
    return names_bytes + answers_bytes + len("*1\r\n")

"""A fetch that waits in the server for the next message of one list.

An idle consumer that is told of a message, asks for it and gets it has waited for the server twice.
So the fetch is put there beforehand, on a connection of its own, behind a command that blocks until
the list has something and moves that from its end to the same end: nothing changes. The message
comes with the first answer; that it is in our hands is written in the same step, as always.

Whatever becomes of the connection, a fetch that waits carries a number, and the server does not
carry it out when the lease has ended or an exchange with a later number has been made.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from tqconsole.engine.brokers.redis import lua
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import EngineError, OperationalError
from tqconsole.engine.redis_server.address import Address
from tqconsole.engine.redis_server.link import Command, Link

#: Seconds that a fetch waits: who has had nothing for longer is idle, and is told by the bell.
WAIT_S = 5.0
#: Seconds in which nothing is put there after the server refused it.
_REFUSED_S = 30.0
#: What waits answers with the message, which the fetch brings as well: that need not travel twice.
_UNANSWERED: Command = ("CLIENT", "REPLY", "SKIP")


class Catch:
    """The connection, and at most one fetch that waits. Used by one thread."""

    def __init__(self, address: Address, clock: Clock) -> None:
        self._link = Link(address, clock)
        self._clock = clock
        self._overdue_mono = float("inf")
        #: When it was refused last, and the socket on which it waits.
        self._refused_mono: float | None = None
        self._readable: socket.socket | None = None
        self._knows_script = False

    @property
    def is_welcome(self) -> bool:
        """Whether nothing has spoken against it of late."""
        refused_mono = self._refused_mono
        return refused_mono is None or self._clock.mono() - refused_mono > _REFUSED_S

    def put(self, list_name: str, words: Sequence[str | bytes | int | float]) -> socket.socket:
        """Let the fetch of these words wait for this list; return what is readable when it has
        waited. Raises: OperationalError; whether it waits is not known then.
        """
        try:
            if self._readable is None or not self._link.is_open:
                self._link.connect()
                self._readable, self._knows_script = self._link.descriptor(), False
            self._link.send(self._commands(list_name, words))
        except EngineError as error:
            self._refused_mono = self._clock.mono()
            raise OperationalError(str(error)) from error
        self._knows_script = True
        self._overdue_mono = self._clock.mono() + WAIT_S + self._link.timeout_s
        return self._readable

    def _commands(
        self, list_name: str, words: Sequence[str | bytes | int | float]
    ) -> tuple[Command, ...]:
        waiting: Command = ("BLMOVE", list_name, list_name, "RIGHT", "RIGHT", WAIT_S)
        if self._knows_script:
            return _UNANSWERED, waiting, (b"EVALSHA", lua.CATCH.sha, b"0", *words)
        return _UNANSWERED, waiting, (b"EVAL", lua.CATCH.text, b"0", *words)

    def take(self) -> Sequence[Any] | None:
        """Return the messages that the fetch brought; empty when it was too late, or somebody else
        was first, None while it waits. Raises: OperationalError; what it brought is not known then.
        """
        answers = self._link.receive(0.0)
        if not answers:
            if self._clock.mono() > self._overdue_mono:
                raise self._link.broken(TimeoutError("timed out"))
            return None
        answer = answers[0]
        # Refused, or answered also where it was told not to, so that one could be taken for the
        # other. More may follow, and belong to nothing that will be asked.
        if len(answers) > 1 or not (answer is None or isinstance(answer, list)):
            self._refused_mono, self._knows_script = self._clock.mono(), False
            self._link.close()
            raise OperationalError(f"a fetch cannot wait in this server: {answer!r:.200}")
        return answer or ()

    def close(self) -> None:
        """Hang up."""
        self._link.close()

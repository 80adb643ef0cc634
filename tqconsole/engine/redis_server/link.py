"""One connection to a Redis server: commands packed and answers read by hiredis, in one write each.

Thread-safe: one caller at a time. A fork's child makes a connection of its own.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import hiredis

from tqconsole.engine.alternates import first_answering
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import (
    EngineError,
    ImproperlyConfigured,
    NotAdmittedError,
    OperationalError,
)
from tqconsole.engine.fork_locks import own_pid
from tqconsole.engine.redis_server import errors
from tqconsole.engine.redis_server.address import Address
from tqconsole.engine.redis_server.opening import RefusedError
from tqconsole.engine.redis_server.sentinel import open_server
from tqconsole.engine.redis_server.wire import Wire

#: A command: its words.
Command = tuple[str | bytes | int | float, ...]
#: After this long without use, seconds, it is looked whether the server has hung up.
_IDLE_S = 1.0
#: RPOP with a count, ZADD with GT and client tracking as they are used here.
_OLDEST = (6, 2)
#: With more read than this its reader is given up, for the room it keeps.
_LARGE_BYTES = 2**20
#: The reader's word for "not complete yet"; None is an answer.
_NOTHING = object()


class Script:
    """A Lua script that the server keeps by the hash of its text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode()


class Link:
    """A connection. Made on first use. Raises OperationalError or ImproperlyConfigured only."""

    def __init__(
        self, address: Address, clock: Clock = SYSTEM_CLOCK, *, repeats_timeouts: bool = False
    ) -> None:
        """`repeats_timeouts`: ask once more what was not answered, for who may ask twice."""
        self._wire: Wire | None = None
        self.address = address
        self._repeats_timeouts = repeats_timeouts
        self._clock = clock
        self._lock = threading.RLock()
        self._reader = self._new_reader()
        self._fed_bytes = 0
        self._timeout_s = float(address.connection["socket_timeout"])
        self._pid = 0
        self._used_mono = 0.0
        self._silence_count = 0
        _links.add(self)

    def __del__(self) -> None:
        if self._wire is not None:
            self._wire.close(is_ours=self._pid == own_pid())

    def forked(self) -> None:
        """Begin anew in a fork's child: a thread that is not there may have held the lock."""
        self._lock = threading.RLock()
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection of this process's that nothing speaks against."""
        is_ours = self._wire is not None and self._pid == own_pid()
        return is_ours and self._silence_count == self.address.silences.count

    def connect(self) -> socket.socket:
        """Make sure of a connection and return its socket.

        Raises: BrokerUnreachableError, ImproperlyConfigured.
        """
        with self._lock:
            return self._opened().socket

    def run(self, *command: str | bytes | int | float) -> Any:
        """Return the answer to one command."""
        return self.ask([command])[0]

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands that leave in one write.

        An error answer of any of them is raised, after all were read.
        """
        packed = _packed(commands)
        answers = self._exchanged(packed, len(commands), is_quick=True)
        for answer in answers:
            if isinstance(answer, hiredis.ReplyError):
                raise self.refusal(answer)
        return answers

    def script(self, script: Script, arguments: Sequence[str | bytes | int | float]) -> Any:
        """Return what a script returns; its text is sent when the server does not know it."""
        packed = _packed([(b"EVALSHA", script.sha, b"0", *arguments)])
        answer = self._exchanged(packed, 1)[0]
        if isinstance(answer, hiredis.ReplyError) and str(answer).startswith("NOSCRIPT"):
            packed = _packed([(b"EVAL", script.text, b"0", *arguments)])
            answer = self._exchanged(packed, 1)[0]
        if isinstance(answer, hiredis.ReplyError):
            raise self.refusal(answer)
        return answer

    def send(self, commands: Sequence[Command], expected_bytes: int = 1) -> None:
        """Write commands whose answers `receive` brings, once so many bytes of them are there."""
        with self._lock:
            wire = self._listening()
            try:
                wire.write(_packed(commands))
                wire.expect(expected_bytes)
            except OSError as error:
                raise self.broken(error) from error

    def receive(self, timeout_s: float) -> list[Any]:
        """Return the answers and pushes that are there; wait at most `timeout_s` for the first.

        It never connects: what was asked of an earlier connection would not come.
        """
        with self._lock:
            wire = self._listening()
            if self._is_doubtful:
                raise self.broken(ConnectionError("the server is silent on another connection"))
            try:
                # What came together with an earlier answer is here already.
                answers = self._complete() if self._reader.has_data() else []
                data = wire.read(0.0 if answers else timeout_s)
                while data is not None:
                    self._feed(data)
                    answers += self._complete()
                    # An answer of which a part has come is not silence: the rest has its time too.
                    data = None if answers or timeout_s <= 0 else wire.read(timeout_s)
            except (OSError, ValueError, hiredis.HiredisError) as error:
                raise self.broken(error) from error
            return answers

    def descriptor(self) -> socket.socket:
        """Return the socket of the open connection, for a selector."""
        with self._lock:
            return self._listening().socket

    @property
    def timeout_s(self) -> float:
        """How long an answer may take."""
        return self._timeout_s

    def doubt(self) -> None:
        """Look before the next use whether the server has hung up, as it has elsewhere."""
        self._used_mono = float("-inf")

    def broken(self, error: BaseException) -> EngineError:
        """Give the connection up and return the error that says so."""
        if isinstance(error, TimeoutError):
            self.address.silences.note()
        self.close()
        return errors.of_link(error, self.address.server)

    def close(self) -> None:
        """Hang up. A later use connects again."""
        with self._lock:
            wire, self._wire = self._wire, None
            if wire is not None:
                wire.close(is_ours=self._pid == own_pid())

    # --- inside -------------------------------------------------------------------------------

    def _exchanged(self, packed: bytes, count: int, *, is_quick: bool = False) -> list[Any]:
        """`is_quick`: the server has it done as soon as read."""
        with self._lock:
            if self._repeats_timeouts:
                try:
                    return self._exchanged_once(packed, count, is_quick=is_quick)
                except OperationalError as error:
                    if not isinstance(error.__cause__, TimeoutError):
                        raise
            return self._exchanged_once(packed, count, is_quick=is_quick)

    def _exchanged_once(self, packed: bytes, count: int, *, is_quick: bool) -> list[Any]:
        wire = self._opened()
        try:
            wire.write(packed)
            if is_quick and (data := wire.glance()) is not None:
                self._feed(data)
            return [self._answer(wire) for _ in range(count)]
        except (OSError, hiredis.HiredisError) as error:
            raise self.broken(error) from error

    def _answer(self, wire: Wire) -> Any:
        while True:
            answer = self._reader.gets()
            while answer is _NOTHING:
                data = wire.read(self._timeout_s)
                if data is None:
                    raise TimeoutError("timed out")
                self._feed(data)
                answer = self._reader.gets()
            if self._fed_bytes > _LARGE_BYTES:
                self._let_go_of_room()
            if not isinstance(answer, hiredis.PushNotification):
                return answer

    def _complete(self) -> list[Any]:
        answers: list[Any] = []
        while (answer := self._reader.gets()) is not _NOTHING:
            answers.append(answer)
            # Between two answers only: of one that has begun the reader knows more than its bytes.
            if self._fed_bytes > _LARGE_BYTES:
                self._let_go_of_room()
        return answers

    def _feed(self, data: bytes) -> None:
        if not data:
            raise ConnectionResetError("the server hung up")
        self._reader.feed(data)
        self._fed_bytes += len(data)

    def _let_go_of_room(self) -> None:
        """Give up the room that a large answer took: hiredis keeps it until the next one."""
        if not self._reader.has_data():
            self._reader, self._fed_bytes = self._new_reader(), 0

    def _listening(self) -> Wire:
        if self._wire is None or self._pid != own_pid():
            raise errors.of_link(ConnectionError("not connected"), self.address.server)
        return self._wire

    def _opened(self) -> Wire:
        if self._wire is not None:
            now_mono = self._clock.mono()
            is_idle = now_mono - self._used_mono > _IDLE_S
            is_stale = self._pid != own_pid() or (
                self._is_doubtful or (is_idle and self._wire.has_something())
            )
            self._used_mono = now_mono
            if not is_stale:
                return self._wire
            self.close()
        return self._connected()

    def _connected(self) -> Wire:
        """Connect; where there are several servers, to the next that answers."""
        self.address, opened = first_answering(self.address, self._connected_to)
        return opened

    def _connected_to(self, address: Address) -> Wire:
        try:
            link, said = open_server(address)
        except RefusedError as error:
            refused = errors.of_greeting(str(error), address.server)
            raise _maybe_passing(refused, address) from error
        except ImproperlyConfigured as error:
            raise _maybe_passing(error, address) from error
        except (OSError, ValueError, hiredis.HiredisError) as error:
            refused = errors.of_connecting(error, address.server, is_tls=address.is_tls)
            raise _maybe_passing(refused, address) from error
        try:
            self._refuse_unfit(said)
        except ImproperlyConfigured as error:
            link.close()
            raise _maybe_passing(error, address) from error
        address.has_let_in.set()
        self._reader, self._silence_count = self._new_reader(), address.silences.count
        self._pid, self._used_mono = own_pid(), self._clock.mono()
        self._wire = Wire(link, self._timeout_s)
        return self._wire

    def _refuse_unfit(self, said: dict[str, Any]) -> None:
        mode, server = said.get("mode", ""), self.address.server
        if mode == "cluster":
            raise errors.of_answer("MOVED cluster-enabled yes", server)
        if mode == "sentinel":
            raise ImproperlyConfigured(
                f"{server} is a Sentinel, not a Redis server: name its master"
            )
        text = str(said.get("version", ""))
        numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
        if numbers and numbers < _OLDEST:
            raise ImproperlyConfigured(
                f"Redis {text} at {server} is too old: 6.2 or later is needed"
            )

    def refusal(self, answer: Any) -> EngineError:
        """Return the error for a server's error answer; after some the link is given up."""
        text = str(answer)
        if any(word in text[:200] for word in errors.MOVED_ON):
            self.close()
        return errors.of_answer(text, self.address.server)

    @property
    def _is_doubtful(self) -> bool:
        return self._silence_count != self.address.silences.count

    @staticmethod
    def _new_reader() -> Any:
        return hiredis.Reader(notEnoughData=_NOTHING)


#: Every link of this process; process-wide because forks are.
_links: weakref.WeakSet[Link] = weakref.WeakSet()


def _forked() -> None:
    for link in list(_links):
        link.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _packed(commands: Sequence[Command]) -> bytes:
    pack: Any = hiredis.pack_command
    return pack(commands[0]) if len(commands) == 1 else b"".join(map(pack, commands))


def _maybe_passing(error: EngineError, address: Address) -> EngineError:
    """Return the error for who was let in before: a password may be being changed, a wrong server
    stand where the right one will be again. No worker ends for that.
    """
    if isinstance(error, ImproperlyConfigured) and address.has_let_in.is_set():
        return NotAdmittedError(str(error))
    return error

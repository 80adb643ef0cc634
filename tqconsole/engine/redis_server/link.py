"""One connection to a Redis server: commands packed and answers read by hiredis, in one write each.

Thread-safe: one caller at a time. A fork's child makes a connection of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import ssl
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis

from tqconsole.engine.alternates import first_answering
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import EngineError, ImproperlyConfigured, OperationalError
from tqconsole.engine.redis_server import errors
from tqconsole.engine.redis_server.address import Address
from tqconsole.engine.redis_server.opening import RefusedError, open_socket

#: A command: its words.
Command = tuple[str | bytes | int | float, ...]
#: Bytes read at once.
_READ_BYTES = 256 * 1024
#: After this long without use, seconds, it is looked whether the server has hung up.
_IDLE_S = 1.0
#: RPOP with a count, ZADD with GT and client tracking as they are used here.
_OLDEST = (6, 2)
#: The reader's word for "not complete yet"; None is an answer.
_NOTHING = object()


class Script:
    """A Lua script that the server keeps by the hash of its text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode()


class Pending:
    """A script whose answer is still to come."""

    __slots__ = ("answer", "arguments", "error", "script")

    def __init__(self, script: Script, arguments: Sequence[str | bytes | int | float]) -> None:
        self.script = script
        self.arguments = arguments
        self.answer: Any = _NOTHING
        self.error: EngineError | None = None


class Link:
    """A connection. Made on first use. Raises OperationalError or ImproperlyConfigured only."""

    def __init__(
        self, address: Address, clock: Clock = SYSTEM_CLOCK, *, repeats_timeouts: bool = False
    ) -> None:
        """`repeats_timeouts`: ask once more what was not answered, for who may ask twice."""
        self._socket: socket.socket | None = None
        self.address = address
        self._repeats_timeouts = repeats_timeouts
        self._clock = clock
        self._lock = threading.RLock()
        #: What was asked and is not answered yet, oldest first.
        self._pending: deque[Pending] = deque()
        self._reader = self._new_reader()
        self._timeout_s = float(address.connection["socket_timeout"])
        self._pid = 0
        self._used_mono = 0.0
        _links.add(self)

    def __del__(self) -> None:
        if self._socket is not None:
            _hang_up(self._socket, is_ours=self._pid == os.getpid())

    def forked(self) -> None:
        """Begin anew in a fork's child: a thread that is not there may have held the lock."""
        self._lock = threading.RLock()
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection of this process's."""
        return self._socket is not None and self._pid == os.getpid()

    def connect(self) -> None:
        """Make sure of a connection. Raises: BrokerUnreachableError, ImproperlyConfigured."""
        with self._lock:
            self._opened()

    def run(self, *command: str | bytes | int | float) -> Any:
        """Return the answer to one command."""
        return self.ask([command])[0]

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands that leave in one write.

        An error answer of any of them is raised, after all were read.
        """
        packed = _packed(commands)
        answers = self._exchanged(packed, len(commands))
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

    def begin(self, script: Script, arguments: Sequence[str | bytes | int | float]) -> Pending:
        """Send a script and wait for nothing: `finish` brings what it returns."""
        pending = Pending(script, arguments)
        packed = _packed([(b"EVALSHA", script.sha, b"0", *arguments)])
        with self._lock:
            link = self._opened()
            try:
                link.sendall(packed)
            except OSError as error:
                raise self._broken(error) from error
            self._pending.append(pending)
        return pending

    def finish(self, pending: Pending) -> Any:
        """Return what a script that was begun returns."""
        with self._lock:
            while pending.answer is _NOTHING and pending.error is None:
                self._answer_pending(self._listening())
        if pending.error is not None:
            raise pending.error
        answer = pending.answer
        if isinstance(answer, hiredis.ReplyError):
            if str(answer).startswith("NOSCRIPT"):
                return self.script(pending.script, pending.arguments)
            raise self.refusal(answer)
        return answer

    def send(self, commands: Sequence[Command]) -> None:
        """Write commands whose answers `receive` brings."""
        with self._lock:
            link = self._listening()
            try:
                link.sendall(_packed(commands))
            except OSError as error:
                raise self._broken(error) from error

    def receive(self, timeout_s: float) -> list[Any]:
        """Return the answers and pushes that are there; wait at most `timeout_s` for the first.

        It never connects: what was asked of an earlier connection would not come.
        """
        with self._lock:
            link = self._listening()
            try:
                answers = self._complete()
                if not (answers or _is_pending(link) or _is_readable(link, timeout_s)):
                    return []
                self._drain(link)
            except (OSError, ValueError, hiredis.HiredisError) as error:
                raise self._broken(error) from error
            return answers + self._complete()

    def descriptor(self) -> socket.socket:
        """Return the socket of the open connection, for a selector."""
        with self._lock:
            return self._listening()

    def close(self) -> None:
        """Hang up. A later use connects again."""
        with self._lock:
            link, self._socket = self._socket, None
            lost, self._pending = self._pending, deque()
            for pending in lost:
                pending.error = errors.of_link(
                    ConnectionError("closed before it answered"), self.address.server
                )
            if link is not None:
                _hang_up(link, is_ours=self._pid == os.getpid())

    # --- inside -------------------------------------------------------------------------------

    def _exchanged(self, packed: bytes, count: int) -> list[Any]:
        with self._lock:
            if self._repeats_timeouts:
                try:
                    return self._exchanged_once(packed, count)
                except OperationalError as error:
                    if not isinstance(error.__cause__, TimeoutError):
                        raise
            return self._exchanged_once(packed, count)

    def _exchanged_once(self, packed: bytes, count: int) -> list[Any]:
        link = self._opened()
        while self._pending:
            self._answer_pending(link)
        try:
            link.sendall(packed)
            return [self._answer(link) for _ in range(count)]
        except (OSError, hiredis.HiredisError) as error:
            raise self._broken(error) from error

    def _answer_pending(self, link: socket.socket) -> None:
        """Take the answer to the oldest of what was begun."""
        try:
            answer = self._answer(link)
        except (OSError, hiredis.HiredisError) as error:
            raise self._broken(error) from error
        self._pending.popleft().answer = answer

    def _answer(self, link: socket.socket) -> Any:
        while True:
            answer = self._reader.gets()
            while answer is _NOTHING:
                self._feed(link.recv(_READ_BYTES))
                answer = self._reader.gets()
            if not isinstance(answer, hiredis.PushNotification):
                return answer

    def _complete(self) -> list[Any]:
        answers: list[Any] = []
        while (answer := self._reader.gets()) is not _NOTHING:
            answers.append(answer)
        return answers

    def _drain(self, link: socket.socket) -> None:
        """Feed the reader with all that has come."""
        link.settimeout(0)
        try:
            while True:
                self._feed(link.recv(_READ_BYTES))
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        finally:
            link.settimeout(self._timeout_s)

    def _feed(self, data: bytes) -> None:
        if not data:
            raise ConnectionResetError("the server hung up")
        self._reader.feed(data)

    def _listening(self) -> socket.socket:
        if self._socket is None or self._pid != os.getpid():
            raise errors.of_link(ConnectionError("not connected"), self.address.server)
        return self._socket

    def _opened(self) -> socket.socket:
        if self._socket is not None:
            now_mono = self._clock.mono()
            is_stale = self._pid != os.getpid() or (
                not self._pending
                and now_mono - self._used_mono > _IDLE_S
                and _has_hung_up(self._socket)
            )
            self._used_mono = now_mono
            if not is_stale:
                return self._socket
            self.close()
        return self._connected()

    def _connected(self) -> socket.socket:
        """Connect; where there are several servers, to the next that answers."""
        self.address, opened = first_answering(self.address, self._connected_to)
        return opened

    def _connected_to(self, address: Address) -> socket.socket:
        try:
            link, said = open_socket(address)
        except RefusedError as error:
            refused = errors.of_greeting(str(error), address.server)
            raise _maybe_passing(refused, address) from error
        except (OSError, ValueError, hiredis.HiredisError) as error:
            refused = errors.of_connecting(error, address.server, is_tls=address.is_tls)
            raise _maybe_passing(refused, address) from error
        try:
            self._refuse_unfit(said)
        except ImproperlyConfigured as error:
            link.close()
            raise _maybe_passing(error, address) from error
        address.has_let_in.set()
        self._reader = self._new_reader()
        self._socket, self._pid, self._used_mono = link, os.getpid(), self._clock.mono()
        return link

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

    def _broken(self, error: BaseException) -> EngineError:
        self.close()
        return errors.of_link(error, self.address.server)

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
    return b"".join(map(pack, commands))


def _hang_up(link: socket.socket, *, is_ours: bool) -> None:
    """Close a socket; a fork's child only lets go of its copy."""
    if is_ours:
        with contextlib.suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        link.close()


def _has_hung_up(link: socket.socket) -> bool:
    """Return whether something waits on a link of which nothing is expected: its end."""
    try:
        return _is_readable(link, 0)
    except (OSError, ValueError):
        return True


def _is_readable(link: socket.socket, timeout_s: float) -> bool:
    if not hasattr(select, "poll"):
        return bool(select.select([link], [], [], timeout_s)[0])
    # `select` knows no descriptors above 1023.
    poll = select.poll()
    poll.register(link, select.POLLIN)
    return bool(poll.poll(max(0.0, timeout_s) * 1000))


def _is_pending(link: socket.socket) -> bool:
    pending = getattr(link, "pending", None)
    return bool(pending is not None and pending())


def _maybe_passing(error: EngineError, address: Address) -> EngineError:
    """Return the error for who was let in before: a password may be being changed, a wrong server
    stand where the right one will be again. No worker ends for that.
    """
    if isinstance(error, ImproperlyConfigured) and address.has_let_in.is_set():
        return OperationalError(str(error))
    return error

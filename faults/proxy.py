"""A TCP proxy between a program and a server: it can cut links, hold them, or spoil how they carry.

What is done to "the links" is done to those that there are; new ones work, unless it is said that
the manner of carrying (`slow`, `dribble`, `cut_after`) is for new ones too. One thread.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import re
import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Self

_READ_BYTES = 65536
_TICK_S = 0.02
_WITH_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Manner:
    """How bytes are carried.

    `delay_s`: each piece is late by so many seconds. `piece_bytes`: each write is at most so long,
    0 for as it came. `left_bytes`: a link ends after so many bytes, in the middle of what they are
    a part of.
    """

    delay_s: float = 0.0
    piece_bytes: int = 0
    left_bytes: int | None = None


@dataclass(slots=True)
class _Half:
    """One direction of a link."""

    target: socket.socket
    left_bytes: int | None
    #: Pieces that are late, and when the last of them is due: nothing overtakes them.
    late_count: int = 0
    due_mono: float = 0.0


class TcpProxy:
    """Forwards from its own `port` to a server's, until it is left."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._halves: dict[socket.socket, _Half] = {}
        self._silent: set[socket.socket] = set()
        self._held: set[socket.socket] = set()
        self._manner = Manner()
        #: Pieces that are late: (due, number, source, data).
        self._late: list[tuple[float, int, socket.socket, bytes]] = []
        self._numbers = itertools.count()
        self._is_over = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        self.cut()
        self._listener.close()
        self._selector.close()

    def url(self, url: str) -> str:
        """Return an amqp or redis URL with this port."""
        return re.sub(r":\d+/", f":{self.port}/", url, count=1)

    @property
    def link_count(self) -> int:
        """How many links carry what they are given."""
        with self._lock:
            return (len(self._halves) - len(self._silent)) // 2

    def silence(self) -> None:
        """Let the links say nothing any more, and stay open: half-open, for ever."""
        with self._lock:
            self._silent.update(self._halves)

    def hold(self) -> None:
        """Carry nothing on the links until `release`."""
        with self._lock:
            self._held.update(self._halves)
            for end in self._held:
                self._unregister(end)

    def release(self) -> None:
        """Carry on with what was held."""
        with self._lock:
            for end in self._held & self._halves.keys():
                self._selector.register(end, selectors.EVENT_READ)
            self._held.clear()

    def cut(self, *, with_reset: bool = False) -> int:
        """End all links, with a reset instead of an end if so; return how many there were."""
        with self._lock:
            ends = list(self._halves)
            for end in ends:
                self._drop(end, with_reset=with_reset)
        return len(ends) // 2

    def carry(self, manner: Manner) -> None:
        """Carry so from now on, on links that there are and on new ones."""
        with self._lock:
            self._manner = manner
            for half in self._halves.values():
                half.left_bytes = manner.left_bytes

    def _run(self) -> None:
        while not self._is_over:
            for key, _ in self._selector.select(self._until_due_s()):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket):
                        self._take(key.fileobj)
            with self._lock:
                self._give_what_is_due()

    def _until_due_s(self) -> float:
        if not self._late:
            return _TICK_S
        return min(_TICK_S, max(0.0, self._late[0][0] - time.monotonic()))

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._halves[one] = _Half(other, self._manner.left_bytes)
            self._selector.register(one, selectors.EVENT_READ)

    def _take(self, source: socket.socket) -> None:
        if source not in self._halves:
            return
        if source in self._silent:
            # Unread, so that the kernel says at last that it takes no more.
            self._unregister(source)
            return
        try:
            data = source.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._unregister(source)
        half = self._halves[source]
        if self._manner.delay_s or half.late_count:
            half.late_count += 1
            half.due_mono = max(half.due_mono, time.monotonic() + self._manner.delay_s)
            heapq.heappush(self._late, (half.due_mono, next(self._numbers), source, data))
        else:
            self._give(source, data)

    def _give_what_is_due(self) -> None:
        while self._late and self._late[0][0] <= time.monotonic():
            _, _, source, data = heapq.heappop(self._late)
            if source in self._halves and source not in self._silent:
                self._halves[source].late_count -= 1
                self._give(source, data)

    def _give(self, source: socket.socket, data: bytes) -> None:
        """Hand on what came from `source`; b"" is its end."""
        half = self._halves[source]
        whole = data
        if half.left_bytes is not None:
            whole = data[: half.left_bytes]
            half.left_bytes -= len(whole)
        size = self._manner.piece_bytes or max(1, len(whole))
        try:
            for start in range(0, len(whole), size):
                half.target.sendall(whole[start : start + size])
        except OSError:
            data = b""
        if not data or len(whole) < len(data):
            self._drop(source)

    def _drop(self, end: socket.socket, *, with_reset: bool = False) -> None:
        half = self._halves.pop(end, None)
        if half is None:
            return
        for each in (end, half.target):
            self._halves.pop(each, None)
            self._silent.discard(each)
            self._held.discard(each)
            self._unregister(each)
            if with_reset:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _WITH_RESET)
            each.close()

    def _unregister(self, end: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(end)

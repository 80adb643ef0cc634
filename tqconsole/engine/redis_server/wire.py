"""The bytes of one connection: written at once, read as they come, each in bounded time.

The socket never blocks: what it takes, or has, costs one system call, and only a wait another.
Under TLS a record may be half there, or wait in the library where no poll sees it; both are looked
after here. One caller at a time.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl

#: Bytes read at once: below the size from which malloc maps pages, for every read anew.
_READ_BYTES = 64 * 1024
#: Looks for an answer that is on its way (50 us or so), and bytes that each reads.
_LOOK_COUNT, _LOOK_BYTES = 48, 4096
#: Glances that are left out at most after one in vain.
_MOST_LEFT_OUT = 255
#: What a socket says that has nothing, or takes nothing, now.
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Wire:
    """A connected socket. Raises: OSError when it broke, TimeoutError among them."""

    def __init__(self, connected: socket.socket, timeout_s: float) -> None:
        """Take over the socket; `timeout_s` is how long a write may stand still."""
        connected.settimeout(0)
        self._socket = connected
        self._is_tls = isinstance(connected, ssl.SSLSocket)
        self._timeout_s = timeout_s
        self._readable = _Waiting(connected, is_writing=False)
        self._writable = _Waiting(connected, is_writing=True)
        #: Bytes that wake a wait, and those that are to wake the next one.
        self._least_bytes = self._expected_bytes = 1
        #: Glances that are left out now, and that will be after the next one in vain.
        self._left_out_count = self._pause_count = 0

    @property
    def socket(self) -> socket.socket:
        """The socket, for a selector."""
        return self._socket

    def write(self, data: bytes) -> None:
        """Write all of it."""
        left: bytes | memoryview = data
        while left:
            try:
                sent_count = self._socket.send(left)
                if sent_count == len(left):
                    return
                left = memoryview(left)[sent_count:]
            except _NOT_NOW as error:
                if not self._waiting(error, self._writable).wait(self._timeout_s):
                    raise TimeoutError("timed out") from error

    def expect(self, byte_count: int) -> None:
        """Let reads sleep until so many bytes have come, where the system can do that.

        For answers that say nothing new: who waits for what follows need not be woken for them.
        What is there when a read begins it brings at once, and also when its time is over.
        """
        self._expected_bytes = byte_count

    def read(self, timeout_s: float) -> bytes | None:
        """Return what has come, b"" at the end; None when nothing came within `timeout_s`."""
        waiting = self._readable
        expected_bytes, self._expected_bytes = self._expected_bytes, 1
        # A look before the wait would be for nothing: the answer is still on its way.
        if timeout_s > 0 and not self._is_tls:
            if expected_bytes > 1 and (chunk := self._at_once()) is not None:
                self._expected_bytes = max(1, expected_bytes - len(chunk))
                return chunk
            if expected_bytes != self._least_bytes:
                self._wake_at(expected_bytes)
            if not waiting.wait(timeout_s):
                if expected_bytes == 1:
                    return None
                timeout_s = 0.0
        while True:
            try:
                chunk = self._socket.recv(_READ_BYTES)
                return self._whole(chunk) if self._is_tls and chunk else chunk
            except _NOT_NOW as error:
                if timeout_s <= 0 or not self._waiting(error, waiting).wait(timeout_s):
                    return None

    def glance(self) -> bytes | None:
        """Return what comes at once, b"" at the end; None when nothing does.

        To go to sleep and be woken takes longer than a server on the same machine, which is
        therefore looked for a moment first. That is in vain where the server is further away, or
        has no processor to run on: then it is left out, for longer each time.
        """
        if self._is_tls:
            return None
        if self._left_out_count:
            self._left_out_count -= 1
            return None
        for _ in range(_LOOK_COUNT):
            try:
                chunk = self._socket.recv(_LOOK_BYTES)
            except BlockingIOError:
                continue
            # Halved, so that glances are rare where most of them are in vain.
            self._pause_count //= 2
            return chunk
        self._pause_count = min(2 * self._pause_count + 1, _MOST_LEFT_OUT)
        self._left_out_count = self._pause_count
        return None

    def has_something(self) -> bool:
        """Return whether a read would bring something now: data, or the end."""
        try:
            return (self._is_tls and self._is_pending()) or self._readable.wait(0)
        except (OSError, ValueError):
            return True

    def close(self, *, is_ours: bool) -> None:
        """Hang up; a fork's child, whose it is not, only lets go of its copy."""
        if is_ours:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._socket.close()

    def _at_once(self) -> bytes | None:
        try:
            return self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return None

    def _wake_at(self, byte_count: int) -> None:
        self._least_bytes = byte_count
        # Not every system has it; then every byte wakes.
        with contextlib.suppress(OSError, AttributeError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, byte_count)

    def _whole(self, chunk: bytes) -> bytes:
        """Return a record of TLS with those that came with it: no poll tells of the next one."""
        chunks = [chunk]
        while self._is_pending():
            try:
                chunks.append(self._socket.recv(_READ_BYTES))
            except _NOT_NOW:
                break
        return b"".join(chunks)

    def _is_pending(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _waiting(self, error: Exception, usual: _Waiting) -> _Waiting:
        """Return what TLS waits for, which may be the other direction."""
        if isinstance(error, ssl.SSLWantReadError):
            return self._readable
        return self._writable if isinstance(error, ssl.SSLWantWriteError) else usual


class _Waiting:
    """A wait for one direction of a socket. `select` knows no descriptors above 1023: `poll` does,
    where there is one.
    """

    def __init__(self, connected: socket.socket, *, is_writing: bool) -> None:
        self._socket = connected
        self._is_writing = is_writing
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(connected, select.POLLOUT if is_writing else select.POLLIN)

    def wait(self, timeout_s: float) -> bool:
        """Return whether it is ready, waiting at most `timeout_s`."""
        if self._poll is not None:
            return bool(self._poll.poll(timeout_s * 1000))
        ours = [self._socket]
        found = select.select([] if self._is_writing else ours, ours if self._is_writing else [],
                              [], timeout_s)  # fmt: skip
        return any(found)

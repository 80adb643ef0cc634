"""A console in a pseudo terminal of its own, which can vanish under it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence

#: Seconds within which a program has drawn what is waited for, on a busy machine.
DRAWN_S = 60.0
#: Seconds within which a program ends that was asked to: its own grace, and a busy machine.
ENDED_S = 30.0


class PtyConsole:
    """A program whose controlling terminal is a pseudo terminal."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str] | None = None,
        size: tuple[int, int] = (80, 24),
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.attributes = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm-256color", **(environ or {})},
        )
        #: Kept open, so that what the terminal was left as can be looked at.
        self.slave = slave
        self.written = b""

    def write(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def read(self, wait_s: float = 0.1) -> bytes:
        """Return what was written since."""
        ready, _, _ = select.select([self._master], [], [], wait_s)
        part = b""
        if ready:
            with contextlib.suppress(OSError):
                part = os.read(self._master, 65536)
        self.written += part
        return part

    def press(self, keys: bytes, shown: bytes) -> None:
        """Press keys, and read until the program has written `shown` since."""
        pressed_at = len(self.written)
        self.write(keys)
        self.until(shown, since=pressed_at)

    def until(self, words: bytes, deadline_s: float = DRAWN_S, since: int = 0) -> None:
        """Read until the program has written `words` somewhere, or behind byte `since`."""
        deadline = time.monotonic() + deadline_s
        while self.written.find(words, since) < 0:
            assert time.monotonic() < deadline, (words, self.written[-2000:])
            assert self.process.poll() is None or self.read(), self.written[-2000:]
            self.read()

    def rest(self, still_s: float = 0.15, deadline_s: float = 3.0) -> None:
        """Read until the program draws nothing more: what was pressed has had its effect."""
        deadline = time.monotonic() + deadline_s
        while self.read(still_s) and time.monotonic() < deadline:
            pass

    def vanish(self) -> None:
        """Take the terminal away, as a connection that breaks does."""
        os.close(self.slave)
        os.close(self._master)

    def ended(self, deadline_s: float = ENDED_S) -> int:
        """Return the exit code. Raises: TimeoutExpired."""
        return self.process.wait(deadline_s)

    def close(self) -> None:
        """End what is left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in (self._master, self.slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)

"""A program on a terminal of its own, and the time until it has drawn something."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

from benchmarks.values import RunFailedError

#: Lines and columns; an ordinary window.
_SIZE = (40, 120)
#: Seconds until it must have drawn what is waited for.
_DRAWN_S = 20.0
#: What moves the cursor or sets colours stands between the letters of what is drawn.
_CONTROL = re.compile(rb"\x1b(\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()].|[=>78M])")


def drawn_after_s(words: Sequence[str], environ: Mapping[str, str], awaited: str) -> float:
    """Return the seconds from the start of a program until `awaited` is on its screen.

    Raises: RunFailedError with its last words when that does not happen.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
    begun_mono = time.monotonic()
    process = subprocess.Popen(
        words,
        env={**environ, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        return _awaited(ours, awaited.encode(), begun_mono) - begun_mono
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _awaited(terminal: int, awaited: bytes, begun_mono: float) -> float:
    """Return the moment at which the terminal was told what is awaited."""
    said = b""
    while (left_s := begun_mono + _DRAWN_S - time.monotonic()) > 0:
        if not select.select([terminal], [], [], left_s)[0]:
            break
        try:
            data = os.read(terminal, 65536)
        except OSError:  # as Linux tells that the program has ended
            break
        said += data
        drawn = _CONTROL.sub(b"", said)
        if awaited in drawn:
            return time.monotonic()
    last = _CONTROL.sub(b"", said)[-200:].decode(errors="replace")
    raise RunFailedError(f"it did not draw {awaited.decode()!r}: {' '.join(last.split())}")

"""The one place that reads the wall clock, the monotonic clock, and sleeps.

Everything that needs time takes a `Clock`; production passes `SystemClock`, tests and the
simulation pass `ManualClock`. `LamportClock` orders messages between nodes (wire.md §6.6).
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

from tqconsole.engine.fork_locks import give_lock


class Clock(Protocol):
    """What the engine needs of time."""

    def now(self) -> float:
        """Return the UTC epoch in seconds."""
        ...

    def mono(self) -> float:
        """Return monotonic seconds of this process's host."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Block this thread for `duration_s` seconds."""
        ...


class SystemClock:
    """The host's clocks."""

    def now(self) -> float:
        """Return the UTC epoch in seconds."""
        return time.time()

    def mono(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Block this thread for `duration_s` seconds."""
        time.sleep(duration_s)


class ManualClock:
    """A clock that moves only when told: `advance` moves both readings, `sleep` advances."""

    def __init__(self, now_at: float = 1_800_000_000.0) -> None:
        self._now_at = now_at
        self._mono = 0.0

    def now(self) -> float:
        """Return the instant set."""
        return self._now_at

    def mono(self) -> float:
        """Return the sum of all advances."""
        return self._mono

    def sleep(self, duration_s: float) -> None:
        """Advance by `duration_s` at once."""
        self.advance(duration_s)

    def advance(self, duration_s: float) -> None:
        """Move both readings forward."""
        self._now_at += duration_s
        self._mono += duration_s


class LamportClock:
    """A logical clock: `forward()` before sending, `adjust(theirs)` on receipt. Thread-safe."""

    _lock: threading.Lock

    def __init__(self, value: int = 0) -> None:
        self._value = value
        give_lock(self, "_lock", threading.Lock)

    @property
    def value(self) -> int:
        """Return the present value."""
        return self._value

    def forward(self, by: int = 1) -> int:
        """Return the next value, to be sent; with `by`, the last of so many."""
        with self._lock:
            self._value += by
            return self._value

    def adjust(self, theirs: int) -> int:
        """Take note of a received value and return ours: max of both, plus one."""
        with self._lock:
            self._value = max(self._value, theirs) + 1
            return self._value


#: The process's real clock: for the outermost callers, who pass it on.
SYSTEM_CLOCK = SystemClock()

"""The soft time limit of a process or a greenlet: an exception raised inside user code, only there.

A child installs one `SoftAlarm` as its handler of SIGUSR1 (which operators and Celery send) and
of SIGALRM (its own timer). The pool says how long the next run may take (`limit_s`), the runner
says where user code begins and ends (`with armed()`); outside of that both signals do nothing, so
that neither the next run nor the engine's own code is ever hit. The installed handler is the only
state: who has none (solo, threads, a plain process) has no soft limits. A greenlet's run brings an
alarm of its own, which stands in its context.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Protocol

from tqconsole.engine.exceptions import SoftTimeLimitExceeded


class Alarm(Protocol):
    """What may strike inside user code."""

    #: One for all runs; else each run has its own.
    is_of_process: bool

    def arm(self) -> None:
        """From here on user code runs; the limit starts to count."""
        ...

    def disarm(self) -> None:
        """User code has ended."""
        ...


class SoftAlarm:
    """A signal handler that raises SoftTimeLimitExceeded once, while it is armed."""

    is_of_process = True

    __slots__ = ("_is_armed", "_is_ticking", "limit_s")

    def __init__(self) -> None:
        self.limit_s: float | None = None
        self._is_armed = False
        self._is_ticking = False

    def install(self) -> None:
        """Become this process's handler of SIGUSR1. Main thread only."""
        signal.signal(signal.SIGUSR1, self)

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Raise in the code that runs now, if it is a user's."""
        if self._is_armed:
            self._is_armed = False
            raise SoftTimeLimitExceeded

    def arm(self) -> None:
        """From here on user code runs; the limit starts to count."""
        if self.limit_s:
            self._is_ticking = True
            # Each time anew: user code may have taken the signal for its own purposes.
            signal.signal(signal.SIGALRM, self)
            signal.setitimer(signal.ITIMER_REAL, self.limit_s)
        self._is_armed = True

    def disarm(self) -> None:
        """User code has ended. The flag falls first: a signal after it does nothing."""
        self._is_armed = False
        if self._is_ticking:
            self._is_ticking = False
            signal.setitimer(signal.ITIMER_REAL, 0)


_own: ContextVar[Alarm | None] = ContextVar("alarm", default=None)


def set_alarm(alarm: Alarm) -> None:
    """Make it that of the present context: of the greenlet that calls."""
    _own.set(alarm)


def find_alarm() -> Alarm | None:
    """Return this greenlet's alarm, or this process's; None outside of runs in greenlets, of
    prefork children and of their main thread.
    """
    own = _own.get()
    if own is not None:
        return own
    handler = signal.getsignal(signal.SIGUSR1)
    if isinstance(handler, SoftAlarm) and threading.current_thread() is threading.main_thread():
        return handler
    return None


@contextmanager
def armed() -> Iterator[None]:
    """Mark user code: the soft limit may raise inside this block, never after it."""
    alarm = find_alarm()
    if alarm is None:
        yield
        return
    try:
        alarm.arm()
        yield
    finally:
        alarm.disarm()

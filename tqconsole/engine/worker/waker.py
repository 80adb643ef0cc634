"""What wakes the loop from outside: other threads, and the signals of the system."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from tqconsole.engine.worker.inspecting import listen_to_usr2
from tqconsole.engine.worker.values import Happening


class Waker:
    """A mailbox of happenings with a bell. `post` may be called by any thread."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0)
        self._writer.settimeout(0)
        self._posted: deque[Happening] = deque()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something was posted or signalled."""
        return self._reader.fileno()

    @property
    def signal_fileno(self) -> int:
        """Return where the system may write the number of each signal."""
        return self._writer.fileno()

    def post(self, happening: Happening) -> None:
        """Hand a happening to the loop."""
        self._posted.append(happening)
        with contextlib.suppress(BlockingIOError):  # full: it rings already
            self._writer.send(b"\0")

    def take(self) -> list[Happening]:
        """Silence the bell and return what was posted, oldest first."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass
        taken = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._posted.popleft())
        return taken

    def close(self) -> None:
        """Give up the bell."""
        self._reader.close()
        self._writer.close()


class SignalWatch:
    """Notes the signals that stop a worker. Works in the main thread only; elsewhere it is deaf,
    because the system delivers signals nowhere else.
    """

    def __init__(self, waker: Waker, environ: Mapping[str, str] = os.environ) -> None:
        self._waker = waker
        self._environ = environ
        self._is_term_cold = environ.get("REMAP_SIGTERM") == "SIGQUIT"
        self._caught: deque[tuple[signal.Signals, bool]] = deque()
        self._has_asked = False
        self._has_asked_cold = False
        #: HUP asked for a warm shutdown, and for another worker after it.
        self.is_restart_asked = False
        self._replaced: dict[int, Any] = {}
        self._old_fileno = -1

    def __enter__(self) -> SignalWatch:
        if not _is_main_thread():
            return self
        self._old_fileno = signal.set_wakeup_fd(
            self._waker.signal_fileno, warn_on_full_buffer=False
        )
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self._replaced[signum] = signal.signal(signum, self._note)
        if not _has_terminal():
            # With one, HUP says that it is gone, and the worker with it.
            self._replaced[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._note)
        listen_to_usr2(self._environ)
        # At once, from whatever the main thread is doing: that is what it is asked for.
        with contextlib.suppress(ValueError, OSError, AttributeError):  # stderr without a file
            faulthandler.register(signal.SIGUSR1, file=sys.__stderr__ or 2, all_threads=True)
        return self

    def __exit__(self, *_: object) -> None:
        if not self._replaced:
            return
        for signum, handler in self._replaced.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._old_fileno)
        faulthandler.unregister(signal.SIGUSR1)
        self._replaced.clear()

    def _note(self, signum: int, _frame: object) -> None:
        is_cold = self._is_cold(signum)
        if is_cold and self._has_asked_cold:
            # Asked twice for a cold shutdown: the loop is held by a task in its own thread, or
            # worse. What this worker has comes back when its lease ends.
            os._exit(1)
        self.is_restart_asked = signum == signal.SIGHUP
        self._has_asked = True
        self._has_asked_cold = is_cold
        self._caught.append((signal.Signals(signum), is_cold))

    def _is_cold(self, signum: int) -> bool:
        match signum:
            case signal.SIGQUIT:
                return True
            case signal.SIGTERM:
                return self._is_term_cold
            case signal.SIGHUP:
                return False
            case _:
                return self._has_asked

    def take(self) -> list[tuple[signal.Signals, bool]]:
        """Return the signals caught since, each with "this one asks for a cold shutdown": QUIT
        does, and INT when something was asked for before.
        """
        caught = []
        while self._caught:
            caught.append(self._caught.popleft())
        return caught


def _is_main_thread() -> bool:
    # eventlet has an idea of its own of what the current thread is; the system's is the one that
    # counts for signals.
    is_first = threading.get_native_id() == os.getpid()
    return is_first or threading.current_thread() is threading.main_thread()


def _has_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False

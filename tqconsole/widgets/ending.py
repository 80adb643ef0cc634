"""The sure way out: when somebody asks from outside, or when the terminal is gone.

Textual writes through a thread with a bounded queue. When the terminal vanishes, or is stopped,
nobody takes from that queue any more, and the event loop waits in it for ever: a handler of the
loop's would never run. So the signal is taken by a handler of the interpreter's, a thread looks
whether the terminal hangs, and another one ends the process where the orderly way takes too long.
The thread that reads keys is ended at once: at the end of its input it would ask again and again,
on half a processor.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

#: Seconds for the orderly way: a stuck broker holds up the session's threads about as long.
GRACE_S = 5.0
#: Seconds for what stands behind a console that has ended in order, a demo's workers above all.
LAST_S = 60.0
#: Seconds between two looks whether somebody waits for a writer that is dead.
UNBLOCK_S = 0.1
#: Milliseconds between two looks whether the watch is still wanted.
LOOK_MS = 1000
#: Signals that end the console, 128 and their number being its exit code.
SIGNALS = (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))
#: Ends what Textual switched on: mouse, paste, focus, keys, line wrap, the other screen, cursor.
RESTORING = (
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?2004l\x1b[?1004l"
    "\x1b[?2048l\x1b[<u\x1b[?7h\x1b[?1049l\x1b[?25h\x1b[0m"
)


class Ending:
    """Watches signals and terminal between `start` and `stop`."""

    def __init__(
        self,
        leave: Callable[[int], object],
        writer: Callable[[], threading.Thread | None],
        reads_no_more: Callable[[], object],
        terminal: int,
        attributes: Any,
    ) -> None:
        """`leave` begins the orderly way, from any thread; `writer` gives Textual's thread that
        writes, `reads_no_more` ends the one that reads; `attributes` are the terminal's own.
        """
        self._leave = leave
        self._writer = writer
        self._reads_no_more = reads_no_more
        self._terminal = terminal
        self._attributes = attributes
        self._before: dict[int, Any] = {}
        self._is_over = threading.Event()
        self._has_left = threading.Event()
        self._has_begun = threading.Lock()

    def start(self) -> None:
        """Take the signals, and watch the terminal in a thread."""
        for number in set(SIGNALS):
            # Only the main thread may; elsewhere (a program's own) they stay that program's.
            with contextlib.suppress(ValueError):
                self._before[number] = signal.signal(number, self._on_signal)
        if hasattr(select, "poll"):
            threading.Thread(target=self._watch, name="tqconsole-terminal", daemon=True).start()

    @property
    def has_begun(self) -> bool:
        """True once somebody from outside has asked for the end, or the terminal is gone."""
        return self._has_begun.locked()

    def finish(self) -> None:
        """The orderly way was gone: what is left to do takes its time, `LAST_S` at most."""
        self._has_left.set()

    def stop(self) -> None:
        """Give the signals back, unless one is being seen to: then the process ends anyway."""
        self._is_over.set()
        if self.has_begun:
            return
        for number, handler in self._before.items():
            with contextlib.suppress(ValueError):
                signal.signal(number, handler)

    def begin(self, code: int) -> None:
        """End with `code`: in order, else after the grace. Only the first call counts."""
        if not self._has_begun.acquire(blocking=False):
            return
        threading.Thread(
            target=self._end_late, args=(code,), name="tqconsole-ending", daemon=True
        ).start()
        # A loop that has ended already needs no asking.
        with contextlib.suppress(RuntimeError):
            self._leave(code)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.begin(128 + number)

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._terminal, 0)
        while not self._is_over.is_set():
            if any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(LOOK_MS)):
                self._reads_no_more()
                self.begin(128 + getattr(signal, "SIGHUP", signal.SIGTERM))
                return

    def _end_late(self, code: int) -> None:
        looks = round(GRACE_S / UNBLOCK_S)
        has_dropped = False
        for look in range(looks):
            if self._has_left.wait(UNBLOCK_S):
                break
            writer = self._writer()
            if writer is not None and not writer.is_alive():
                _empty(writer)
            elif writer is not None and look >= looks // 2:
                has_dropped = self._drop_output(writer) or has_dropped
        if has_dropped or not self._has_left.is_set():
            self._restore()
        if self._has_left.is_set():
            # The process ends by itself now, and this thread with it.
            threading.Event().wait(LAST_S)
        os._exit(code)

    def _drop_output(self, writer: threading.Thread) -> bool:
        """Throw away what a terminal that stands still has not taken: its writer can go on then."""
        if self._attributes is None:
            return False
        import termios  # noqa: PLC0415 - not there on Windows, where no attributes are

        try:
            termios.tcflush(self._terminal, termios.TCOFLUSH)
            # It sleeps on: a signal makes it look again whether there is room.
            signal.pthread_kill(writer.ident or 0, signal.SIGTERM)
        except (termios.error, OSError):
            return False
        return True

    def _restore(self) -> None:
        """Give the terminal back past the stuck writer, without waiting for it."""
        with contextlib.suppress(OSError, ValueError):
            os.set_blocking(self._terminal, False)
            os.write(self._terminal, RESTORING.encode())
            os.set_blocking(self._terminal, True)
        if self._attributes is not None:
            import termios  # noqa: PLC0415 - not there on Windows, where no attributes are

            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._terminal, termios.TCSANOW, self._attributes)


def _empty(writer: threading.Thread) -> None:
    """Take from a dead writer's queue what it will never write.

    Textual has no public way to it, and waits for room in it for ever.
    """
    waiting = getattr(writer, "_queue", None)
    with contextlib.suppress(queue.Empty):
        while waiting is not None:
            waiting.get_nowait()

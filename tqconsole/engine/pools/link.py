"""A prefork pool's end of its template process: orders out, notices in."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

from tqconsole.engine.pools import frame
from tqconsole.engine.pools.child import ChildPlan
from tqconsole.engine.pools.slot import Slot
from tqconsole.engine.pools.template import fork_template


class TemplateLink:
    """The template of a pool. When it has died, `start` makes another one."""

    def __init__(self, plan: ChildPlan) -> None:
        self._plan = plan
        self._pid = 0
        self._sock: socket.socket | None = None
        self._unread = b""
        self._start_count = 0

    @property
    def is_alive(self) -> bool:
        """True between `start` and the end of the template."""
        return self._sock is not None

    def fileno(self) -> int:
        """Return the socket's descriptor; -1 without a template."""
        return -1 if self._sock is None else self._sock.fileno()

    def start(self) -> None:
        """Fork the template. Raises: OSError."""
        self._pid, self._sock = fork_template(self._plan, is_late=self._start_count > 0)
        self._sock.settimeout(0)
        self._unread = b""
        self._start_count += 1

    def order(self, slot: Slot) -> None:
        """Ask for the slot's child. That the template is gone is told by `receive`, not here."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                slot.order(self._sock)

    def receive(self) -> list[tuple[int, int, int, int]] | None:
        """Return the notices (frame.NOTICE) since the last call; None when the template is gone."""
        if self._sock is None:
            return []
        try:
            received = self._sock.recv(frame.READ_BYTES)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            received = b""
        if not received:
            return None
        data = self._unread + received
        end = len(data) - len(data) % frame.NOTICE.size
        self._unread = data[end:]
        return list(frame.NOTICE.iter_unpack(data[:end]))

    def stop(self) -> None:
        """End the template, and on Linux with it whatever is left of its children."""
        if self._sock is None:
            return
        self._sock.close()
        self._sock = None
        # It holds nothing that a SIGKILL could spoil, and a stopped one heeds nothing else.
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

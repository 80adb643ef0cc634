"""A debugger over a socket: `rdb.set_trace()` in a task, or SIGUSR2 to a process of a worker that
was started with `CELERY_RDBSIG=1`.

What listens is this machine only, unless `CELERY_RDB_HOST` says otherwise: whoever connects can run
anything. The port is the first free one from `CELERY_RDB_PORT` (6899) on; stderr says which. The
process that is debugged waits, with all that it does otherwise.

    from tqconsole.engine.contrib import rdb
    rdb.set_trace()          # then: telnet 127.0.0.1 6899
"""

from __future__ import annotations

import contextlib
import os
import pdb
import socket
import sys
from collections.abc import Mapping
from types import FrameType

from tqconsole.engine.exceptions import ImproperlyConfigured

#: Where it listens when nobody says otherwise, and how many ports are tried.
_HOST, _PORT, _PORT_COUNT = "127.0.0.1", 6899, 100


class Rdb(pdb.Pdb):
    """One debugger and its one client. Raises: ImproperlyConfigured without a free port."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        with _listener(environ) as listener:
            host, port = listener.getsockname()[:2]
            _say(f"Remote debugger of process {os.getpid()} waits: telnet {host} {port}")
            self._client, _ = listener.accept()
        _say("Remote debugger: somebody is in")
        self._handle = self._client.makefile("rw")
        super().__init__(stdin=self._handle, stdout=self._handle)
        self.prompt = f"(rdb:{port}) "

    def do_continue(self, arg: str) -> bool | None:
        """Leave, and let the program go on."""
        self.set_continue()
        self.leave()
        return True

    # Whoever leaves a debugger must not end the task or the worker with it.
    do_c = do_cont = do_quit = do_q = do_exit = do_EOF = do_continue

    def leave(self) -> None:
        """Let the client go. May be called twice."""
        with contextlib.suppress(OSError, ValueError):
            self._handle.close()
        self._client.close()
        _say("Remote debugger: left")


def set_trace(frame: FrameType | None = None) -> None:
    """Wait for a client, and stop in the caller's code (or `frame`) for it."""
    Rdb().set_trace(frame or sys._getframe(1))  # noqa: SLF001 - what a debugger is made for


def show(frame: FrameType | None) -> None:
    """Show a client what was interrupted: it may be waiting, so that there is no next line."""
    try:
        debugger = Rdb()
    except ImproperlyConfigured as error:
        _say(str(error))
        return
    debugger.reset()
    debugger.interaction(frame, None)
    debugger.leave()


def _listener(environ: Mapping[str, str]) -> socket.socket:
    host = environ.get("CELERY_RDB_HOST") or _HOST
    given = environ.get("CELERY_RDB_PORT") or str(_PORT)
    if not given.isdigit():
        raise ImproperlyConfigured(f"CELERY_RDB_PORT is a number, not {given!r}")
    first = int(given)
    for port in range(first, first + _PORT_COUNT):
        with contextlib.suppress(OSError):
            return socket.create_server((host, port), reuse_port=False)
    raise ImproperlyConfigured(
        f"no port of {first} to {first + _PORT_COUNT - 1} is free on {host}: set CELERY_RDB_PORT"
    )


def _say(text: str) -> None:
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"{text}\n")
        sys.__stderr__.flush()


__all__ = ["Rdb", "set_trace", "show"]

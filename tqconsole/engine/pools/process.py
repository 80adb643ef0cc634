"""What this process is to the kernel: its name in `ps` and `top`, and whose death is its own.

With the package `setproctitle` (not a dependency) the whole command line is shown, else the short
name of the kernel's. Both libraries are found once, when this module is imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
#: The kernel keeps this many bytes of a name (prctl(2)).
_NAME_BYTES = 15


def _find_title_setter() -> Callable[[str], None] | None:
    try:
        setter: Callable[[str], None] = importlib.import_module("setproctitle").setproctitle
    except ImportError:
        return None
    return setter


_set_title = _find_title_setter()
_libc = ctypes.CDLL(None)


def set_process_title(title: str, short_name: str) -> None:
    """Show `title` where setproctitle is installed, else `short_name` (15 bytes). Never raises."""
    if _set_title is not None:
        _set_title(title)
    elif sys.platform == "linux":
        with contextlib.suppress(AttributeError):
            name = ctypes.create_string_buffer(short_name.encode()[:_NAME_BYTES])
            _libc.prctl(_PR_SET_NAME, name, 0, 0, 0)


def die_with(parent_pid: int) -> None:
    """Let the kernel kill this process when its parent dies, in whatever way (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        # It died before the kernel knew that we care.
        os._exit(1)

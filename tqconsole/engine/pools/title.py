"""What `ps` and `top` show of a process.

With the package `setproctitle` (not a dependency) the whole command line, else the short name of
the kernel's. Wrong titles have never hurt anybody: nothing here raises.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import sys

_PR_SET_NAME = 15
#: The kernel keeps this many bytes of a name (prctl(2)).
_NAME_BYTES = 15


def set_process_title(title: str, short_name: str) -> None:
    """Show `title` where setproctitle is installed, and `short_name` (15 bytes) as the command."""
    with contextlib.suppress(ImportError):
        importlib.import_module("setproctitle").setproctitle(title)
        return
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            name = ctypes.create_string_buffer(short_name.encode()[:_NAME_BYTES])
            ctypes.CDLL(None).prctl(_PR_SET_NAME, name, 0, 0, 0)

"""Which machine, which start of its kernel and which process this is.

A consumer's row carries it, so that others can tell a dead neighbour from a foreign machine.
"""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path

import msgspec

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Host(msgspec.Struct, frozen=True):
    """This process's place. `boot_id` changes with every start of the kernel."""

    name: str
    boot_id: str
    pid: int


def this_host() -> Host:
    """Return this process's place; asked anew after a fork, since the pid differs."""
    name, boot_id = _machine()
    return Host(name, boot_id, os.getpid())


def is_running(pid: int) -> bool:
    """Return whether a process with this pid exists here (maybe another one by now)."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@functools.cache
def _machine() -> tuple[str, str]:
    name = socket.gethostname()
    try:
        return name, _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        # Elsewhere a restart cannot be told from a run: the leases alone decide there.
        return name, f"host:{name}"

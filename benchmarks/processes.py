"""What a process and its descendants cost, from /proc (Linux only)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")
#: Fields of /proc/<pid>/stat after the name: parent, and the CPU times, own and reaped children's.
_PARENT, _OWN, _REAPED = 1, slice(11, 13), slice(13, 15)


def tree(pid: int) -> list[int]:
    """Return the process and its living descendants."""
    parents = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[_PARENT])
    found = [pid]
    for known in found:
        found.extend(child for child, parent in parents.items() if parent == known)
    return found


def cpu_s(pids: list[int]) -> float:
    """Return the CPU seconds they and their reaped children have used."""
    total_s = 0.0
    for pid in pids:
        if fields := _stat(pid):
            own, reaped = (sum(map(int, fields[part])) * _TICK_S for part in (_OWN, _REAPED))
            # Ticks of 10 ms know threads that have ended; the scheduler's nanoseconds do not.
            total_s += max(own, _threads_s(pid)) + reaped
    return total_s


def rss_mb(pid: int) -> float:
    """Return one process's resident memory in MB, shared pages included."""
    return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_BYTES / 1e6


def pss_mb(pids: list[int]) -> float:
    """Return the memory of all in MB, each shared page counted once."""
    total_kib = 0
    for pid in pids:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total_kib += int(line.split()[1])
    return total_kib * 1024 / 1e6


def _threads_s(pid: int) -> float:
    """Return the CPU seconds of its living threads."""
    total_ns = 0
    for path in (_PROC / str(pid) / "task").glob("*/schedstat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total_ns += int(path.read_text().split()[0])
    return total_ns / 1e9


def _stat(pid: int) -> list[str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The name is in parentheses and may hold anything.
    return text.rpartition(")")[2].split()

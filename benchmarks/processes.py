"""What a process and its descendants cost, from /proc (Linux only)."""

from __future__ import annotations

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")
#: Fields of /proc/<pid>/stat after the name: parent, and the four CPU times (own, reaped children).
_PARENT, _TIMES = 1, slice(11, 15)


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
    return sum(sum(map(int, fields[_TIMES])) for pid in pids if (fields := _stat(pid))) * _TICK_S


def busy_s(pids: list[int]) -> float:
    """Return the CPU seconds of their living threads, to the nanosecond: for those that hardly use
    any, where ticks of 10 ms tell nothing.
    """
    return sum(
        int(path.read_text().split()[0]) / 1e9
        for pid in pids
        for path in (_PROC / str(pid) / "task").glob("*/schedstat")
    )


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


def _stat(pid: int) -> list[str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The name is in parentheses and may hold anything.
    return text.rpartition(")")[2].split()

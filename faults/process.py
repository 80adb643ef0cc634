"""What the kernel tells of a process: its CPU, memory, descriptors and connections."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_ESTABLISHED = "01"
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process, without its children, has used."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def cpu_ratio(pid: int, look_s: float) -> float:
    """Return which share of a CPU a process uses in the next `look_s` seconds."""
    before_s = cpu_s(pid)
    time.sleep(look_s)
    return (cpu_s(pid) - before_s) / look_s


def own_bytes(pid: int) -> int:
    """Return the memory that would be free if the process ended."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(kib) for kib in re.findall(r"Private_\w+:\s+(\d+) kB", text))


def descriptor_count(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names that vanish are not looked at


def thread_count(pid: int) -> int:
    """Return how many threads a process has."""
    return int(_stat(pid)[17])


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and theirs."""
    parents = dict(_parents())
    found: list[int] = []
    waiting = [pid]
    while waiting:
        above = waiting.pop()
        children = [it for it, parent in parents.items() if parent == above]
        found += children
        waiting += children
    return found


def connection_count(pid: int, port: int) -> int:
    """Return how many connections to a loopback port a process holds."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {
        row[9]
        for row in rows
        if row[3] == _ESTABLISHED and int(row[2].partition(":")[2], 16) == port
    }
    return sum(inode in inodes for inode in _socket_inodes(pid))


def _socket_inodes(pid: int) -> Iterator[str]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found = _SOCKET.fullmatch(str(entry.readlink()))
        except FileNotFoundError:
            continue
        if found:
            yield found[1]


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), int(_stat(int(entry.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue


def _stat(pid: int) -> list[str]:
    """Return the fields behind the program's name, which may hold blanks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()

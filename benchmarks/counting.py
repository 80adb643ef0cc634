"""The task that is measured, and how many times it has run: the same for every peer.

A run adds one to an 8-byte file of its thread, mapped into memory: that costs a fraction of a
microsecond and tells an observer of another process the exact count, whatever the peer's broker
and result store say. The tasks that fairness is told by are here, too: a short one writes down how
long it had waited.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from pathlib import Path

#: Where the files are; a run's own folder.
VARIABLE = "BENCH_COUNTS"
#: Seconds that a short task takes; how a wait is written, and where beside the counts.
SHORT_S = 0.001
_WAIT, _WAITS = struct.Struct("d"), "waits"


class _Slot(threading.local):
    """The count of one thread of one process."""

    pid = 0
    count = 0
    cell: memoryview

    def open(self) -> None:
        """Make this thread's file, or go on in it: ids come again."""
        self.pid = os.getpid()
        path = Path(os.environ[VARIABLE]) / f"{self.pid}-{threading.get_native_id()}"
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(file, 8)
        self.cell = memoryview(mmap.mmap(file, 8)).cast("Q")
        os.close(file)
        self.count = self.cell[0]


_slot = _Slot()


def noop(number: int = 0) -> int:
    """Return what came in, and be counted."""
    if _slot.pid != os.getpid():
        _slot.open()
    _slot.count += 1
    _slot.cell[0] = _slot.count
    return number


def short(sent_at: float) -> None:
    """Write down the seconds since `sent_at` (an epoch), and take a millisecond."""
    waited_s = time.time() - sent_at
    folder = Path(os.environ[VARIABLE]).with_name(_WAITS)
    folder.mkdir(exist_ok=True)
    with (folder / f"{os.getpid()}-{threading.get_native_id()}").open("ab") as file:
        file.write(_WAIT.pack(waited_s))
    noop()
    time.sleep(SHORT_S)


def long(seconds: float) -> None:
    """Take so long, and be counted."""
    noop()
    time.sleep(seconds)


def waits_s(counts: Path) -> list[float]:
    """Return the waits of all short tasks beside a folder of counts, and forget them."""
    found: list[float] = []
    for path in counts.with_name(_WAITS).glob("*"):
        found.extend(value for (value,) in _WAIT.iter_unpack(path.read_bytes()))
        path.unlink()
    return found


class Counter:
    """What all threads of all processes have counted in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cells: dict[str, memoryview] = {}

    def total(self) -> int:
        """Return how many runs there were."""
        for name in os.listdir(self._folder):  # noqa: PTH208 - asked a thousand times a second
            if name not in self._cells and (self._folder / name).stat().st_size == 8:
                with (self._folder / name).open("rb") as file:
                    mapped = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
                self._cells[name] = memoryview(mapped).cast("Q")
        return sum(cell[0] for cell in self._cells.values())

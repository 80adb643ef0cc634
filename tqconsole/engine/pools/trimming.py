"""Gives memory back to the system that the C library has kept since a large message."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tqconsole.engine.freed_memory import malloc_trim

_STATM = Path("/proc/self/statm")
#: By so much, in bytes, a process must have grown or shrunk since the last time. What is freed in
#: one piece goes back by itself; what lies between pieces that are still used does not.
_MUCH_BYTES = 16 * 2**20
#: Looks after which one that has grown is trimmed once more: what it grew for may have been in use
#: the last time, and its end does not show in its size. Then it is taken for what it needs.
_AGAIN_LOOKS = (2, 3, 4, 6, 10, 20)


class Trimmer:
    """Looks at the size of this process. `trim` is glibc's `malloc_trim`."""

    def __init__(self, trim: Callable[[int], object], resident: Callable[[], int]) -> None:
        self._trim = trim
        self._resident = resident
        #: What it needs, as far as is known, and what it held after the last trim.
        self._need_bytes = self._seen_bytes = resident()
        #: Looks until each of the next trims.
        self._again: list[int] = []

    def look(self) -> None:
        """Give back what can be, when much has come or gone, and a few times after it has come."""
        if abs(self._resident() - self._seen_bytes) >= _MUCH_BYTES:
            self._again = list(_AGAIN_LOOKS)
            self._give_back()
        elif self._again:
            self._again[0] -= 1
            if self._again[0] <= 0:
                del self._again[0]
                self._give_back()

    def _give_back(self) -> None:
        self._trim(0)
        self._seen_bytes = self._resident()
        if self._seen_bytes < self._need_bytes + _MUCH_BYTES:
            self._again = []
        if not self._again:
            self._need_bytes = self._seen_bytes


def make_trimmer() -> Trimmer | None:
    """Return one for this process, None where the C library knows nothing of the kind."""
    trim = malloc_trim()
    return None if trim is None else Trimmer(trim, _resident_bytes)


def _resident_bytes() -> int:
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

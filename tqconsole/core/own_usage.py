"""What the console itself costs: its share of a core, and its memory.

A tool that watches a cluster must not be what is wrong with the machine, and must say so itself.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqconsole.engine.clock import SYSTEM_CLOCK, Clock

#: Seconds that one reading of the share spans.
SPAN_S = 2.0
#: Where Linux says how much memory of this process is in use.
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_ratio` 1.0 is a whole core. `resident_bytes` None: this system does not tell."""

    cpu_ratio: float
    resident_bytes: int | None


def cpu_s() -> float:
    """Return the seconds of CPU that this process has used, its threads together."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes() -> int | None:
    """Return how much memory this process holds now, None where that cannot be read."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


class OwnUsage:
    """Reads both, one reading every `SPAN_S`. `reading` is cheap: call it every frame."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK, used_s: Callable[[], float] = cpu_s) -> None:
        self._clock = clock
        self._used_s = used_s
        self._began = (clock.mono(), used_s())
        self._last: Usage | None = None

    def reading(self) -> Usage | None:
        """Return the newest reading, None before the first span is over."""
        now_mono = self._clock.mono()
        began_mono, began_s = self._began
        span_s = now_mono - began_mono
        if span_s >= SPAN_S:
            used_s = self._used_s()
            self._last = Usage((used_s - began_s) / span_s, resident_bytes())
            self._began = (now_mono, used_s)
        return self._last

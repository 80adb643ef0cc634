"""Small sums that the reports share."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def p95(values: Sequence[float]) -> float:
    """Return what 95 of 100 values do not exceed; `nan` without values."""
    return quantile(values, 0.95)


def quantile(values: Sequence[float], share: float) -> float:
    """Return what that share of the values does not exceed; `nan` without values."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def beyond(bounds: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return in words which figures are above their bound, name -> (figure, bound)."""
    return [
        f"{name}: {figure:.3g}, must be at most {bound:g}"
        for name, (figure, bound) in bounds.items()
        if not figure <= bound
    ]


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process, without its children, has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def cpu_ratio(pid: int, look_s: float) -> float:
    """Return which share of a CPU a process uses in the next `look_s` seconds."""
    before_s = cpu_s(pid)
    time.sleep(look_s)
    return (cpu_s(pid) - before_s) / look_s

"""Numbers, durations and instants as short text of a fixed look. Unknown is "-", never 0."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

#: What stands where a figure is not known.
UNKNOWN = "-"


def count(value: float | None) -> str:
    """Return 12,408."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def short_count(value: float | None) -> str:
    """Return 12.4k: three figures and a unit."""
    if value is None:
        return UNKNOWN
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1e3 if unit == "k" else limit)
            return f"{scaled:.1f}{unit}" if abs(scaled) < 100 else f"{scaled:.0f}{unit}"
    return f"{value:,.0f}"


def busy(
    active: int, slots: int | None, amount: Callable[[float | None], str], *, has_workers: bool
) -> str:
    """Return 142/288, 142/? where what the workers bear together is not known."""
    if slots is None:
        return f"{amount(active)}/?" if has_workers else amount(active)
    return f"{amount(active)}/{amount(slots)}"


def rate(value: float | None) -> str:
    """Return a number per second: 1,604 or 3.2 or 0.04."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def percent(ratio: float | None) -> str:
    """Return 0.42 for a ratio of 0.0042."""
    if ratio is None:
        return UNKNOWN
    value = ratio * 100
    if value == 0:
        return "0"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}"


def seconds(value: float | None) -> str:
    """Return a runtime in seconds for a right-aligned column: 1.204, 41.0, 90."""
    if value is None:
        return UNKNOWN
    if value < 10:
        return f"{value:.3f}"
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def duration(value: float | None) -> str:
    """Return a length of time in two units at most: 12 ms, 0.8 s, 6m12s, 3h05m, 4d02h."""
    if value is None:
        return UNKNOWN
    if value < 0:
        return "-" + duration(-value)
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    whole = int(value)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def age(value: float | None) -> str:
    """Return how long ago in whole units: 1s, 6m12s, 3h05m."""
    if value is None:
        return UNKNOWN
    return f"{max(0.0, value):.0f}s" if value < 60 else duration(value)


def size(value: int) -> str:
    """Return 54 MiB."""
    amount = float(value)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def usage(cpu_ratio: float, resident_bytes: int | None) -> str:
    """Return 4 % CPU, 92 MiB: what a process costs; a whole core is 100 %."""
    memory = f", {size(resident_bytes)}" if resident_bytes is not None else ""
    return f"{cpu_ratio * 100:.0f} % CPU{memory}"


def clock(at: float | None, *, with_millis: bool = False, is_utc: bool = False) -> str:
    """Return the time of day of an instant, in local time unless told."""
    if at is None:
        return UNKNOWN
    moment = datetime.fromtimestamp(at, UTC)
    if not is_utc:
        moment = moment.astimezone()
    text = moment.strftime("%H:%M:%S")
    return f"{text}.{moment.microsecond // 1000:03d}" if with_millis else text


def plural(number: int, noun: str) -> str:
    """Return "1 worker" or "3 workers"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

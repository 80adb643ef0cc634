"""Reads the numbers, durations and times of day that people type into a filter."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tqconsole.core.errors import FilterError

_UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h|d|w|)$", re.IGNORECASE)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?$")


def number_of(text: str, column: int) -> float:
    """Return a number, or a duration in seconds: `2`, `500ms`, `1.5h`. Raises: FilterError."""
    match = _NUMBER.match(text)
    if match is None:
        raise FilterError(f"{text!r} is no number or duration (500ms, 2s, 10m, 1h, 3d)", column)
    return float(match.group(1)) * _UNITS_S[match.group(2).lower()]


def instant_of(text: str, column: int, now_at: float) -> float:
    """Return an instant: a time of today here (`14:00`), or an ISO date and time.

    Raises: FilterError.
    """
    match = _TIME.match(text)
    today = datetime.fromtimestamp(now_at, UTC).astimezone()
    try:
        if match is not None:
            hour, minute, second = (int(part or 0) for part in match.groups())
            return today.replace(hour=hour, minute=minute, second=second, microsecond=0).timestamp()
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise FilterError(f"{text!r} is no time (14:00 or 2026-11-20T14:00)", column) from error
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=today.tzinfo)
    return instant.timestamp()


def range_of(text: str) -> tuple[str, str] | None:
    """Return both ends of `a..b`, None when it is no range."""
    least, dots, most = text.partition("..")
    return (least, most) if dots and least and most else None

"""Instants on the wire: ISO 8601 text there, epoch seconds here."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from math import modf


def iso_instant(at: float, zone: tzinfo = UTC) -> str:
    """Return the instant as Celery writes it: `2026-11-20T22:58:40.435663+00:00`.

    Raises: ValueError or OverflowError outside the years 1 to 9999.
    """
    if zone is not UTC or not at >= 0:
        return datetime.fromtimestamp(at, zone).isoformat()
    part_s, whole_s = modf(at)
    # To the nearest, half to even, as datetime does it.
    micros = round(part_s * 1e6)
    if micros == 0 or micros == 1_000_000:
        return _whole_second(whole_s + (micros != 0))
    return f"{_whole_second(whole_s)[:-6]}.{micros:06d}+00:00"


@lru_cache(maxsize=8)
def _whole_second(at: float) -> str:
    """Every record has its date: most of them are of this second."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def epoch_instant(text: str | datetime, naive_tz: tzinfo = UTC) -> float:
    """Return epoch seconds; a text without offset is read in `naive_tz`.

    Raises: ValueError if it is no date.
    """
    instant = datetime.fromisoformat(text) if isinstance(text, str) else text
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=naive_tz)
    try:
        return instant.timestamp()
    except OverflowError as error:
        raise ValueError(f"{instant} is out of range") from error

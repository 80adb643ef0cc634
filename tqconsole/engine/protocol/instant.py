"""Instants on the wire: ISO 8601 text there, epoch seconds here."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


def iso_instant(at: float, zone: tzinfo = UTC) -> str:
    """Return the instant as Celery writes it: `2026-11-20T22:58:40.435663+00:00`.

    Raises: ValueError or OverflowError outside the years 1 to 9999.
    """
    return datetime.fromtimestamp(at, zone).isoformat()


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

"""Exports: a text becomes a new file in the working folder, never over an old one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path


def write_export(stem: str, suffix: str, text: str, now_at: float, folder: Path) -> Path:
    """Write `text` and return where. Raises: OSError."""
    moment = datetime.fromtimestamp(now_at, UTC).strftime("%Y%m%d-%H%M%S")
    name = f"tqconsole-{stem}-{moment}"
    for number in range(100):
        tail = f"-{number}" if number else ""
        path = folder / f"{name}{tail}.{suffix}"
        try:
            with path.open("x", encoding="utf-8", errors="replace") as sink:
                sink.write(text)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{name}.{suffix} and 99 more exist already")

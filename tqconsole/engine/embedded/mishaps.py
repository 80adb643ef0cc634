"""SQLite's errors in our words: which file, what happened, what to do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqconsole.engine.exceptions import (
    EngineError,
    ForeignFileError,
    ImproperlyConfigured,
    OperationalError,
)

#: A note beside the file: the next opening is to check it. Made when SQLite found it damaged.
SUSPECT_SUFFIX = "-suspect"


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn every `sqlite3.Error` of the block into an `EngineError` that names `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise translation_of(error, path) from error


def translation_of(error: sqlite3.Error, path: str) -> EngineError:
    """Return the error to raise instead. No retry helps an `ImproperlyConfigured`."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary == sqlite3.SQLITE_NOTADB:
        return ForeignFileError(
            f"{path} is not a database of tqconsole; name another file, or move this one away"
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return ImproperlyConfigured(f"{path} cannot be written by this user ({error})")
    if primary == sqlite3.SQLITE_CANTOPEN and _is_forbidden(path):
        return ImproperlyConfigured(f"{path} cannot be opened by this user; who owns it?")
    if primary == sqlite3.SQLITE_CORRUPT:
        _mark_suspect(path)
        return OperationalError(
            f"{path} is damaged ({error}); stop the programs that use it: the next start checks it"
            " and moves it aside"
        )
    return OperationalError(f"{path}: {error}{_advice(primary)}")


def _advice(primary: int | None) -> str:
    match primary:
        case sqlite3.SQLITE_FULL:
            return "; nothing was written, make room on the disk"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "; another program holds it for too long (an open transaction in a shell?)"
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN:
            return "; look at the disk (full, read-only, too many open files?)"
        case _:
            return ""


def _is_forbidden(path: str) -> bool:
    name = path if Path(path).exists() else str(Path(path).parent)
    return not os.access(name, os.R_OK | os.W_OK)


def _mark_suspect(path: str) -> None:
    try:
        Path(path + SUSPECT_SUFFIX).touch(mode=0o600)
    except OSError:
        # A disk in trouble; the damage itself is what gets reported.
        return

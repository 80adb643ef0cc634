"""Opening one of the store's files: pragmas, the check whose file it is, and its repair.

Everything here runs under the writers' lock, so that two processes that start at once make one
file and not half of two.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from tqconsole.engine.clock import Clock
from tqconsole.engine.embedded import schema as tables
from tqconsole.engine.embedded.host import Host
from tqconsole.engine.embedded.mishaps import SUSPECT_SUFFIX
from tqconsole.engine.embedded.schema import Schema
from tqconsole.engine.embedded.upgrade import check, upgrade
from tqconsole.engine.exceptions import ForeignFileError

logger = logging.getLogger(__name__)

#: Milliseconds SQLite waits for a lock: a backstop against programs that do not take ours.
BUSY_MS = 5000
_PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_MS}",
    # Checkpoints only by us, under the writers' lock.
    "PRAGMA wal_autocheckpoint=0",
    f"PRAGMA journal_size_limit={64 * 1024 * 1024}",
    "PRAGMA cache_size=-16000",
    # A hostile file must not run code or walk out of its pages.
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA temp_store=MEMORY",
)


def refuse_foreign(path: str, schema: Schema) -> None:
    """Raise for a file of somebody else's before anything of ours is made beside it.

    For a file that no process of ours has open. One whose header may still lie in its journal, or
    that cannot be read, is left to `open_writer`. Raises: ForeignFileError, sqlite3.DatabaseError.
    """
    if not _size_of(path) or _size_of(path + "-wal"):
        return
    try:
        # Immutable: SQLite takes no lock and makes no file.
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)
        with closing(connection):
            if not tables.is_blank(connection):
                tables.check_owner(connection, schema, path)
    except sqlite3.OperationalError:
        return


def open_writer(path: str, schema: Schema, host: Host, clock: Clock) -> sqlite3.Connection:
    """Return the connection that writes, its file made or checked.

    The caller holds the writers' lock. Raises: sqlite3.Error, ForeignFileError,
    ImproperlyConfigured.
    """
    had_journal = _size_of(path + "-wal") > 0
    connection = _prepared(path, schema)
    try:
        if _needs_check(connection, path, host, had_journal=had_journal) and not _is_sound(
            connection
        ):
            connection.close()
            _set_aside(path, schema, clock)
            connection = _prepared(path, schema)
        Path(path + SUSPECT_SUFFIX).unlink(missing_ok=True)
        upgrade(connection, schema, path, clock)
        _note_opening(connection, host)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: str) -> sqlite3.Connection:
    """Return a connection that can only read. The file exists."""
    connection = _connect(path, "ro")
    try:
        connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def shrink(connection: sqlite3.Connection | None) -> None:
    """Have a connection give back the pages it keeps at hand, 16 MB at most. Never raises."""
    if connection is not None:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA shrink_memory")


def file_number(path: str) -> int:
    """Return what tells this file from one of the same name made later; 0 when there is none."""
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - a microsecond per read; Path costs four
    except OSError:
        return 0


def _prepared(path: str, schema: Schema) -> sqlite3.Connection:
    _make_private(path)
    connection = _connect(path, "rw")
    try:
        if tables.is_blank(connection):
            _initialise(connection, schema)
        else:
            check(connection, schema, path)
            # Also makes sure that the journal's files exist before a reader comes.
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: str, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(path)}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        if hasattr(connection, "setconfig"):
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE)  # type: ignore[attr-defined,unused-ignore]
    except BaseException:
        connection.close()
        raise
    return connection


def _make_private(path: str) -> None:
    """Make the file 0600 before SQLite does with the umask; its journals inherit the mode.

    Only when it is absent: opening and closing a database by hand drops its process's locks.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError:
        # SQLite meets the same trouble next and its error is translated.
        return


def _initialise(connection: sqlite3.Connection, schema: Schema) -> None:
    # Both must come before the first table.
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("PRAGMA journal_mode=WAL").fetchone()
    connection.execute("BEGIN IMMEDIATE")
    try:
        tables.create(connection, schema)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _needs_check(
    connection: sqlite3.Connection, path: str, host: Host, *, had_journal: bool
) -> bool:
    """The kernel that wrote last is gone and left a journal: power may have failed in a write."""
    if Path(path + SUSPECT_SUFFIX).exists():
        return True
    row = connection.execute("SELECT value FROM meta WHERE key='boot_id'").fetchone()
    return had_journal and row is not None and row[0] != host.boot_id


def _is_sound(connection: sqlite3.Connection) -> bool:
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False


def _set_aside(path: str, schema: Schema, clock: Clock) -> None:
    stamp = int(clock.now())
    for suffix in ("", "-wal", "-shm"):
        source = Path(path + suffix)
        if not source.exists():
            continue
        if schema.is_precious:
            source.rename(f"{path}.corrupt-{stamp}{suffix}")
        else:
            source.unlink()
    if schema.is_precious:
        logger.error(
            "%s was damaged and is now %s.corrupt-%d; starting with an empty one",
            path, path, stamp,
        )  # fmt: skip


def _note_opening(connection: sqlite3.Connection, host: Host) -> None:
    known = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    note = {"boot_id": host.boot_id, "pid": str(host.pid)}
    if all(known.get(key) == value for key, value in note.items()):
        return
    with closing(connection.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(
            "INSERT INTO meta (key, value) VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET value=excluded.value",
            list(note.items()),
        )
        cursor.execute("COMMIT")


def _size_of(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


__all__ = [
    "BUSY_MS",
    "ForeignFileError",
    "file_number",
    "open_reader",
    "open_writer",
    "refuse_foreign",
]

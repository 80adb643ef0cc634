"""The file in which a cluster's tasks outlive the console: one SQLite database for each cluster.

It holds rows that ended (and, from an orderly end, those that had not) within a budget of rows and
of bytes; failures, retries and revoked tasks have a quota of their own and so stay longer. Files
are 0600 and their folder 0700, since arguments may be secret. Used by one thread at a time; other
consoles may have the same file open.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from tqconsole.core.merge import PROBLEMS
from tqconsole.core.store import ROW_BYTES
from tqconsole.core.views import PAST, TaskRow

#: Plain rows, problems beside them, and bytes of both that a file holds unless asked otherwise.
ROWS_LIMIT, PROBLEM_RATIO, BYTES_LIMIT = 100_000, 0.25, 128 * 1024 * 1024
#: Part of the budget written between two trims, and what one trim frees.
TRIM_RATIO = 0.05
#: Seconds to wait for another program that writes; then the rows wait instead.
BUSY_S = 0.25
#: What `PRAGMA user_version` says of files of this shape.
SHAPE = 1

_COLUMNS = (
    "task_id", "name", "state", "worker", "queue", "args", "kwargs", "result", "exception",
    "traceback", "eta", "expires", "root_id", "parent_id", "sent_at", "received_at", "started_at",
    "ended_at", "failed_at", "updated_at", "runtime_s", "retries", "lost_by", "text_bytes",
)  # fmt: skip
#: Names repeat in thousands of rows: each is kept in memory once.
_REPEATING = ("name", "state", "worker", "queue", "lost_by")

_read = attrgetter(*_COLUMNS)
_SCHEMA = f"""
CREATE TABLE tasks ({", ".join(_COLUMNS)}, is_problem INTEGER NOT NULL, UNIQUE (task_id));
CREATE INDEX by_kind ON tasks (is_problem, text_bytes);
PRAGMA user_version = {SHAPE};
"""
_INSERT = (
    f"INSERT OR REPLACE INTO tasks ({', '.join(_COLUMNS)}, is_problem)"  # noqa: S608 - our names
    f" VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"
)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM tasks ORDER BY rowid DESC LIMIT ?"  # noqa: S608 - as above
_TRIM = (
    "DELETE FROM tasks WHERE rowid IN"
    " (SELECT rowid FROM tasks WHERE is_problem = ? ORDER BY rowid LIMIT ?)"
)

Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a file holds; instants are None while it is empty."""

    row_count: int
    problem_count: int
    file_bytes: int
    oldest_at: float | None
    newest_at: float | None


def history_folder() -> Path:
    """Return where the files stand, whether or not it exists."""
    return user_state_path("tqconsole") / "history"


def history_path(context_name: str, broker_url: str) -> Path:
    """Return the file of a cluster: by its context's name, else by its broker's URL."""
    identity = f"context {context_name}" if context_name else broker_url
    word = re.sub(r"[^A-Za-z0-9.]+", "-", context_name or broker_url).strip("-.")[:48]
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return history_folder() / f"{word}-{digest}.db"


def values_of(row: TaskRow) -> Values:
    """Return a row as the values a file keeps."""
    return (*_read(row), row.state in PROBLEMS or row.is_lost)


class HistoryFile:
    """An open file. Every method raises: sqlite3.Error, OSError."""

    def __init__(
        self, path: Path, *, rows_limit: int = ROWS_LIMIT, bytes_limit: int = BYTES_LIMIT
    ) -> None:
        self.path = path
        self._rows_limit = rows_limit
        self._bytes_limit = bytes_limit
        self._written_count = 0
        self._connection = _opened(path)

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def save(self, rows: Sequence[Values]) -> None:
        """Write rows in one transaction; a row of the same task is replaced."""
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, rows)
        self._written_count += len(rows)
        if self._written_count >= self._rows_limit * TRIM_RATIO:
            self.trim()

    def trim(self) -> None:
        """Let the oldest rows go where a budget is exceeded."""
        self._written_count = 0
        spare = 1 - TRIM_RATIO
        counts, sizes = [0, 0], [0, 0]
        for kind, count, size in self._connection.execute(
            "SELECT is_problem, COUNT(*), SUM(text_bytes) FROM tasks GROUP BY is_problem"
        ):
            counts[kind], sizes[kind] = count, size + count * ROW_BYTES
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            for kind, ratio in ((0, 1.0), (1, PROBLEM_RATIO)):
                share = ratio / (1 + PROBLEM_RATIO)
                excess = _excess(
                    counts[kind],
                    sizes[kind],
                    self._rows_limit * ratio * spare,
                    self._bytes_limit * share * spare,
                )
                if excess:
                    connection.execute(_TRIM, (kind, excess))

    def load(self) -> Iterator[TaskRow]:
        """Yield the rows, newest first, as rows of the past."""
        limit = int(self._rows_limit * (1 + PROBLEM_RATIO))
        cursor = self._connection.execute(_SELECT, (limit,))
        while batch := cursor.fetchmany(500):
            yield from map(_row, batch)

    def figures(self) -> Figures:
        """Return what it holds."""
        count, problems, oldest_at, newest_at = self._connection.execute(
            "SELECT COUNT(*), TOTAL(is_problem), MIN(updated_at), MAX(updated_at) FROM tasks"
        ).fetchone()
        size = sum(path.stat().st_size for path in files_of(self.path))
        return Figures(count, int(problems), size, oldest_at, newest_at)


def files_of(path: Path) -> list[Path]:
    """Return the files there are of one database: itself and what SQLite keeps beside it."""
    return [each for each in (path, *_beside(path)) if each.exists()]


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives the files beside it the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A power cut may cost the last second, never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        (shape,) = connection.execute("PRAGMA user_version").fetchone()
        if shape != SHAPE:
            _lay_out(connection, shape)
    except BaseException:
        connection.close()
        raise
    return connection


def _lay_out(connection: sqlite3.Connection, shape: int) -> None:
    """Make the tables. What another version has left is let go: it is only history."""
    if shape > SHAPE:
        raise sqlite3.DatabaseError("a newer version of tqconsole has written it")
    connection.executescript(f"BEGIN IMMEDIATE; DROP TABLE IF EXISTS tasks; {_SCHEMA} COMMIT;")


def _excess(count: int, size: float, rows_limit: float, bytes_limit: float) -> int:
    """Return how many of `count` rows must go, so that both limits hold."""
    over_bytes = max(0.0, size - bytes_limit)
    by_bytes = over_bytes / (size / count) if count and size else 0.0
    return int(max(0.0, count - rows_limit, by_bytes))


def _row(values: Values) -> TaskRow:
    row = TaskRow(values[0], 0)
    for name, value in zip(_COLUMNS[1:], values[1:], strict=True):
        setattr(row, name, value)
    for name in _REPEATING:
        setattr(row, name, sys.intern(getattr(row, name)))
    row.source = PAST
    return row

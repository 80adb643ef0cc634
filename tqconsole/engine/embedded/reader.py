"""Reading connections: short reads that see a committed state and never take a lock of the file.

A read fetches everything and ends at once, because an open one keeps the journal from being
written back.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from tqconsole.engine.embedded import forks
from tqconsole.engine.embedded.connection import file_number, open_reader, shrink
from tqconsole.engine.embedded.mishaps import translated

Value = TypeVar("Value")

#: Connections a process keeps for reading; more readers at once wait for one another.
_MOST_READERS = 4
#: Seconds a fork waits for a read that is under way.
_FORK_PATIENCE_S = 5.0


class Reader:
    """One connection that can only read. Thread-safe: reads take turns."""

    def __init__(self, path: str, ensure: Callable[[], None]) -> None:
        self._path = path
        self._ensure = ensure
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file_number = 0
        self._is_held_for_fork = False
        forks.guard(self, forks.Turn.READER)

    def read(self, query: Callable[[sqlite3.Connection], Value]) -> Value:
        """Return what `query` makes of the connection. It must fetch all it wants."""
        with self._lock:
            return self._run(query)

    def try_read(self, query: Callable[[sqlite3.Connection], Value]) -> tuple[bool, Value | None]:
        """Return (True, value), or (False, None) when another thread is reading here."""
        if not self._lock.acquire(blocking=False):
            return False, None
        try:
            return True, self._run(query)
        finally:
            self._lock.release()

    def version(self) -> int:
        """Return a number that changes when another connection has committed (about 4 us)."""
        return self.read(lambda it: int(it.execute("PRAGMA data_version").fetchone()[0]))

    def shrink(self) -> None:
        """Give back the pages that are kept at hand, unless somebody reads just now."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            shrink(self._connection)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close; a later read opens again."""
        with self._lock:
            self._close()

    def before_fork(self) -> None:
        """Close, and keep every thread out until the fork is over."""
        self._is_held_for_fork = self._lock.acquire(timeout=_FORK_PATIENCE_S)
        if self._is_held_for_fork:
            self._close()

    def after_fork(self, *, is_child: bool) -> None:
        """Let threads in again."""
        if self._is_held_for_fork:
            self._is_held_for_fork = False
            self._lock.release()

    def _run(self, query: Callable[[sqlite3.Connection], Value]) -> Value:
        with translated(self._path):
            return query(self._opened())

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and file_number(self._path) != self._file_number:
            self._close()
        if self._connection is None:
            self._ensure()
            self._connection = open_reader(self._path)
            self._file_number = file_number(self._path)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Readers:
    """A few readers for whoever asks. Thread-safe."""

    def __init__(self, path: str, ensure: Callable[[], None]) -> None:
        self._path = path
        self._ensure = ensure
        self._readers: list[Reader] = []

    def read(self, query: Callable[[sqlite3.Connection], Value]) -> Value:
        """Run `query` on a reader that is free, on a new one, or wait for one."""
        for reader in self._readers:
            was_free, value = reader.try_read(query)
            if was_free:
                return value  # type: ignore[return-value]
        with forks.making:
            if len(self._readers) < _MOST_READERS:
                reader = Reader(self._path, self._ensure)
                self._readers.append(reader)
            else:
                reader = self._readers[0]
        return reader.read(query)

    def shrink(self) -> None:
        """Have all that are free give back the pages they keep at hand."""
        for reader in list(self._readers):
            reader.shrink()

    def close(self) -> None:
        """Close all."""
        for reader in list(self._readers):
            reader.close()


def rows(connection: sqlite3.Connection, statement: str, *values: object) -> list[Any]:
    """Return all rows of a query."""
    return connection.execute(statement, values).fetchall()


def first(connection: sqlite3.Connection, statement: str, *values: object) -> Any:
    """Return the first row of a query, None when there is none; leaves nothing open."""
    found = connection.execute(statement, values).fetchmany(1)
    return found[0] if found else None

"""Group commit: what several threads want written goes into one transaction.

The thread that finds nobody at work leads: it takes everything that waits, its own included, and
commits it once; the others find theirs done. Nobody lingers for more. One writing connection per
process, closed around forks, and one lock between processes (lock.py).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import msgspec

from tqconsole.engine.clock import Clock
from tqconsole.engine.embedded import forks
from tqconsole.engine.embedded.bell import Ringer
from tqconsole.engine.embedded.connection import (
    BUSY_MS,
    file_number,
    open_writer,
    refuse_foreign,
    shrink,
)
from tqconsole.engine.embedded.host import this_host
from tqconsole.engine.embedded.lock import FileLock
from tqconsole.engine.embedded.mishaps import translated, translation_of
from tqconsole.engine.embedded.schema import Schema
from tqconsole.engine.exceptions import OperationalError

Value = TypeVar("Value")

#: Bytes of journal after which the holder of the lock writes it back into the file. Everybody waits
#: for that, some 25 ms: with half as much it took as long and came twice as often, with twice as
#: much it took half as long again.
CHECKPOINT_BYTES = 8 * 1024 * 1024
#: Milliseconds a checkpoint waits for readers; what is left is done next time.
_CHECKPOINT_BUSY_MS = 20
#: Units in one transaction: bounds how long others wait for the lock.
_MOST_UNITS = 64
#: Seconds a thread waits for the leader of its own process before it gives up.
_LEADER_PATIENCE_S = 15.0


class Transaction(msgspec.Struct):
    """What a unit of work gets: the connection, one reading of the clock, and whom to ring after
    the commit (addresses of bells).
    """

    connection: sqlite3.Connection
    now_at: float
    rings: set[str] = msgspec.field(default_factory=set)

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Return all rows of a query."""
        return self.connection.execute(statement, values).fetchall()

    def first(self, statement: str, *values: object) -> Any:
        """Return the first row of a query, None when there is none."""
        return self.connection.execute(statement, values).fetchone()

    def run(self, statement: str, *values: object) -> int:
        """Execute one statement and return how many rows it changed."""
        return self.connection.execute(statement, values).rowcount

    def run_many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Execute one statement for every row."""
        self.connection.executemany(statement, rows)


#: A unit of work. It may run twice (when the transaction it shared failed), so it changes nothing
#: but the database and its transaction's rings.
Unit = Callable[[Transaction], Value]


class _Ticket(msgspec.Struct, Generic[Value], eq=False):
    unit: Unit[Value]
    is_durable: bool
    value: Value | None = None
    error: BaseException | None = None
    is_done: bool = False

    def outcome(self) -> Value:
        if self.error is not None:
            raise self.error
        return cast("Value", self.value)


class Writer:
    """The one connection of this process that writes a file. All calls are thread-safe."""

    def __init__(self, path: str, schema: Schema, clock: Clock, *, is_synced: bool) -> None:
        self._path = path
        self._schema = schema
        self._clock = clock
        self._strongest = "FULL" if is_synced else "NORMAL"
        if not schema.is_precious:
            self._strongest = "OFF"
        self._lock = FileLock(path + "-wlock", clock)
        self._ringer = Ringer()
        self._leading = threading.Lock()
        self._is_held_for_fork = False
        self._waiting: deque[_Ticket[Any]] = deque()
        self._connection: sqlite3.Connection | None = None
        self._file_number = 0
        self._synchronous = ""
        self._checkpoint_at_bytes = CHECKPOINT_BYTES
        forks.guard(self, forks.Turn.WRITER)

    def write(self, unit: Unit[Value], *, is_durable: bool) -> Value:
        """Run `unit` in a transaction and return its value once that is committed.

        `is_durable`: the commit is on the disk before this returns (unless `?sync=normal`).
        Raises: OperationalError, ImproperlyConfigured, and what the unit raises; nothing of the
        unit took effect then.
        """
        ticket = _Ticket(unit, is_durable)
        self._waiting.append(ticket)
        if not self._leading.acquire(timeout=_LEADER_PATIENCE_S):
            self._withdraw(ticket)
            raise OperationalError(f"{self._path}: a write of this process takes too long")
        try:
            if not ticket.is_done:
                self._lead(ticket)
        finally:
            self._leading.release()
        return ticket.outcome()

    def open(self) -> None:
        """Make sure that the file exists and is ours."""
        with self._leading:
            self._locked(lambda: None)

    def vacuum(self, page_count: int) -> None:
        """Give free pages back to the disk. It takes no transaction of ours."""

        def free() -> None:
            # `execute` would step once and free one page.
            self._opened().executescript(f"PRAGMA incremental_vacuum({page_count:d});")

        with self._leading:
            self._locked(free)

    def shrink(self) -> None:
        """Give back the pages that are kept at hand, unless somebody writes just now."""
        if not self._leading.acquire(blocking=False):
            return
        try:
            shrink(self._connection)
        finally:
            self._leading.release()

    def close(self) -> None:
        """Close the connection; a later write opens it again."""
        with self._leading:
            self._close()
            self._lock.forget()
            self._ringer.close()

    def before_fork(self) -> None:
        """Close, and keep every thread out until the fork is over."""
        self._is_held_for_fork = self._leading.acquire(timeout=_LEADER_PATIENCE_S)
        if self._is_held_for_fork:
            self._close()
            self._lock.forget()

    def after_fork(self, *, is_child: bool) -> None:
        """Let threads in again; in the child forget the tickets of threads that are not there."""
        if is_child:
            self._waiting.clear()
        if self._is_held_for_fork:
            self._is_held_for_fork = False
            self._leading.release()

    def _withdraw(self, ticket: _Ticket[Any]) -> None:
        try:
            self._waiting.remove(ticket)
        except ValueError:
            # A leader took it: it may still be written, as with any call that timed out.
            return

    def _lead(self, own: _Ticket[Any]) -> None:
        batch = self._taken(own)
        try:
            self._locked(lambda: self._commit_all(batch))
        except Exception as error:
            # The lock or the file could not be had: nothing ran. The others try for themselves.
            if own.is_done:
                raise
            own.error, own.is_done = error, True

    def _taken(self, own: _Ticket[Any]) -> list[_Ticket[Any]]:
        batch = [own]
        while len(batch) < _MOST_UNITS:
            try:
                ticket = self._waiting.popleft()
            except IndexError:
                break
            if ticket is not own and not ticket.is_done:
                batch.append(ticket)
        else:
            self._withdraw(own)
        return batch

    def _commit_all(self, batch: list[_Ticket[Any]]) -> None:
        if len(batch) > 1 and self._commit(batch, is_last_try=False):
            return
        for ticket in batch:
            self._commit([ticket], is_last_try=True)

    def _commit(self, batch: list[_Ticket[Any]], *, is_last_try: bool) -> bool:
        """Commit the units together. A failed group is rolled back and tried one by one."""
        connection = self._connection or self._opened()
        values: list[Any] = []
        try:
            self._set_synchronous(connection, is_durable=any(one.is_durable for one in batch))
            connection.execute("BEGIN IMMEDIATE")
            transaction = Transaction(connection, self._clock.now())
            values.extend(ticket.unit(transaction) for ticket in batch)
            connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back(connection)
            if not isinstance(error, Exception):
                raise
            if is_last_try:
                self._fail(batch[0], error)
            return False
        for ticket, value in zip(batch, values, strict=True):
            ticket.value, ticket.is_done = value, True
        self._ringer.ring(transaction.rings)
        return True

    def _fail(self, ticket: _Ticket[Any], error: Exception) -> None:
        if isinstance(error, sqlite3.Error):
            translation = translation_of(error, self._path)
            translation.__cause__ = error
            error = translation
            # A connection that met an I/O error or a full disk is not trusted with the next write.
            self._close_connection()
        ticket.error, ticket.is_done = error, True

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._close_connection()

    def _set_synchronous(self, connection: sqlite3.Connection, *, is_durable: bool) -> None:
        wanted = self._strongest if is_durable or self._strongest == "OFF" else "NORMAL"
        if wanted != self._synchronous:
            connection.execute(f"PRAGMA synchronous={wanted}")
            self._synchronous = wanted

    def _locked(self, action: Callable[[], None]) -> None:
        """Run `action` under the lock between processes; then write a big journal back."""
        with translated(self._path):
            if not self._lock.is_made:
                refuse_foreign(self._path, self._schema)
            self._lock.acquire()
            try:
                self._opened()
                action()
                self._checkpoint()
            finally:
                self._lock.release()

    def _opened(self) -> sqlite3.Connection:
        """Return the connection, opened anew when the file was replaced or deleted meanwhile."""
        if self._connection is not None and file_number(self._path) != self._file_number:
            self._close_connection()
        if self._connection is None:
            self._connection = open_writer(self._path, self._schema, this_host(), self._clock)
            self._file_number = file_number(self._path)
            self._synchronous = ""
        return self._connection

    def _checkpoint(self) -> None:
        journal_bytes = _size_of(self._path + "-wal")
        if journal_bytes < self._checkpoint_at_bytes or self._connection is None:
            return
        connection = self._connection
        connection.execute(f"PRAGMA busy_timeout={_CHECKPOINT_BUSY_MS}")
        try:
            is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error:
            # The commit stands; a full disk shows itself at the next write.
            is_busy = True
        finally:
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        # A long reader is in the way: do not knock at every commit.
        step_bytes = journal_bytes if is_busy else 0
        self._checkpoint_at_bytes = CHECKPOINT_BYTES + step_bytes

    def _close(self) -> None:
        """Close under the lock: the last one to close writes the journal back."""
        if self._connection is None:
            return
        try:
            self._lock.acquire()
        except OperationalError:
            # A stopped writer holds it. SQLite's own lock still makes this safe, only not alone.
            self._close_connection()
            return
        try:
            self._close_connection()
        finally:
            self._lock.release()

    def _close_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - asked at every commit
    except OSError:
        return 0

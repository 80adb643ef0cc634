"""The embedded store: the two files, their writers and readers, and the folder of bells.

One `Store` per file and process, shared by broker and result store, so that their writes meet in
one transaction. The verbs stand in their own modules (publish, exchange, reap, results, ...) and
take a store or a transaction.
"""

from __future__ import annotations

import atexit
import contextlib
import sqlite3
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.embedded import forks
from tqconsole.engine.embedded.bell import Bell, bells_folder
from tqconsole.engine.embedded.location import Location
from tqconsole.engine.embedded.reader import Reader, Readers, first
from tqconsole.engine.embedded.schema import LOG, MAIN, Schema
from tqconsole.engine.embedded.writer import Transaction, Unit, Writer
from tqconsole.engine.exceptions import EngineError

Value = TypeVar("Value")


class Database:
    """One file with one writer and some readers. Opens on first use; thread-safe."""

    def __init__(self, path: str, schema: Schema, clock: Clock, *, is_synced: bool) -> None:
        self.path = path
        self._writer = Writer(path, schema, clock, is_synced=is_synced)
        self._readers = Readers(path, self.open)
        #: For all that wait here and only look now and then: a connection each would cost more
        #: than the wait. Whoever asks its version remembers the number for himself.
        self.watcher = Reader(path, self.open)

    def open(self) -> None:
        """Make the file, or check that it is ours.

        Raises: ImproperlyConfigured, OperationalError.
        """
        self._writer.open()

    def write(self, unit: Unit[Value], *, is_durable: bool = False) -> Value:
        """Run a unit of work in a (shared) transaction; see `Writer.write`."""
        return self._writer.write(unit, is_durable=is_durable)

    def read(self, query: Callable[[sqlite3.Connection], Value]) -> Value:
        """Run a short read."""
        return self._readers.read(query)

    def reader(self) -> Reader:
        """Return a reader of one's own, for who asks often. Its owner closes it."""
        return Reader(self.path, self.open)

    def vacuum(self, page_count: int) -> None:
        """Give up to `page_count` free pages back to the disk."""
        self._writer.vacuum(page_count)

    def shrink(self) -> None:
        """Give back the pages that connections keep at hand, where nobody uses one just now."""
        self._readers.shrink()
        self.watcher.shrink()
        self._writer.shrink()

    def close(self) -> None:
        """Close all connections; a later call opens them again."""
        self._readers.close()
        self.watcher.close()
        self._writer.close()


class Store:
    """Broker, results and events of one file. Thread-safe and usable after a fork."""

    def __init__(self, location: Location, clock: Clock = SYSTEM_CLOCK) -> None:
        self.location = location
        self.clock = clock
        self.main = Database(location.path, MAIN, clock, is_synced=location.is_synced)
        self.log = Database(location.path + "-events", LOG, clock, is_synced=False)
        self._bells: Path | None = None

    def connect(self) -> None:
        """Make sure that the file can be used."""
        self.main.open()

    def bells(self) -> Path:
        """Return the folder where this store's bells hang; all its processes agree on it."""
        folder = self._bells
        if folder is None or not folder.is_dir():
            folder = self._bells = self._agreed_folder()
        return folder

    def bell(self, name: str) -> Bell:
        """Hang up a bell. The URL's `bell` option says which kind."""
        return Bell(self.bells(), name, self.location.bell_kind)

    def close(self) -> None:
        """Close all connections; a later call opens them again."""
        self.main.close()
        self.log.close()

    def _agreed_folder(self) -> Path:
        statement = "SELECT value FROM meta WHERE key='bells'"
        row = self.main.read(lambda it: first(it, statement))
        folder = bells_folder(self.location.path, row[0] if row else None)
        if row is not None:
            return folder

        def note(transaction: Transaction) -> str:
            transaction.run("INSERT OR IGNORE INTO meta VALUES ('bells', ?)", str(folder))
            return str(transaction.first(statement)[0])

        return bells_folder(self.location.path, self.main.write(note))


# One writing connection per process is what makes group commit and the writers' order work, and
# processes are what this is about: so the table is the process's, and holds nothing alive.
_stores: weakref.WeakValueDictionary[tuple[Location, int], Store] = weakref.WeakValueDictionary()


def _close_all() -> None:
    """The last one to close writes the journal back, which must happen under the writers' lock."""
    for store in list(_stores.values()):
        with contextlib.suppress(EngineError):
            store.close()


atexit.register(_close_all)


def open_store(location: Location, clock: Clock = SYSTEM_CLOCK) -> Store:
    """Return this process's store of that location. Opens no file yet."""
    key = (location, id(clock))
    with forks.making:
        store = _stores.get(key)
        if store is None:
            store = _stores[key] = Store(location, clock)
        return store

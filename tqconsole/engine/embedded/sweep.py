"""Housekeeping: what has expired, queues nobody uses, bells of the dead, free pages.

Run by whoever renews a lease, at most every 30 seconds for all processes together, in steps that
hold the writers' lock briefly.
"""

from __future__ import annotations

import contextlib
import sqlite3
from functools import partial

import msgspec

from tqconsole.engine.embedded import bindings, log, places
from tqconsole.engine.embedded.bell import Liveness, liveness_of
from tqconsole.engine.embedded.reader import first, rows
from tqconsole.engine.embedded.store import Store
from tqconsole.engine.embedded.writer import Transaction, Unit

#: Seconds between two sweeps, whoever makes them.
INTERVAL_S = 30.0
#: Rows deleted in one transaction.
_STEP = 2000
#: Steps in one sweep: the rest waits for the next.
_MOST_STEPS = 20
#: Pages freed in one step (about 5 ms).
_VACUUM_PAGES = 2000
#: The free share of a file above which pages are given back, and the least worth it.
_FREE_RATIO = 0.2
_FEWEST_FREE_PAGES = 256


class Swept(msgspec.Struct, frozen=True):
    """What one sweep removed."""

    result_count: int = 0
    entry_count: int = 0
    message_count: int = 0
    queue_count: int = 0
    bell_count: int = 0


def sweep_if_due(store: Store) -> Swept | None:
    """Sweep when nobody did for 30 seconds; None when it was not due."""
    if not _is_due(store.main.read(_last_at), store.clock.now()):
        return None

    def take_turn(transaction: Transaction) -> bool:
        if not _is_due(_last_at(transaction.connection), transaction.now_at):
            return False
        transaction.run(
            "INSERT INTO meta (key, value) VALUES ('swept_at', ?)"
            " ON CONFLICT (key) DO UPDATE SET value=excluded.value",
            str(transaction.now_at),
        )
        return True

    return sweep(store) if store.main.write(take_turn) else None


def sweep(store: Store) -> Swept:
    """Remove what is over. Any process may call it at any time."""
    swept = Swept(
        result_count=_delete_expired(store, "result", partial(_drop_rows, "result", "task_id")),
        entry_count=_delete_expired(store, "entry", partial(_drop_rows, "entry", "key")),
        message_count=_delete_expired(store, "message", lambda it: places.drop_expired(it, _STEP)),
        queue_count=store.main.write(_remove_unused_queues),
        bell_count=_remove_dead_bells(store),
    )
    log.trim(store)
    _give_pages_back(store)
    return swept


def _last_at(connection: sqlite3.Connection) -> float:
    row = first(connection, "SELECT value FROM meta WHERE key='swept_at'")
    return float(row[0]) if row else 0.0


def _is_due(last_at: float, now_at: float) -> bool:
    # A last time in the future: the clock was set back.
    return now_at - last_at >= INTERVAL_S or last_at > now_at


def _drop_rows(table: str, key: str, transaction: Transaction) -> int:
    statement = (
        f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table}"  # noqa: S608 - constants
        " WHERE expires_at IS NOT NULL AND expires_at<=? LIMIT ?)"
    )
    return transaction.run(statement, transaction.now_at, _STEP)


def _delete_expired(store: Store, table: str, unit: Unit[int]) -> int:
    total_count = 0
    for _ in range(_MOST_STEPS):
        if not store.main.read(lambda it: _has_expired(it, table, store.clock.now())):
            break
        count = store.main.write(unit)
        total_count += count
        if count < _STEP:
            break
    return total_count


def _has_expired(connection: sqlite3.Connection, table: str, now_at: float) -> bool:
    statement = f"SELECT 1 FROM {table} WHERE expires_at<=? LIMIT 1"  # noqa: S608 - constants
    return first(connection, statement, now_at) is not None


def _remove_unused_queues(transaction: Transaction) -> int:
    """Queues with an expiry (`x-expires`) that nobody has consumed from for that long."""
    unused = transaction.rows(
        "SELECT id FROM queue WHERE expires_s IS NOT NULL AND used_at+expires_s<=?"
        " AND id NOT IN (SELECT queue_id FROM subscription)",
        transaction.now_at,
    )
    bindings.remove(transaction, [row[0] for row in unused])
    return len(unused)


def _remove_dead_bells(store: Store) -> int:
    """Files of waiters that were killed. A dead consumer's or listener's bell stays until its row
    is reaped: by it others see that it is dead.
    """
    rows_of_bells = "SELECT bell FROM "
    known = {
        row[0]
        for database, table in ((store.main, "consumer"), (store.log, "listener"))
        for row in database.read(partial(rows, statement=rows_of_bells + table))
    }
    removed_count = 0
    with contextlib.suppress(OSError):
        for path in store.bells().iterdir():
            address = f"unix:{path}"
            if address not in known and path.is_socket() and liveness_of(address) is Liveness.DEAD:
                path.unlink(missing_ok=True)
                removed_count += 1
    return removed_count


def _give_pages_back(store: Store) -> None:
    for database in (store.main, store.log):
        for _ in range(_MOST_STEPS):
            if not database.read(_has_much_free):
                break
            database.vacuum(_VACUUM_PAGES)


def _has_much_free(connection: sqlite3.Connection) -> bool:
    free_count = first(connection, "PRAGMA freelist_count")[0]
    page_count = first(connection, "PRAGMA page_count")[0]
    return bool(free_count > _FEWEST_FREE_PAGES and free_count > page_count * _FREE_RATIO)

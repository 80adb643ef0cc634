"""Fanout as a log: one insert however many listen; each listener keeps its place in memory.

Events, commands and replies stand in a second file without fsyncs, for at most 20,000 rows and
five minutes. A dead listener leaves one row behind, which the next sender removes. What went by
before a slow listener read it is counted (`seq` numbers the rows of one exchange without gaps).
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from tqconsole.engine.embedded import forks
from tqconsole.engine.embedded.bell import Liveness, liveness_of
from tqconsole.engine.embedded.host import Host, this_host
from tqconsole.engine.embedded.reader import first, rows
from tqconsole.engine.embedded.rows import Prepared, message_of
from tqconsole.engine.embedded.store import Store
from tqconsole.engine.embedded.topics import does_any_match
from tqconsole.engine.embedded.writer import Transaction
from tqconsole.engine.protocol.transfer import Broadcasted, ExchangeSpec

#: Rows and seconds the log keeps.
MOST_ROWS = 20_000
KEEP_S = 300.0
#: A sender trims when the row number passes a multiple of this.
_TRIM_EVERY = 1000
#: Rows one `receive` hands over.
_MOST_RECEIVED = 1000
#: Seconds a listener counts as alive where no bell can tell, and between two of its renewals.
_LEASE_S, _RENEW_S = 15.0, 5.0
#: Seconds between two looks without a ring; with no bell at all from the first to the longest.
_BACKSTOP_S = 1.0
_FIRST_POLL_S, _LONGEST_POLL_S = 0.001, 0.05

_LISTENER_COLUMNS = "id, kind, patterns, bell, boot_id, lease_until"


class _Listener(msgspec.Struct, frozen=True):
    listener_id: int
    kind: str
    patterns: tuple[str, ...]
    bell: str
    boot_id: str
    lease_until: float

    def hears(self, routing_key: str) -> bool:
        return does_any_match(self.kind, self.patterns, routing_key)

    def is_dead(self, host: Host, now_at: float) -> bool:
        if self.boot_id == host.boot_id:
            liveness = liveness_of(self.bell)
            if liveness is not Liveness.UNKNOWN:
                return liveness is Liveness.DEAD
        return self.lease_until <= now_at


def send(store: Store, exchange: ExchangeSpec, messages: Sequence[Prepared]) -> int:
    """Append messages for whoever listens now; return how many hear the last one.

    Without a listener nothing is written.
    """
    if not messages:
        return 0
    listeners = _living(store, exchange.name)
    if not any(it.hears(one.routing_key) for it in listeners for one in messages):
        return 0
    return store.log.write(partial(_append, exchange.name, messages))


def listener_count(store: Store, exchange_name: str, routing_key: str) -> int:
    """Return how many living listeners would get this key now."""
    return sum(it.hears(routing_key) for it in _living(store, exchange_name))


def trim(store: Store) -> None:
    """Drop what is too old or too much, and listeners that are gone."""
    host, now_at = this_host(), store.clock.now()
    known = store.log.read(lambda it: _listeners(it, None))
    dead = [it for it in known if it.is_dead(host, now_at)]

    def unit(transaction: Transaction) -> None:
        _remove(transaction, dead)
        _trim(transaction)

    store.log.write(unit)


class Feed:
    """One listener: it starts now and reads on. Used by one thread."""

    def __init__(self, store: Store, exchange: ExchangeSpec, patterns: Sequence[str]) -> None:
        self._store = store
        self._exchange = exchange
        self._patterns = tuple(patterns)
        self._reader = store.log.reader()
        self._bell = store.bell("f" + secrets.token_hex(8))
        self._listener_id = 0
        self._cursor_id = 0
        self._cursor_seq = 0
        self._missed_count = 0
        self._renewed_mono = 0.0
        self._is_closed = False
        forks.guard(self)
        try:
            self._register(is_new=True)
        except BaseException:
            self._bell.close()
            raise

    @property
    def missed_count(self) -> int:
        """How many messages of the exchange went by unread."""
        return self._missed_count

    def fileno(self) -> int | None:
        """Return the bell's descriptor, None without a bell."""
        return self._bell.fileno()

    def receive(self, timeout_s: float) -> list[Broadcasted]:
        """Return what came, oldest first; wait at most `timeout_s` for the first."""
        left_s, poll_s = timeout_s, _FIRST_POLL_S
        while not self._is_closed:
            self._bell.drain()
            self._renew_if_due()
            received = self._read()
            if received or left_s <= 0:
                return received
            began_mono = self._store.clock.mono()
            if self._bell.fileno() is None:
                slice_s = min(left_s, poll_s)
                poll_s = min(poll_s * 2, _LONGEST_POLL_S)
                self._store.clock.sleep(slice_s)
                left_s -= slice_s
                continue
            slice_s = min(left_s, _BACKSTOP_S)
            if self._bell.wait(slice_s):
                left_s -= self._store.clock.mono() - began_mono
            else:
                left_s -= slice_s
        return []

    def close(self) -> None:
        """Leave. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._store.log.write(
                lambda it: it.run("DELETE FROM listener WHERE id=?", self._listener_id)
            )
        finally:
            self._bell.close()
            self._reader.close()

    def before_fork(self) -> None:
        """Nothing is shared that a fork could tear."""

    def after_fork(self, *, is_child: bool) -> None:
        """A child must not keep its parent's bell alive."""
        if is_child:
            self._bell.abandon()
            self._is_closed = True

    def _read(self) -> list[Broadcasted]:
        found, last_id, last_seq = self._reader.read(self._rows_since)
        if last_id < self._cursor_id or last_seq < self._cursor_seq:
            # The file was made anew: its numbers began again.
            self._cursor_id = self._cursor_seq = 0
            found, last_id, last_seq = self._reader.read(self._rows_since)
        first_seq = found[0][1] if found else last_seq + 1
        self._missed_count += max(0, first_seq - self._cursor_seq - 1)
        if len(found) < _MOST_RECEIVED:
            self._cursor_id, self._cursor_seq = last_id, last_seq
        else:
            self._cursor_id, self._cursor_seq = found[-1][0], found[-1][1]
            # There is more: a selector must see the bell ring on.
            self._bell.ring_self()
        kind, patterns = self._exchange.kind, self._patterns
        return [
            Broadcasted(routing_key, message_of(head, body))
            for _, _, routing_key, head, body in found
            if does_any_match(kind, patterns, routing_key)
        ]

    def _rows_since(self, connection: sqlite3.Connection) -> tuple[list[Any], int, int]:
        """All three reads see one state of the file."""
        connection.execute("BEGIN")
        try:
            last_id, last_seq = _ends(connection, self._exchange.name)
            if last_id == self._cursor_id:
                return [], last_id, last_seq
            found = rows(
                connection,
                "SELECT id, seq, routing_key, head, body FROM event"
                " WHERE id>? AND exchange=? ORDER BY id LIMIT ?",
                self._cursor_id,
                self._exchange.name,
                _MOST_RECEIVED,
            )
            return found, last_id, last_seq
        finally:
            connection.execute("COMMIT")

    def _renew_if_due(self) -> None:
        if self._store.clock.mono() - self._renewed_mono >= _RENEW_S:
            self._register(is_new=False)

    def _register(self, *, is_new: bool) -> None:
        host = this_host()

        def unit(transaction: Transaction) -> tuple[int, int, int]:
            lease_until = transaction.now_at + _LEASE_S
            if self._listener_id and transaction.run(
                "UPDATE listener SET lease_until=? WHERE id=?", lease_until, self._listener_id
            ):
                return self._listener_id, 0, 0
            transaction.run(
                "INSERT INTO listener (exchange, kind, patterns, bell, pid, host, boot_id,"
                " lease_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                self._exchange.name,
                self._exchange.kind,
                json.dumps(self._patterns),
                self._bell.address,
                host.pid,
                host.name,
                host.boot_id,
                lease_until,
            )
            listener_id = int(transaction.first("SELECT last_insert_rowid()")[0])
            return (listener_id, *_ends(transaction.connection, self._exchange.name))

        self._listener_id, last_id, last_seq = self._store.log.write(unit)
        self._renewed_mono = self._store.clock.mono()
        if is_new:
            self._cursor_id, self._cursor_seq = last_id, last_seq


def _ends(connection: sqlite3.Connection, exchange_name: str) -> tuple[int, int]:
    """Return the last row number of the log and the last number of the exchange."""
    last = first(connection, "SELECT seq FROM sqlite_sequence WHERE name='event'")
    row = first(connection, "SELECT last_seq FROM channel WHERE exchange=?", exchange_name)
    return (last[0] if last else 0), (row[0] if row else 0)


def _append(exchange_name: str, messages: Sequence[Prepared], transaction: Transaction) -> int:
    """Insert and note whom to ring. A unit of work."""
    transaction.run(
        "INSERT INTO channel (exchange, last_seq) VALUES (?, ?)"
        " ON CONFLICT (exchange) DO UPDATE SET last_seq=last_seq+excluded.last_seq",
        exchange_name,
        len(messages),
    )
    last_seq = transaction.first("SELECT last_seq FROM channel WHERE exchange=?", exchange_name)[0]
    first_seq = last_seq - len(messages) + 1
    transaction.run_many(
        "INSERT INTO event (exchange, seq, routing_key, at, head, body) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (exchange_name, seq, one.routing_key, transaction.now_at, one.head, one.body)
            for seq, one in enumerate(messages, first_seq)
        ],
    )
    last_id = transaction.first("SELECT last_insert_rowid()")[0]
    if last_id // _TRIM_EVERY != (last_id - len(messages)) // _TRIM_EVERY:
        _trim(transaction)
    listeners = _listeners(transaction.connection, exchange_name)
    keys = {one.routing_key for one in messages}
    transaction.rings.update(it.bell for it in listeners if any(it.hears(key) for key in keys))
    return sum(it.hears(messages[-1].routing_key) for it in listeners)


def _trim(transaction: Transaction) -> None:
    last = transaction.first("SELECT seq FROM sqlite_sequence WHERE name='event'")
    last_id = last[0] if last else 0
    # Ids follow time, so the first one young enough ends what goes.
    young = transaction.first(
        "SELECT id FROM event WHERE at>=? ORDER BY id LIMIT 1", transaction.now_at - KEEP_S
    )
    first_kept_id = max(last_id - MOST_ROWS + 1, young[0] if young else last_id + 1)
    transaction.run("DELETE FROM event WHERE id<?", first_kept_id)


def _living(store: Store, exchange_name: str) -> list[_Listener]:
    """Return who listens; the dead are removed on the way."""
    host, now_at = this_host(), store.clock.now()
    known = store.log.read(lambda it: _listeners(it, exchange_name))
    dead = [it for it in known if it.is_dead(host, now_at)]
    if dead:
        store.log.write(lambda it: _remove(it, dead))
    return [it for it in known if it not in dead]


def _remove(transaction: Transaction, listeners: Sequence[_Listener]) -> None:
    transaction.run_many(
        "DELETE FROM listener WHERE id=? AND lease_until<=?",
        [(it.listener_id, it.lease_until) for it in listeners],
    )


def _listeners(connection: sqlite3.Connection, exchange_name: str | None) -> list[_Listener]:
    condition = "" if exchange_name is None else "WHERE exchange=?"
    values = () if exchange_name is None else (exchange_name,)
    found = rows(connection, f"SELECT {_LISTENER_COLUMNS} FROM listener {condition}", *values)  # noqa: S608 - constants
    return [
        _Listener(listener_id, kind, tuple(json.loads(patterns)), *rest)
        for listener_id, kind, patterns, *rest in found
    ]

"""Group commit, how durable a commit is, and what happens when it fails."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from embedded_values import fetch, names, task, waiting

from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.embedded import writer as writing
from tqconsole.engine.embedded.lock import FileLock
from tqconsole.engine.embedded.store import Store
from tqconsole.engine.embedded.writer import Transaction
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.transfer import Handover, ResultWrite, Riding, Settlement, Verdict


def note(transaction: Transaction, key: str) -> int:
    transaction.run("INSERT INTO entry (key, value) VALUES (?, x'00')", key)
    return id(transaction)


def keys(store: Store) -> list[str]:
    return sorted(
        row[0] for row in store.main.read(lambda it: it.execute("SELECT key FROM entry").fetchall())
    )


class Crowd:
    """Units of several threads that wait together behind a leader."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._may_go = threading.Event()
        self._is_leading = threading.Event()
        self.outcomes: dict[str, object] = {}
        self._threads = [self._thread("leader", self._lead)]
        self._is_leading.wait(10)

    def add(self, key: str, *, fails: bool = False) -> None:
        def unit(transaction: Transaction) -> int:
            number = note(transaction, key)
            if fails:
                raise ValueError(key)
            return number

        waiting_before = len(self._store.main._writer._waiting)
        self._threads.append(self._thread(key, unit))
        while len(self._store.main._writer._waiting) == waiting_before:
            threading.Event().wait(0.001)

    def finish(self) -> None:
        self._may_go.set()
        for thread in self._threads:
            thread.join()

    def _lead(self, transaction: Transaction) -> int:
        self._is_leading.set()
        self._may_go.wait(10)
        return note(transaction, "leader")

    def _thread(self, key: str, unit: writing.Unit[int]) -> threading.Thread:
        def run() -> None:
            try:
                self.outcomes[key] = self._store.main.write(unit)
            except ValueError as error:
                self.outcomes[key] = error

        thread = threading.Thread(target=run)
        thread.start()
        return thread


def test_waiting_writes_share_one_transaction(store: Store) -> None:
    crowd = Crowd(store)
    for key in "abcd":
        crowd.add(key)
    crowd.finish()

    assert keys(store) == ["a", "b", "c", "d", "leader"]
    assert len({crowd.outcomes[key] for key in "abcd"}) == 1


def test_failing_unit_takes_nobody_with_it(store: Store) -> None:
    crowd = Crowd(store)
    crowd.add("a")
    crowd.add("bad", fails=True)
    crowd.add("c")
    crowd.finish()

    assert keys(store) == ["a", "c", "leader"]
    assert isinstance(crowd.outcomes["bad"], ValueError)


def test_more_units_than_fit_are_all_done(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_MOST_UNITS", 2)
    crowd = Crowd(store)
    for key in "abcdefg":
        crowd.add(key)
    crowd.finish()

    assert keys(store) == [*"abcdefg", "leader"]


@pytest.mark.parametrize(
    ("query", "is_durable", "expected"),
    [("", True, 2), ("", False, 1), ("?sync=normal", True, 1), ("?sync=normal", False, 1)],
)
def test_only_what_must_last_is_synced(
    url: str, query: str, is_durable: bool, expected: int
) -> None:
    with SqliteBroker(url + query) as broker:
        level = broker.store.main.write(
            lambda it: it.first("PRAGMA synchronous")[0], is_durable=is_durable
        )
        assert level == expected


def test_events_are_never_synced(store: Store) -> None:
    assert store.log.write(lambda it: it.first("PRAGMA synchronous")[0], is_durable=True) == 0


def test_full_disk_raises_and_heals(broker: SqliteBroker, store: Store) -> None:
    broker.publish([task("a")])

    def shrink(transaction: Transaction) -> None:
        page_count = transaction.first("PRAGMA page_count")[0]
        transaction.first(f"PRAGMA max_page_count={page_count}")

    store.main.write(shrink)
    with pytest.raises(OperationalError, match="make room"):
        broker.publish([task("big", body=b"x" * 100_000)])

    # The failed connection was given up, and the limit of it with it.
    broker.publish([task("b")])
    assert waiting(broker) == ["a", "b"]


def test_publish_is_all_or_nothing(
    broker: SqliteBroker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.connect()

    def fail(transaction: Transaction, queue_ids: object) -> None:
        raise OperationalError("in the middle")

    with monkeypatch.context() as patch:
        patch.setattr("tqconsole.engine.embedded.bindings.ring_for", fail)
        with pytest.raises(OperationalError, match="in the middle"):
            broker.publish([task("a"), task("b", "other")])

    assert broker.queue_names() == []


def test_lock_held_elsewhere_ends_in_bounded_time(
    broker: SqliteBroker, path: str, clock: ManualClock
) -> None:
    broker.connect()
    other = FileLock(path + "-wlock", clock)
    other.acquire()

    with pytest.raises(OperationalError, match="locked by another process"):
        broker.publish([task("a")])

    other.release()
    other.forget()
    broker.publish([task("b")])
    assert waiting(broker) == ["b"]


def test_lock_on_a_deleted_file_excludes_others_again(path: str, clock: ManualClock) -> None:
    one, two = FileLock(path + "-wlock", clock), FileLock(path + "-wlock", clock)
    one.acquire()
    one.release()
    Path(path + "-wlock").unlink()
    two.acquire()

    with pytest.raises(OperationalError):
        one.acquire()

    two.forget()
    one.forget()


def test_journal_is_written_back_when_big(broker: SqliteBroker, path: str) -> None:
    for _ in range(6):
        broker.publish([task("a", body=b"x" * 1_000_000) for _ in range(3)])

    assert Path(path + "-wal").stat().st_size <= writing.CHECKPOINT_BYTES + 4_000_000


def test_long_reader_does_not_stop_writers(broker: SqliteBroker, store: Store) -> None:
    broker.publish([task("a")])
    reader = store.main.reader()

    def read_long(connection: object) -> None:
        cursor = connection.execute("SELECT * FROM message")  # type: ignore[attr-defined]
        cursor.fetchone()
        broker.publish([task("b", body=b"x" * 6_000_000)])
        cursor.close()

    reader.read(read_long)
    reader.close()
    assert waiting(broker) == ["a", "b"]


class Saboteur:
    """Lets the n-th statement of every transaction fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left = 0
        for name in ("run", "run_many", "rows", "first"):
            monkeypatch.setattr(Transaction, name, self._wrapped(getattr(Transaction, name)))

    def strike_at(self, number: int) -> None:
        self._left = number

    def _wrapped(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(transaction: Transaction, *arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                raise sqlite3.OperationalError("disk I/O error")
            return method(transaction, *arguments)

        return call


def test_exchange_that_fails_anywhere_took_no_effect(
    broker: SqliteBroker, consume: Callable[..., Consumer], monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = consume()
    broker.publish([task(it) for it in ("ack", "return", "died", "dead", "start", "fresh")])
    held = fetch(consumer, 5)
    verdicts = [
        Settlement(it.tag, verdict, "x") for it, verdict in zip(held, Verdict, strict=False)
    ]
    riding = Riding((ResultWrite("ack", "SUCCESS", b"x"),), (task("rider"), task("b", "other")))
    handovers = [Handover(held[4].tag, is_acked=True)]

    def state() -> object:
        return broker.store.main.read(
            lambda it: [
                it.execute(f"SELECT * FROM {table}").fetchall()
                for table in ("message", "result", "letter", "queue")
            ]
        )

    before = state()
    saboteur = Saboteur(monkeypatch)
    number = 1
    while True:
        saboteur.strike_at(number)
        try:
            taken = consumer.exchange(verdicts, handovers, 9, riding)
        except OperationalError:
            assert state() == before, number
            number += 1
            continue
        break

    assert number > 12
    assert sorted(names(taken)) == ["died", "fresh", "return", "rider"]
    assert len(broker.dead_letters()) == 1

"""What is kept, for how long, and how much of it: results, keys, letters, events, pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from embedded_values import EVENTS, fetch, task, waiting

from tqconsole.engine.app import App
from tqconsole.engine.backends.sqlite import SqliteBackend
from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.embedded import letters, log, sweep
from tqconsole.engine.embedded.bell import reply_name
from tqconsole.engine.embedded.store import Store
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Publication,
    QueueSpec,
    ResultWrite,
    Settlement,
    Verdict,
)


@pytest.fixture
def backend(url: str, clock: ManualClock, broker: SqliteBroker) -> SqliteBackend:
    return SqliteBackend(url, clock=clock)


def count_of(store: Store, table: str) -> int:
    return store.main.read(lambda it: it.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def bury(broker: SqliteBroker, consumer: Consumer, count: int, body: bytes = b"") -> None:
    broker.publish([task(str(number), body=body) for number in range(count)])
    held = fetch(consumer, count)
    consumer.exchange([Settlement(it.tag, Verdict.DEAD, "x") for it in held])


def test_result_rides_in_the_brokers_transaction(
    broker: SqliteBroker, backend: SqliteBackend
) -> None:
    assert backend.rides_on(broker.place)
    assert broker.store is backend._store


def test_bell_hangs_only_where_somebody_sleeps(backend: SqliteBackend, store: Store) -> None:
    """What is there at the first look is had without one."""
    bell = store.bells() / reply_name("me")
    watch = backend.watch(["a"], "me")
    assert not bell.exists()

    watch.wait(0)
    assert bell.exists()

    watch.close()
    assert not bell.exists()


def test_result_stored_before_the_bell_hangs_ends_the_wait(
    backend: SqliteBackend, clock: ManualClock
) -> None:
    watch = backend.watch(["a"], "me")
    backend.store([ResultWrite("a", "SUCCESS", b"1", expires_s=None)])
    begun_mono = clock.mono()

    watch.wait(60.0)

    assert clock.mono() == begun_mono
    watch.close()


def test_result_expires(backend: SqliteBackend, clock: ManualClock) -> None:
    backend.store(
        [
            ResultWrite("brief", "SUCCESS", b"1", expires_s=10.0),
            ResultWrite("for ever", "SUCCESS", b"2", expires_s=None),
        ]
    )
    clock.advance(11)

    assert backend.fetch(["brief", "for ever"]) == {"for ever": b"2"}


def test_expired_success_can_be_written_over(backend: SqliteBackend, clock: ManualClock) -> None:
    backend.store([ResultWrite("a", "SUCCESS", b"1", expires_s=10.0)])
    clock.advance(11)
    backend.store([ResultWrite("a", "STARTED", b"2", expires_s=10.0)])

    assert backend.fetch(["a"]) == {"a": b"2"}


def test_key_expires(backend: SqliteBackend, clock: ManualClock) -> None:
    backend.put("brief", b"1", 10.0)
    backend.put("for ever", b"2", None)
    clock.advance(11)

    assert (backend.get("brief"), backend.get("for ever")) == (None, b"2")


def test_sweep_removes_what_has_expired(
    broker: SqliteBroker, backend: SqliteBackend, store: Store, clock: ManualClock
) -> None:
    backend.store([ResultWrite("a", "SUCCESS", b"1", expires_s=10.0)])
    backend.put("k", b"1", 10.0)
    broker.declare(QueueSpec("brief", message_ttl_s=10.0))
    broker.declare(QueueSpec("unused", expires_s=10.0))
    broker.publish([task("a", "brief"), task("b"), task("c", expiration="1000")])
    clock.advance(11)

    swept = sweep.sweep(store)

    assert (swept.result_count, swept.entry_count, swept.message_count) == (1, 1, 1)
    assert swept.queue_count == 1
    assert broker.queue_names() == ["brief", "celery"]
    assert waiting(broker) == ["b", "c"]


def test_cleanup_of_results_removes_what_has_expired(
    backend: SqliteBackend, store: Store, clock: ManualClock
) -> None:
    app = App("x", broker="memory://", backend=backend, set_as_current=False)
    backend.store([ResultWrite("old", "SUCCESS", b"1", expires_s=10.0)])
    clock.advance(11)
    backend.store([ResultWrite("new", "SUCCESS", b"2", expires_s=10.0)])

    app.tasks["celery.backend_cleanup"]()

    assert count_of(store, "result") == 1
    assert backend.fetch(["old", "new"]) == {"new": b"2"}


def test_task_expired_for_a_day_is_swept(
    broker: SqliteBroker, store: Store, clock: ManualClock
) -> None:
    broker.publish([task("a", expiration="1000")])
    clock.advance(86_400)
    sweep.sweep(store)
    assert waiting(broker) == ["a"]

    clock.advance(2)
    sweep.sweep(store)

    assert waiting(broker) == []


def test_message_in_hand_is_not_swept(
    broker: SqliteBroker, store: Store, clock: ManualClock
) -> None:
    consumer = broker.consumer([QueueSpec("brief", message_ttl_s=10.0)], "w1@here")
    broker.publish([task("a", "brief")])
    fetch(consumer)
    clock.advance(11)

    assert sweep.sweep(store).message_count == 0
    consumer.close()


def test_sweep_is_made_once_for_all(store: Store, clock: ManualClock) -> None:
    assert sweep.sweep_if_due(store) is not None
    assert sweep.sweep_if_due(store) is None
    clock.advance(sweep.INTERVAL_S)
    assert sweep.sweep_if_due(store) is not None


def test_sweep_is_due_again_when_the_clock_went_back(store: Store, clock: ManualClock) -> None:
    sweep.sweep_if_due(store)
    clock.advance(-3600)

    assert sweep.sweep_if_due(store) is not None


def test_renewal_sweeps(
    broker: SqliteBroker, consume: Callable[..., Consumer], backend: SqliteBackend, store: Store
) -> None:
    backend.store([ResultWrite("a", "SUCCESS", b"1", expires_s=-1.0)])

    consume().renew()

    assert count_of(store, "result") == 0


def test_drained_file_shrinks(broker: SqliteBroker, store: Store, path: str) -> None:
    broker.publish([task(str(number), body=b"x" * 20_000) for number in range(300)])
    broker.purge("celery")
    store.close()
    full_bytes = Path(path).stat().st_size

    sweep.sweep(store)
    store.close()

    assert full_bytes > 6_000_000
    assert Path(path).stat().st_size < 1_000_000


def test_bells_of_killed_waiters_are_removed(store: Store) -> None:
    store.bell("r0").abandon()
    living = store.bell("r1")

    assert sweep.sweep(store).bell_count == 1

    assert [it.name for it in store.bells().iterdir()] == ["r1"]
    living.close()


def test_bell_of_a_dead_consumer_stays_for_the_reaper(
    consume: Callable[..., Consumer], store: Store
) -> None:
    dead = consume()
    dead._hold._bell.abandon()  # type: ignore[attr-defined]

    assert sweep.sweep(store).bell_count == 0


def test_oldest_letters_go_when_there_are_too_many(
    broker: SqliteBroker,
    consume: Callable[..., Consumer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(letters, "MOST_LETTERS", 3)

    bury(broker, consume(), 5)

    assert [it.message.headers["id"] for it in broker.dead_letters()] == ["4", "3", "2"]
    assert "dropped the 2 oldest" in caplog.text
    assert broker.store.main.read(letters.dropped_count) == 2


def test_oldest_letters_go_when_they_are_too_big(
    broker: SqliteBroker, consume: Callable[..., Consumer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "MOST_BYTES", 2500)

    bury(broker, consume(), 5, body=b"x" * 1000)

    assert [it.message.headers["id"] for it in broker.dead_letters()] == ["4", "3"]


def test_event_log_is_bounded_by_count(
    broker: SqliteBroker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MOST_ROWS", 100)
    monkeypatch.setattr(log, "_TRIM_EVERY", 10)
    feed = broker.subscribe(QueueSpec("f", EVENTS), ["#"])
    for number in range(50):
        broker.broadcast(EVENTS, [Publication(Message(b""), f"n{number}.{it}") for it in range(10)])

    received = feed.receive(0)

    assert len(received) == 100
    assert received[-1].routing_key == "n49.9"
    assert feed.missed_count == 400
    feed.close()


def test_event_log_is_bounded_by_age(
    broker: SqliteBroker, store: Store, clock: ManualClock
) -> None:
    feed = broker.subscribe(QueueSpec("f", EVENTS), ["#"])
    broker.broadcast(EVENTS, [Publication(Message(b""), "old")])
    clock.advance(log.KEEP_S + 1)
    broker.broadcast(EVENTS, [Publication(Message(b""), "young")])

    log.trim(store)

    assert [it.routing_key for it in feed.receive(0)] == ["young"]
    assert feed.missed_count == 1
    feed.close()


def test_missed_are_only_the_exchanges_own(
    broker: SqliteBroker, store: Store, clock: ManualClock
) -> None:
    commands = QueueSpec("c", log.ExchangeSpec("celery.pidbox", "fanout"))
    feed, other = broker.subscribe(QueueSpec("f", EVENTS), ["#"]), broker.subscribe(commands, [""])
    broker.broadcast(EVENTS, [Publication(Message(b""), "x") for _ in range(7)])
    broker.broadcast(commands.exchange, [Publication(Message(b""), "")])
    clock.advance(log.KEEP_S + 1)

    log.trim(store)

    assert (feed.receive(0), other.receive(0)) == ([], [])
    assert (feed.missed_count, other.missed_count) == (7, 1)
    feed.close()
    other.close()


def test_killed_listener_is_not_counted(broker: SqliteBroker, store: Store) -> None:
    feed = broker.subscribe(QueueSpec("f", EVENTS), ["#"])
    feed._feed._bell.abandon()

    assert broker.listener_count(EVENTS, "task.sent") == 0
    assert broker.broadcast(EVENTS, [Publication(Message(b""), "task.sent")]) == 0
    assert store.log.read(lambda it: it.execute("SELECT * FROM listener").fetchall()) == []
    feed.close()


def test_listener_without_a_bell_lives_by_its_lease(url: str, clock: ManualClock) -> None:
    with SqliteBroker(url + "?bell=poll", clock=clock) as broker:
        feed = broker.subscribe(QueueSpec("f", EVENTS), ["#"])
        clock.advance(10)
        feed.receive(0)
        clock.advance(10)
        assert broker.listener_count(EVENTS, "x") == 1
        clock.advance(10)
        assert broker.listener_count(EVENTS, "x") == 0
        feed.receive(0)
        assert broker.listener_count(EVENTS, "x") == 1
        feed.close()


def test_nothing_is_written_when_nobody_listens(broker: SqliteBroker, store: Store) -> None:
    broker.broadcast(EVENTS, [Publication(Message(b""), "x")])

    assert store.log.read(lambda it: it.execute("SELECT * FROM event").fetchall()) == []


def test_feed_goes_on_when_its_file_is_made_anew(
    broker: SqliteBroker, store: Store, path: str, clock: ManualClock
) -> None:
    feed = broker.subscribe(QueueSpec("f", EVENTS), ["#"])
    broker.broadcast(EVENTS, [Publication(Message(b""), "before") for _ in range(5)])
    assert len(feed.receive(0)) == 5
    for it in Path(path).parent.glob("queue.db-events*"):
        it.unlink()
    clock.advance(6)

    feed.receive(0)
    broker.broadcast(EVENTS, [Publication(Message(b""), "after")])

    assert [it.routing_key for it in feed.receive(0)] == ["after"]
    feed.close()

"""Leases, deaths and what a consumer's row says, with a clock that moves when told."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from embedded_values import QUEUE, acks, fetch, names, task, waiting

from tqconsole.engine import freed_memory
from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.embedded import bindings, reap
from tqconsole.engine.embedded import exchange as cycle
from tqconsole.engine.embedded.hold import LEASE_S
from tqconsole.engine.embedded.store import Store
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.transfer import (
    Handover,
    Settlement,
    Verdict,
)

Consume = Callable[..., Consumer]


def vanish(consumer: Consumer) -> None:
    """Leave its row and its bell's file behind, as a killed process does."""
    hold = consumer._hold  # type: ignore[attr-defined]
    hold._bell.abandon()
    hold._is_closed = True


@pytest.fixture
def blind(url: str, clock: ManualClock) -> SqliteBroker:
    """A broker whose consumers have no bell, so that only leases tell who lives."""
    return SqliteBroker(url + "?bell=poll", clock=clock)


def test_dead_bell_gives_back_at_once(broker: SqliteBroker, consume: Consume) -> None:
    broker.publish([task("a")])
    dead = consume("w1@here")
    fetch(dead)
    vanish(dead)
    heir = consume("w2@here")

    given = heir.give_back(5)

    assert (given.returned_count, given.worker_names) == (1, ("w1@here",))
    assert names(fetch(heir)) == ["a"]


def test_lease_decides_where_no_bell_can_tell(
    blind: SqliteBroker, consume: Consume, clock: ManualClock
) -> None:
    blind.publish([task("a")])
    silent, heir = consume("w1@here", of=blind), consume("w2@here", of=blind)
    fetch(silent)

    clock.advance(LEASE_S - 1)
    heir.renew()
    assert heir.give_back(5).returned_count == 0
    clock.advance(2)
    assert heir.give_back(5).returned_count == 1


def test_renewed_lease_is_respected(
    blind: SqliteBroker, consume: Consume, clock: ManualClock
) -> None:
    living, other = consume("w1@here", of=blind), consume("w2@here", of=blind)
    for _ in range(10):
        clock.advance(LEASE_S - 1)
        living.renew()
        other.renew()
        assert other.give_back(5).worker_names == ()


def test_silent_worker_with_a_bell_is_never_robbed(
    broker: SqliteBroker, consume: Consume, clock: ManualClock
) -> None:
    """As one that is stopped: its socket is still there."""
    broker.publish([task("a")])
    silent, other = consume("w1@here"), consume("w2@here")
    fetch(silent)
    clock.advance(1000)

    assert other.give_back(5).worker_names == ()


def test_late_settlement_changes_nothing(
    blind: SqliteBroker, consume: Consume, clock: ManualClock
) -> None:
    blind.publish([task(it) for it in "abc"])
    silent, heir = consume("w1@here", of=blind), consume("w2@here", of=blind)
    held = fetch(silent)
    clock.advance(LEASE_S + 1)
    heir.give_back(5)
    retaken = fetch(heir)

    silent.exchange(
        [
            Settlement(held[0].tag, Verdict.ACK),
            Settlement(held[1].tag, Verdict.DIED),
            Settlement(held[2].tag, Verdict.DEAD, "x"),
        ],
        [Handover(held[0].tag, is_acked=True)],
    )
    silent.park([(held[0].tag, clock.now() + 1)])

    assert blind.depth("celery").unacked_count == 3
    assert blind.dead_letters() == []
    heir.exchange([Settlement(it.tag, Verdict.RETURN) for it in retaken])
    assert [it.deaths for it in fetch(heir)] == [0, 0, 0]


def test_worker_that_lost_its_lease_takes_work_again(
    blind: SqliteBroker, consume: Consume, clock: ManualClock
) -> None:
    silent, heir = consume("w1@here", of=blind), consume("w2@here", of=blind)
    clock.advance(LEASE_S + 1)
    heir.give_back(5)
    assert [it.worker_name for it in blind.live_workers()] == []

    blind.publish([task("a")])
    assert names(fetch(silent)) == ["a"]

    assert "w1@here" in [it.worker_name for it in blind.live_workers()]


def test_renew_registers_a_lost_worker_again(
    blind: SqliteBroker, consume: Consume, clock: ManualClock
) -> None:
    silent, heir = consume("w1@here", of=blind), consume("w2@here", of=blind)
    clock.advance(LEASE_S + 1)
    heir.give_back(5)

    silent.renew()

    assert [it.worker_name for it in blind.live_workers()] == ["w1@here"]


def test_deleted_queue_is_consumed_again_after_renewal(
    broker: SqliteBroker, consume: Consume
) -> None:
    consumer = consume()
    broker.delete("celery")
    broker.publish([task("a")])

    consumer.renew()

    assert names(fetch(consumer)) == ["a"]


def test_earlier_self_is_known_to_be_over(
    blind: SqliteBroker, consume: Consume, store: Store
) -> None:
    """Its bell cannot tell and its lease still runs, but its process is gone."""
    blind.publish([task("a")])
    fetch(consume("w1@here", of=blind))
    gone_pid = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(gone_pid, 0)
    store.main.write(lambda it: it.run("UPDATE consumer SET pid=?", gone_pid))

    assert consume("w2@here", of=blind).give_back(5).worker_names == ()
    assert consume("w1@here", of=blind).give_back(5).worker_names == ("w1@here",)


def test_worker_on_another_kernel_is_refused(
    broker: SqliteBroker, consume: Consume, store: Store, clock: ManualClock
) -> None:
    consume("w1@there")
    store.main.write(lambda it: it.run("UPDATE consumer SET boot_id='other', host='there'"))

    with pytest.raises(OperationalError, match=r"there.*redis://"):
        broker.consumer([QUEUE], "w2@here")

    clock.advance(LEASE_S + 1)
    assert consume("w2@here").give_back(5).worker_names == ("w1@there",)


def test_lost_task_is_reported_again_when_the_reporter_dies(
    broker: SqliteBroker, consume: Consume
) -> None:
    broker.publish([task("a")])
    first = consume("w1@here")
    first.exchange(started=[Handover(it.tag, is_acked=True) for it in fetch(first)])
    vanish(first)
    second = consume("w2@here")
    assert names(second.give_back(5).lost) == ["a"]
    vanish(second)
    third = consume("w3@here")

    lost = third.give_back(5).lost

    assert names(lost) == ["a"]
    third.exchange(acks(lost))
    third.close()
    assert consume("w4@here").give_back(5).lost == ()


def test_lost_task_is_reported_until_its_report_is_settled(
    broker: SqliteBroker, consume: Consume
) -> None:
    broker.publish([task("a")])
    first = consume("w1@here")
    first.exchange(started=[Handover(it.tag, is_acked=True) for it in fetch(first)])
    vanish(first)
    leaver = consume("w2@here")
    assert names(leaver.give_back(5).lost) == ["a"]

    leaver.close()

    reporter = consume("w3@here")
    lost = reporter.give_back(5).lost
    assert names(lost) == ["a"]
    reporter.exchange(acks(lost))
    reporter.close()
    assert consume("w4@here").give_back(5).lost == ()


def test_close_leaves_what_had_started_on_record(broker: SqliteBroker, consume: Consume) -> None:
    broker.publish([task(it) for it in ("early", "late", "unstarted")])
    first = consume("w1@here")
    early, late, _ = fetch(first)
    first.exchange(started=[Handover(early.tag, is_acked=True), Handover(late.tag, is_acked=False)])

    first.close()

    assert waiting(broker) == ["unstarted"]
    assert broker.live_workers() == []
    given = consume("w2@here").give_back(5)
    assert names(given.lost) == ["early"]
    assert given.returned_count == 1
    assert waiting(broker) == ["late", "unstarted"]


@pytest.mark.parametrize(("max_deaths", "starts"), [(1, 1), (2, 2), (5, 5)])
def test_message_dies_after_that_many_deaths(
    broker: SqliteBroker, consume: Consume, max_deaths: int, starts: int
) -> None:
    broker.publish([task("poison")])
    dead_lettered = []
    for _ in range(starts):
        assert dead_lettered == []
        victim = consume("w1@here")
        victim.exchange(started=[Handover(it.tag, is_acked=False) for it in fetch(victim)])
        vanish(victim)
        reaper = consume("w2@here")
        dead_lettered = names(reaper.give_back(max_deaths).dead_lettered)
        reaper.close()

    assert dead_lettered == ["poison"]
    letter = broker.dead_letters("celery")[0]
    assert (letter.reason, letter.worker_name) == ("worker-lost", "w1@here")
    assert letter.detail == f"the process that ran it died {starts} times"


def test_two_reapers_report_a_death_once(broker: SqliteBroker, consume: Consume) -> None:
    broker.publish([task("a")])
    dead = consume("w1@here")
    fetch(dead)
    vanish(dead)
    one, two = consume("w2@here"), consume("w3@here")
    rows = broker.store.main.read(reap.consumers)

    given = [
        broker.store.main.write(lambda it: reap.give_back(it, [rows[0]], 0, 5)) for _ in range(2)
    ]

    assert [it.returned_count for it in given] == [1, 0]
    assert one.give_back(5).worker_names == two.give_back(5).worker_names == ()


def test_renewal_between_verdict_and_sentence_saves(
    blind: SqliteBroker, consume: Consume, clock: ManualClock
) -> None:
    blind.publish([task("a")])
    slow = consume("w1@here", of=blind)
    fetch(slow)
    clock.advance(LEASE_S + 1)
    judged = blind.store.main.read(reap.consumers)
    slow.renew()

    reaped = blind.store.main.write(lambda it: reap.give_back(it, judged, 0, 5))

    assert reaped.returned_count == 0
    assert blind.depth("celery").unacked_count == 1


def test_messages_of_an_unknown_holder_come_back(
    broker: SqliteBroker, consume: Consume, store: Store
) -> None:
    broker.publish([task("a")])
    store.main.write(lambda it: cycle.claim(it, 4711, [bindings.ensure(it, "celery")], 1))

    consumer = consume()

    assert consumer.give_back(5).returned_count == 1
    assert names(fetch(consumer)) == ["a"]


def test_idle_exchange_never_takes_the_write_lock(
    broker: SqliteBroker, consume: Consume, store: Store
) -> None:
    consumer = consume()
    fetch(consumer)
    reader = store.main.reader()
    version = reader.version()

    for _ in range(10):
        assert fetch(consumer) == []
        assert not consumer.wait(0)

    assert reader.version() == version
    reader.close()


def test_idle_consumer_gives_back_what_the_last_work_filled(
    broker: SqliteBroker, consume: Consume, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[None] = []
    monkeypatch.setattr(freed_memory, "give_back", lambda: given_back.append(None))
    consumer = consume("w1@here")
    told: list[str] = []
    connection = broker._store.main._writer._connection
    assert connection is not None
    connection.set_trace_callback(told.append)
    broker.publish([task("a")])
    consumer.exchange(acks(fetch(consumer)))

    consumer.renew()
    assert not [it for it in told if "shrink" in it]
    assert fetch(consumer) == []
    consumer.renew()
    assert [it for it in told if "shrink" in it] == ["PRAGMA shrink_memory"]
    consumer.renew()
    assert len([it for it in told if "shrink" in it]) == len(given_back) == 1

"""A consumer asks and waits on one connection: nothing that is told between answers is missed."""

from __future__ import annotations

import re

import pytest

from tests.servers.brokers_up import Server, free_port
from tqconsole.engine.backends.redis import RedisBackend
from tqconsole.engine.brokers.redis.bell import Bell
from tqconsole.engine.brokers.redis.broker import RedisBroker
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Handover,
    Publication,
    QueueSpec,
    ResultWrite,
    Settlement,
    Verdict,
)
from tqconsole.engine.redis_server.address import locate
from tqconsole.engine.redis_server.ear import Ear, quiet_bytes
from tqconsole.engine.redis_server.link import Script

pytestmark = pytest.mark.server

QUEUE = QueueSpec("celery")


def task(name: str) -> Publication:
    return Publication(Message(b"[[], {}, {}]", headers={"id": name, "task": "t"}), "celery")


def calls(broker: RedisBroker) -> dict[str, int]:
    stats = broker._link.run("INFO", "commandstats").decode()
    return {name: int(count) for name, count in re.findall(r"cmdstat_(\S+?):calls=(\d+)", stats)}


def test_what_comes_during_an_exchange_is_told_once(broker: RedisBroker) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    assert consumer.exchange(wanted=4) == []
    broker.publish([task("a")])
    (held,) = consumer.exchange(wanted=4)
    assert not consumer.take_ring()

    broker.publish([task("b")])
    # It settles and fetches nothing, and the word of the new one comes with its answer.
    consumer.begin([Settlement(held.tag, Verdict.ACK)])
    consumer.finish()

    assert consumer.take_ring()
    assert not consumer.take_ring()
    assert [it.message.headers["id"] for it in consumer.exchange(wanted=4)] == ["b"]
    consumer.close()


def test_idle_trip_is_three_writes_of_the_worker(broker: RedisBroker) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    assert consumer.exchange(wanted=4) == []
    broker.publish([task("a")])
    assert consumer.wait(5)
    broker._link.run("CONFIG", "RESETSTAT")

    (held,) = consumer.exchange(wanted=4)
    consumer.exchange(started=[Handover(held.tag, is_acked=True)], wanted=3)
    consumer.exchange([Settlement(held.tag, Verdict.ACK)], wanted=4)

    seen = calls(broker)
    # Fetched and armed in one write, started by a plain command, ended without another fetch.
    assert (seen["evalsha"], seen["exists"], seen["zrem"]) == (2, 1, 2)
    assert seen["rpop"] == 4
    consumer.close()


@pytest.mark.parametrize("is_acked", [True, False])
def test_start_is_on_record_before_anything_else_is_asked(
    broker: RedisBroker, *, is_acked: bool
) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("a")])
    (held,) = consumer.exchange(wanted=4)

    consumer.exchange(started=[Handover(held.tag, is_acked)])
    consumer.exchange(wanted=1)

    until = SYSTEM_CLOCK.mono() + 5
    while SYSTEM_CLOCK.mono() < until:
        score = broker._link.run("ZSCORE", "unacked_index", held.tag)
        if (score is None) if is_acked else (score and float(score) % 1 == 0.5):
            break
    else:
        raise AssertionError(f"it is not on record: {score!r}")
    consumer.close()


def refuse_starts(broker: RedisBroker) -> None:
    broker._link.run("RENAME", "unacked_index", "aside")
    broker._link.run("SET", "unacked_index", "no set")


def take_starts_again(broker: RedisBroker) -> None:
    broker._link.run("RENAME", "aside", "unacked_index")


def is_on_record(broker: RedisBroker, tag: str, *, is_acked: bool) -> bool:
    score = broker._link.run("ZSCORE", "unacked_index", tag)
    return score is None if is_acked else float(score) % 1 == 0.5


@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("is_acked", [True, False])
def test_start_that_was_not_written_down_is_said_again(
    broker: RedisBroker, *, is_acked: bool, is_lost: bool
) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("a")])
    (held,) = consumer.exchange(wanted=4)
    refuse_starts(broker)
    consumer.exchange(started=[Handover(held.tag, is_acked)])
    if is_lost:
        consumer._bell._lose(ConnectionError("before the answer was read"))
    else:
        assert consumer.wait(5)
    # What is refused again is told to who asks.
    with pytest.raises(OperationalError, match="WRONGTYPE"):
        consumer.exchange(wanted=4)

    take_starts_again(broker)
    assert not is_on_record(broker, held.tag, is_acked=is_acked)
    consumer.exchange(wanted=4)

    assert is_on_record(broker, held.tag, is_acked=is_acked)
    broker._link.run("CONFIG", "RESETSTAT")
    consumer.exchange([Settlement(held.tag, Verdict.ACK)])
    consumer.renew()
    assert calls(broker)["zrem"] == 1
    assert broker._link.run("HLEN", "unacked") == 0
    consumer.close()


def test_script_that_the_server_forgot_is_told_why_the_connection_was_given_up(
    broker: RedisBroker,
) -> None:
    """The refusal of a note comes right behind the word that the script is not known."""
    bell = Bell(locate(broker.url))
    bell.fileno()
    script = Script("return redis.call('GET', KEYS[1] or 'there')")
    missed: list[str] = []
    port = free_port()
    broker._link.run("CONFIG", "SET", "replica-read-only", "yes")
    try:
        broker._link.run("REPLICAOF", "127.0.0.1", port)
        pending = bell.begin(script, [])
        bell.note([("SET", "a", "b")], lambda: missed.append("note"))

        with pytest.raises(OperationalError, match="it is a replica"):
            bell.finish(pending)
    finally:
        broker._link.run("REPLICAOF", "NO", "ONE")
    assert missed == ["note"]
    assert bell.run(script, []) is None
    bell.close()


@pytest.mark.parametrize("is_acked", [True, False])
def test_renewal_writes_down_what_started(broker: RedisBroker, *, is_acked: bool) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("a")])
    (held,) = consumer.exchange(wanted=4)
    refuse_starts(broker)
    consumer.exchange(started=[Handover(held.tag, is_acked)])
    assert consumer.wait(5)
    take_starts_again(broker)

    consumer.renew()

    assert is_on_record(broker, held.tag, is_acked=is_acked)
    consumer.close()


def test_start_of_what_has_ended_is_not_said_again(broker: RedisBroker) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("a")])
    (held,) = consumer.exchange(wanted=4)
    refuse_starts(broker)
    consumer.exchange(started=[Handover(held.tag, is_acked=True)])
    assert consumer.wait(5)
    take_starts_again(broker)
    consumer.exchange([Settlement(held.tag, Verdict.ACK)])
    broker._link.run("CONFIG", "RESETSTAT")

    consumer.renew()

    assert "zrem" not in calls(broker)
    consumer.close()


def test_bell_can_do_without_one_list_only(server: Server) -> None:
    bell = Bell(locate(server.url))
    bell.arm(["one", "other"])
    bell.look(5)
    bell.leave_out("one")
    assert bell.is_armed

    bell.miss()
    assert not bell.is_armed
    assert not bell.is_quiet
    assert [bell.is_armed_beside(it) for it in ("one", "other")] == [True, False]

    bell.arm(["one", "other"])
    assert [bell.is_armed_beside(it) for it in ("one", "other")] == [True, True]
    bell.close()


def test_ear_hears_only_what_it_listens_to_now(server: Server) -> None:
    backend, ear = RedisBackend(server.url), Ear(locate(server.url), SYSTEM_CLOCK)
    backend._link.run("SET", "here", "1")
    ear.listen(["here"])
    assert _told(ear) == [("here", b"1")]
    ear.leave(is_over=True)

    ear.listen(["coming"])
    backend._link.run("PUBLISH", "here", "late")
    backend._link.run("PUBLISH", "coming", "2")

    assert _told(ear) == [("coming", b"2")]
    assert backend._link.run("PUBSUB", "NUMSUB", "here")[1] == 0
    ear.close()
    backend.close()


def test_length_of_answers_that_tell_nothing_is_known(server: Server) -> None:
    ear = Ear(locate(server.url), SYSTEM_CLOCK)
    before: list[str] = []
    for number in range(3):
        channels = [f"celery-task-meta-{number}-{it}" for it in range(number + 1)]
        ear.listen(channels)
        wire = ear._link._wire
        assert wire is not None
        # A byte less than it waits for.
        answers = wire.read(0.2)
        assert answers is not None
        assert len(answers) == quiet_bytes(before, channels)
        ear.leave(is_over=True)
        before = channels
    ear.close()


def test_channels_of_a_wait_that_is_not_over_are_left_at_once(server: Server) -> None:
    backend = RedisBackend(server.url)
    watch = backend.watch(["never"], "")
    watch.wait(0.01)
    watch.close()

    until = SYSTEM_CLOCK.mono() + 5
    while backend._link.run("PUBSUB", "NUMSUB", "celery-task-meta-never")[1]:
        assert SYSTEM_CLOCK.mono() < until
    backend.close()


def test_one_wait_after_another_brings_each_its_own(server: Server) -> None:
    backend = RedisBackend(server.url)
    for number in range(3):
        task_id = f"t{number}"
        watch = backend.watch([task_id], "")
        backend.store([ResultWrite(task_id, "SUCCESS", b'{"status": "SUCCESS"}')])
        watch.wait(5)
        assert backend.fetch([task_id]) == {task_id: b'{"status": "SUCCESS"}'}
        watch.end()
        watch.close()
    assert len(backend._spare) == 1
    backend.close()


def _told(ear: Ear) -> list[tuple[str, bytes]]:
    until = SYSTEM_CLOCK.mono() + 5
    while SYSTEM_CLOCK.mono() < until:
        if told := ear.take(0.1):
            return told
    raise AssertionError("nothing was told")

"""Messages that kill their workers on RabbitMQ, and the letters that become of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from amqp_rig import QUEUE, die, names, settle, start, taken, task

from tests.servers.kombu_fleet import eventually
from tests.servers.rabbitmq_fleet import OURS, Place
from tqconsole.engine.app import App
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.amqp import suspects
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.transfer import Publication, QueueSpec, Settlement, Verdict

pytestmark = pytest.mark.server

#: Rejected messages go where their user says.
GUARDED = QueueSpec(
    "guarded", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "morgue"}
)


@pytest.fixture
def url(rabbitmq_vhosts: Iterator[str]) -> str:
    return next(rabbitmq_vhosts)


@pytest.fixture
def broker(url: str) -> Iterator[Broker]:
    with open_broker(url) as opened:
        yield opened


@pytest.fixture
def place(url: str, tmp_path: Path) -> Iterator[Place]:
    place = Place(url, tmp_path)
    yield place
    place.close()


def test_deaths_are_counted_from_the_second_on(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects, "_RETURN_S", 0.2)
    broker.publish([task("killer")])
    counts: list[int] = []
    for _ in range(7):
        victim = broker.consumer([QUEUE], "w1@here")
        (delivery,) = taken(victim)
        counts.append(delivery.deaths)
        start(victim, delivery)
        die(victim)

    assert counts == [0, 0, 1, 2, 3, 4, 5]


def test_fetched_innocents_are_not_counted(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "_RETURN_S", 0.2)
    broker.publish([task("killer"), task("innocent")])
    for _ in range(3):
        victim = broker.consumer([QUEUE], "w1@here")
        both = {it.message.headers["id"]: it for it in taken(victim, 2)}
        start(victim, both["killer"])
        die(victim)

    last = broker.consumer([QUEUE], "w1@here")
    assert {it.message.headers["id"]: it.deaths for it in taken(last, 2)} == {
        "killer": 2,
        "innocent": 0,
    }
    last.close()


def test_survived_start_leaves_nothing(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "_RETURN_S", 0.2)
    broker.publish([task("once")])
    victim = broker.consumer([QUEUE], "w1@here")
    start(victim, *taken(victim))
    die(victim)
    survivor = broker.consumer([QUEUE], "w1@here")
    again = taken(survivor)
    start(survivor, *again)

    settle(survivor, Verdict.ACK, *again)
    broker.publish([task("next")])

    # A copy that was left would come back before or with it.
    assert names(taken(survivor)) == ["next"]
    assert not survivor.wait(0.5)
    survivor.close()


def test_what_is_given_back_keeps_what_it_has_seen(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects, "_RETURN_S", 0.2)
    broker.publish([task("killer")])
    for _ in range(3):
        victim = broker.consumer([QUEUE], "w1@here")
        start(victim, *taken(victim))
        die(victim)
    heir = broker.consumer([QUEUE], "w1@here")
    (third,) = taken(heir)
    start(heir, third)

    settle(heir, Verdict.RETURN, third)

    (fourth,) = taken(heir)
    assert (third.deaths, fourth.deaths, fourth.is_redelivered) == (2, 2, True)
    assert "tq-deaths" not in fourth.message.headers
    heir.close()


def test_what_had_started_and_is_given_back_was_given_out(broker: Broker) -> None:
    broker.publish([task("a")])
    first = broker.consumer([QUEUE], "w1@here")
    settle(first, Verdict.RETURN, *taken(first))
    (again,) = taken(first)
    start(first, again)

    settle(first, Verdict.RETURN, again)

    (last,) = taken(first)
    assert (last.is_redelivered, last.deaths) == (True, 0)
    first.close()


def test_letters_of_any_queue_are_found_by_anybody(broker: Broker, url: str) -> None:
    consumer = broker.consumer([QueueSpec("a"), QueueSpec("b")], "w1@here")
    broker.publish([task("one", "a"), task("two", "b"), task("three", "b")])
    settle(consumer, Verdict.DEAD, *taken(consumer, 3))

    with open_broker(url) as stranger:
        found = {it.message.headers["id"]: it for it in stranger.dead_letters()}
        assert {name: it.queue for name, it in found.items()} == {
            "one": "a",
            "two": "b",
            "three": "b",
        }
        assert {it.message.headers["id"] for it in stranger.dead_letters("b")} == {"two", "three"}
        assert stranger.replay([found["one"].letter_id, "unknown"]) == 1
        assert stranger.drop([found["two"].letter_id]) == 1
        assert [it.message.headers["id"] for it in stranger.dead_letters()] == ["three"]

    assert names(taken(consumer)) == ["one"]
    consumer.close()


def test_deleted_letters_are_forgotten(broker: Broker) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("one")])
    settle(consumer, Verdict.DEAD, *taken(consumer))
    assert broker.depth("tq.lettered").ready_count == 1

    broker.delete("celery.dead")

    assert broker.dead_letters() == []
    assert broker.depth("tq.lettered").ready_count == 0
    consumer.close()


def test_readers_of_letters_take_turns(broker: Broker, url: str) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task(str(number)) for number in range(20)])
    settle(consumer, Verdict.DEAD, *taken(consumer, 20))
    seen: list[int] = []

    def read() -> None:
        with open_broker(url) as reader:
            seen.extend(len(reader.dead_letters()) for _ in range(5))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    assert seen == [20] * 15
    consumer.close()


def test_user_s_own_place_for_the_rejected_gets_them(broker: Broker) -> None:
    broker.declare(QueueSpec("morgue"))
    consumer = broker.consumer([GUARDED], "w1@here")
    broker.publish([task("one", "guarded")])

    settle(consumer, Verdict.DEAD, *taken(consumer))

    assert eventually(lambda: broker.depth("morgue").ready_count == 1)
    assert broker.dead_letters() == []
    consumer.close()


def test_letter_that_is_not_confirmed_keeps_its_message(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("one")])
    (delivery,) = taken(consumer)
    with monkeypatch.context() as patch:
        patch.setattr(broker._publisher, "publish", _fail)
        with pytest.raises(OperationalError):
            settle(consumer, Verdict.DEAD, delivery)

    consumer.exchange([Settlement(delivery.tag, Verdict.DEAD, "test", "why")])

    assert [it.reason for it in broker.dead_letters("celery")] == ["test"]
    assert broker.depth("celery").ready_count == 0
    consumer.close()


def _fail(_: object) -> list[tuple[str, str]]:
    raise OperationalError("no confirm came")


@pytest.mark.slow
def test_worker_buries_what_kills_its_children(place: Place) -> None:
    place.ours(OURS, "shared", "-P", "prefork", "-c", "1")
    with App("client", broker=place.url) as client:
        client.send_task("deadly", ("it",), queue="shared")
        client.send_task("note", ("innocent",), queue="shared")

    assert eventually(lambda: "innocent" in place.notes())
    assert eventually(lambda: place.tq("dead", "list"))

    assert place.notes().count("died it") <= 6
    (letter,) = place.tq("dead", "list", "-Q", "shared")
    assert (letter["reason"], letter["task"]) == ("worker-lost", "deadly")
    assert place.tq("dead", "show", letter["letter"][:8])["args"] == "['it']"
    assert place.tq("dead", "replay", letter["letter"], "-a", '["again"]') == {"replayed": 1}
    assert eventually(lambda: place.tq("dead", "list"))
    assert "died again" in place.notes()
    assert place.tq("dead", "drop", "--all", "-f") == {"dropped": 1}
    assert place.tq("dead", "list") == []


@pytest.mark.slow
def test_worker_that_was_killed_with_its_task_counts_the_next_death(place: Place) -> None:
    with App("client", broker=place.url) as client:
        client.send_task("deadly", ("it",), queue="shared")
        for count in (1, 2):
            ours = place.start(OURS, *place.ours_command(OURS, "shared"))
            ours.wait(60)
            assert place.notes() == ["died it"] * count
        # Held as a copy, which returns when its time is over.
        assert eventually(lambda: client.broker.depth("shared").ready_count == 1)
        consumer = client.broker.consumer([QueueSpec("shared")], "w2@here")
        assert [it.deaths for it in taken(consumer)] == [1]
        consumer.close()


def test_publication_with_our_marks_is_no_death(broker: Broker) -> None:
    """A foreign message may carry anything in our headers."""
    hostile = task("hostile")
    hostile.message.headers.update({"tq-deaths": "many", "tq-copy": [1], "x-death": "no"})
    broker.publish([Publication(hostile.message, "celery")])
    consumer = broker.consumer([QUEUE], "w1@here")

    (delivery,) = taken(consumer)

    assert delivery.deaths == 0
    settle(consumer, Verdict.ACK, delivery)
    consumer.close()

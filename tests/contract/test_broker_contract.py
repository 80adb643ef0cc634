"""What every broker does: settling, order, parking, dead letters. No line names one of them."""

from __future__ import annotations

import selectors
import threading
from collections.abc import Callable, Sequence

import pytest
from msgspec import structs

from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Delivery,
    ExchangeSpec,
    Handover,
    Publication,
    QueueSpec,
    Riding,
    Settlement,
    Verdict,
)

#: Seconds until a test gives up on something that should come at once, or after a lease.
SOON_S = 5.0
LEASE_S = 25.0

Consume = Callable[..., Consumer]


def task(name: str, queue_name: str = "celery", priority: int | None = None) -> Publication:
    # What every client says of a message; brokers may fill it in where it is missing.
    properties = {"delivery_mode": 2, "priority": priority or 0}
    message = Message(b"[[], {}, {}]", headers={"id": name, "task": "t"}, properties=properties)
    return Publication(message, queue_name)


def names(deliveries: Sequence[Delivery]) -> list[str]:
    return [it.message.headers.get("id", "") for it in deliveries]


def take(consumer: Consumer, count: int, within_s: float = SOON_S) -> list[Delivery]:
    """Fetch until `count` are there."""
    deadline = SYSTEM_CLOCK.mono() + within_s
    taken: list[Delivery] = []
    while len(taken) < count:
        taken += consumer.exchange(wanted=count - len(taken))
        if len(taken) < count:
            assert SYSTEM_CLOCK.mono() < deadline, f"only {names(taken)} came"
            consumer.wait(0.2)
    return taken


def is_empty(consumer: Consumer) -> bool:
    consumer.wait(0.05)
    return not consumer.exchange(wanted=10)


def settle(consumer: Consumer, verdict: Verdict, *deliveries: Delivery, reason: str = "") -> None:
    consumer.exchange([Settlement(it.tag, verdict, reason, "as told") for it in deliveries])


def test_delivery_carries_the_message_unchanged(broker: Broker, consumer: Consumer) -> None:
    sent = Message(
        bytes(range(256)),
        "application/x-own",
        "binary",
        {"id": "a", "nested": {"list": [1, None, 2.5, "é"]}, "lang": "py"},
        {"correlation_id": "a", "reply_to": "r", "priority": 3, "delivery_mode": 2},
    )

    broker.publish([Publication(sent, "celery")])

    delivery = take(consumer, 1)[0]
    assert delivery.message == sent
    assert (delivery.queue, delivery.routing_key) == ("celery", "celery")
    assert not delivery.is_redelivered
    assert delivery.deaths == 0


def test_direct_publish_makes_an_unknown_queue(broker: Broker, consume: Consume) -> None:
    broker.publish([task("a", "fresh")])

    assert names(take(consume(QueueSpec("fresh")), 1)) == ["a"]


def test_declared_queues_are_listed_sorted(broker: Broker) -> None:
    for name in ("b", "a"):
        broker.declare(QueueSpec(name))

    assert [it for it in broker.queue_names() if it in ("a", "b")] == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "bound", "key", "is_taken"),
    [
        ("direct", "red", "red", True),
        ("direct", "red", "blue", False),
        ("topic", "*.red.#", "big.red.old.car", True),
        ("topic", "*.red.#", "red.car", False),
        ("fanout", "", "anything", True),
    ],
)
def test_exchange_routes_by_its_kind(
    broker: Broker, consume: Consume, kind: str, bound: str, key: str, is_taken: bool
) -> None:
    exchange = ExchangeSpec(f"ex-{kind}", kind)
    consumer = consume(QueueSpec("bound", exchange, bound))
    # Whatever does not match here must have another place to go.
    broker.declare(QueueSpec("other", exchange, "blue" if kind == "direct" else "red.*"))

    broker.publish([Publication(Message(b"", headers={"id": "a"}), key, exchange.name)])

    if is_taken:
        assert take(consumer, 1)[0].exchange == exchange.name
    else:
        assert is_empty(consumer)


def test_older_messages_come_first(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task(str(number)) for number in range(20)])

    assert names(take(consumer, 20)) == [str(number) for number in range(20)]


def test_priority_goes_before_age(broker: Broker, consume: Consume) -> None:
    if not broker.capabilities.can_rank:
        pytest.skip("no priorities")
    queue = QueueSpec("ranked", max_priority=9)
    broker.declare(queue)
    broker.publish(
        [task(f"{it}{priority}", "ranked", priority) for it in "ab" for priority in (0, 9)]
    )
    consumer = consume(queue)

    # Which end is the urgent one is each broker's own tradition, as in Celery.
    assert names(take(consumer, 4)) in (["a9", "b9", "a0", "b0"], ["a0", "b0", "a9", "b9"])


def test_exchange_takes_no_more_than_wanted(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task(it) for it in "abc"])

    first = take(consumer, 2)

    assert names(first) == ["a", "b"]
    assert names(take(consumer, 1)) == ["c"]


def test_exchange_on_an_empty_queue_returns_at_once(consumer: Consumer) -> None:
    assert consumer.exchange(wanted=5) == []


def test_descriptor_tells_of_every_answer_that_is_to_come(
    broker: Broker, consumer: Consumer
) -> None:
    # Three looks at an empty queue: some brokers need not even ask.
    for _ in range(3):
        consumer.begin(wanted=10)
        assert_answer_is_told(consumer)
        assert consumer.finish() == []
        consumer.prepare_wait()
    broker.publish([task("a")])
    (held,) = take(consumer, 1)

    consumer.begin(started=[Handover(held.tag, is_acked=False)])
    assert_answer_is_told(consumer)
    consumer.finish()
    consumer.begin(settled=[Settlement(held.tag, Verdict.ACK)], wanted=10)
    assert_answer_is_told(consumer)

    assert consumer.finish() == []
    assert not consumer.answers_later


def test_what_ends_a_run_brings_nothing_and_is_told_of(broker: Broker, consume: Consume) -> None:
    consumer = consume()
    broker.publish([task("a")])
    (held,) = take(consumer, 1)

    consumer.begin(settled=[Settlement(held.tag, Verdict.ACK)])

    assert consumer.brings_nothing == consumer.answers_later
    assert_answer_is_told(consumer)
    assert consumer.finish() == []
    broker.publish([task("b")])
    assert names(take(consumer, 1)) == ["b"]


def test_what_fetches_may_bring_something(broker: Broker, consume: Consume) -> None:
    consumer = consume()
    broker.publish([task("a")])

    consumer.begin(wanted=10)

    assert not consumer.brings_nothing
    (held,) = consumer.finish() or take(consumer, 1)
    assert names([held]) == ["a"]


def test_what_starts_beside_an_exchange_is_on_record(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task(it) for it in "abc"])
    held = take(consumer, 2)
    note = [Handover(it.tag, is_acked=False) for it in held if names([it]) == ["a"]]

    consumer.begin(wanted=1)
    if not broker.capabilities.can_start_beside:
        with pytest.raises(NotSupportedError):
            consumer.start(note)
        return
    consumer.start(note)
    assert_answer_is_told(consumer)
    assert consumer.has_answered()
    assert names(consumer.finish()) == ["c"]
    consumer.close()

    # What has not started has gone back.
    assert broker.depth("celery").ready_count == 2


def assert_answer_is_told(consumer: Consumer) -> None:
    if consumer.answers_later:
        descriptor = consumer.fileno()
        assert descriptor is not None
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            assert selector.select(SOON_S), "nothing told of the answer"


def test_fetched_messages_are_nobody_elses(broker: Broker, consume: Consume) -> None:
    one, two = consume(worker_name="w1@here"), consume(worker_name="w2@here")
    broker.publish([task(it) for it in "ab"])

    assert sorted(names(take(one, 1)) + names(take(two, 1))) == ["a", "b"]
    assert is_empty(one)


def test_ack_is_for_good(broker: Broker, consumer: Consumer, consume: Consume) -> None:
    broker.publish([task("a")])
    settle(consumer, Verdict.ACK, *take(consumer, 1))
    consumer.close()

    assert is_empty(consume())


def test_settling_twice_or_nonsense_changes_nothing(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task("a"), task("b")])
    first, second = take(consumer, 2)
    settle(consumer, Verdict.ACK, first)

    settle(consumer, Verdict.RETURN, first)
    consumer.exchange([Settlement(tag, Verdict.ACK) for tag in ("", "x", "1", "9.9.9", "-1.-1")])

    assert is_empty(consumer)
    settle(consumer, Verdict.RETURN, second)
    assert names(take(consumer, 1)) == ["b"]


def test_returned_message_comes_first_and_flagged(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task(it) for it in "abc"])
    settle(consumer, Verdict.RETURN, *take(consumer, 1))

    again = take(consumer, 1)[0]

    assert names([again]) == ["a"]
    assert again.is_redelivered
    assert again.deaths == 0


def test_died_message_comes_back_counted(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task("a")])
    for expected in (0, 1, 2):
        delivery = take(consumer, 1)[0]
        assert delivery.deaths == expected
        settle(consumer, Verdict.DIED, delivery)


def test_riding_publications_are_in_place(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task("a")])
    done = take(consumer, 1)[0]

    consumer.exchange(
        [Settlement(done.tag, Verdict.ACK)],
        riding=Riding(publications=(task("b"), task("c", "elsewhere"))),
    )

    assert names(take(consumer, 1)) == ["b"]
    assert "elsewhere" in broker.queue_names()


def test_wait_ends_with_nothing_to_fetch(consumer: Consumer) -> None:
    # It may say once too often that something is there, but not for ever.
    assert not all(consumer.wait(0.05) for _ in range(3))


def test_wait_sees_what_is_there_already(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task("a")])

    assert consumer.wait(SOON_S)


def test_wait_is_woken_by_a_publish(broker: Broker, consumer: Consumer) -> None:
    assert is_empty(consumer)
    timer = threading.Timer(0.05, broker.publish, [[task("a")]])
    timer.start()

    began_mono = SYSTEM_CLOCK.mono()
    assert names(take(consumer, 1, within_s=20)) == ["a"]
    assert SYSTEM_CLOCK.mono() - began_mono < 10
    timer.join()


def test_descriptor_becomes_readable_on_publish(broker: Broker, consumer: Consumer) -> None:
    descriptor = consumer.fileno()
    if descriptor is None:
        pytest.skip("only `wait` can tell here")
    consumer.exchange(wanted=1)
    broker.publish([task("a")])

    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        assert selector.select(SOON_S)

    assert names(take(consumer, 1)) == ["a"]


def test_parked_message_comes_when_due(broker: Broker, consumer: Consumer) -> None:
    if not broker.capabilities.can_park:
        pytest.skip("cannot park")
    broker.publish([task("a")])
    delivery = take(consumer, 1)[0]
    due_at = SYSTEM_CLOCK.now() + 0.3

    consumer.park([(delivery.tag, due_at)])

    assert not consumer.exchange(wanted=1)
    assert names(take(consumer, 1)) == ["a"]
    assert SYSTEM_CLOCK.now() >= due_at - 0.01


def test_parked_messages_are_listed_soonest_first(broker: Broker, consumer: Consumer) -> None:
    if not broker.capabilities.can_list_parked:
        pytest.skip("cannot list what is parked")
    broker.publish([task(it) for it in "ab"])
    first, second = take(consumer, 2)
    now_at = SYSTEM_CLOCK.now()

    consumer.park([(first.tag, now_at + 200), (second.tag, now_at + 100)])

    listed = broker.parked(["celery", "unknown"])
    assert names([it.delivery for it in listed]) == ["b", "a"]
    assert listed[0].due_at == pytest.approx(now_at + 100)
    assert len(broker.parked(["celery"], limit=1)) == 1
    assert consumer.next_due_at() == pytest.approx(now_at + 100)
    assert broker.depth("celery").parked_count in (2, None)


def test_parked_message_is_no_longer_in_hand(broker: Broker, consumer: Consumer) -> None:
    if not broker.capabilities.can_list_parked:
        pytest.skip("cannot list what is parked")
    broker.publish([task("a")])
    delivery = take(consumer, 1)[0]
    consumer.park([(delivery.tag, SYSTEM_CLOCK.now() + 100)])

    settle(consumer, Verdict.ACK, delivery)

    assert len(broker.parked(["celery"])) == 1


def test_dead_letter_tells_why(broker: Broker, consumer: Consumer) -> None:
    if not broker.capabilities.can_dead_letter:
        pytest.skip("no dead letters")
    broker.publish([task("a"), task("b")])
    for delivery in take(consumer, 2):
        settle(consumer, Verdict.DEAD, delivery, reason="unknown-task")

    newest, oldest = broker.dead_letters("celery")

    assert (newest.message.headers["id"], oldest.message.headers["id"]) == ("b", "a")
    assert oldest.message == task("a").message
    assert (oldest.queue, oldest.reason, oldest.detail) == ("celery", "unknown-task", "as told")
    assert oldest.worker_name == "w1@here"
    assert oldest.died_at <= SYSTEM_CLOCK.now()
    assert is_empty(consumer)


def test_dead_letters_are_listed_by_queue(broker: Broker, consumer: Consumer) -> None:
    if not broker.capabilities.can_dead_letter:
        pytest.skip("no dead letters")
    broker.publish([task("a"), task("b")])
    settle(consumer, Verdict.DEAD, *take(consumer, 2))

    assert broker.dead_letters("other") == []
    assert len(broker.dead_letters()) == 2
    assert len(broker.dead_letters(limit=1)) == 1


def test_a_large_dead_letter_is_shown_whole(broker: Broker, consumer: Consumer) -> None:
    if not broker.capabilities.can_dead_letter:
        pytest.skip("no dead letters")
    large = task("a")
    body = b"[" + b"1," * 4_000_000 + b"1]"
    broker.publish([structs.replace(large, message=structs.replace(large.message, body=body))])
    settle(consumer, Verdict.DEAD, *take(consumer, 1))

    for _ in range(3):
        (letter,) = broker.dead_letters()
        assert letter.message.body == body


def test_replayed_letter_runs_again(broker: Broker, consumer: Consumer) -> None:
    if not broker.capabilities.can_dead_letter:
        pytest.skip("no dead letters")
    broker.publish([task("a")])
    settle(consumer, Verdict.DIED, *take(consumer, 1))
    settle(consumer, Verdict.DEAD, *take(consumer, 1))
    letter = broker.dead_letters()[0]

    assert broker.replay([letter.letter_id, "nonsense"]) == 1

    again = take(consumer, 1)[0]
    assert (again.message, again.deaths) == (letter.message, 0)
    assert broker.dead_letters() == []
    assert broker.replay([letter.letter_id]) == 0


def test_dropped_letter_is_gone(broker: Broker, consumer: Consumer) -> None:
    if not broker.capabilities.can_dead_letter:
        pytest.skip("no dead letters")
    broker.publish([task("a"), task("b")])
    settle(consumer, Verdict.DEAD, *take(consumer, 2))
    newest = broker.dead_letters()[0]

    assert broker.drop([newest.letter_id, "nonsense"]) == 1

    assert [it.message.headers["id"] for it in broker.dead_letters()] == ["a"]


def test_purge_leaves_what_is_in_hand(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task(it) for it in "abcd"])
    held, parked = take(consumer, 2)
    dropped_count = 2
    if broker.capabilities.can_list_parked:
        consumer.park([(parked.tag, SYSTEM_CLOCK.now() + 100)])
        dropped_count = 3

    assert broker.purge("celery") == dropped_count

    assert is_empty(consumer)
    settle(consumer, Verdict.RETURN, held)
    assert names(take(consumer, 1)) == ["a"]


def test_purge_of_an_unknown_queue_drops_nothing(broker: Broker) -> None:
    assert broker.purge("unknown") == 0


def test_deleted_queue_is_gone(broker: Broker) -> None:
    broker.publish([task("a", "short-lived")])

    broker.delete("short-lived")
    broker.delete("short-lived")

    assert "short-lived" not in broker.queue_names()


def test_depth_counts_or_says_unknown(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task(it) for it in "abc"])
    take(consumer, 1)

    depth = broker.depth("celery")

    assert depth.ready_count in (2, None)
    assert depth.unacked_count in (1, None)
    assert depth.consumer_count in (1, None)
    assert sum(count for _, count in depth.by_priority) in (2, 0)


def test_depth_of_an_unknown_queue_is_no_error(broker: Broker) -> None:
    assert broker.depth("unknown").ready_count in (0, None)


def test_peek_touches_nothing(broker: Broker, consumer: Consumer) -> None:
    if not broker.capabilities.can_peek:
        pytest.skip("cannot peek")
    broker.publish([task(it) for it in "abc"])

    assert [it.headers["id"] for it in broker.peek("celery", 2)] == ["a", "b"]
    assert broker.peek("unknown", 2) == []
    delivery = take(consumer, 1)[0]
    assert names([delivery]) == ["a"]
    assert not delivery.is_redelivered


def test_queue_can_be_added_and_cancelled(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task("a", "later")])
    assert is_empty(consumer)

    consumer.add_queue(QueueSpec("later"))
    assert names(take(consumer, 1)) == ["a"]

    consumer.cancel_queue("later")
    consumer.cancel_queue("unknown")
    broker.publish([task("b", "later")])
    assert is_empty(consumer)


def test_queue_declared_by_its_consumer_is_bound(broker: Broker, consumer: Consumer) -> None:
    broker.publish([Publication(Message(b"", headers={"id": "a"}), "celery", "celery")])

    assert names(take(consumer, 1)) == ["a"]


def test_close_returns_what_was_not_started(
    broker: Broker, consumer: Consumer, consume: Consume
) -> None:
    broker.publish([task(it) for it in "ab"])
    take(consumer, 2)

    consumer.close()
    consumer.close()

    returned = take(consume(), 2)
    assert names(returned) == ["a", "b"]
    assert [it.deaths for it in returned] == [0, 0]


def test_early_acked_message_never_comes_back(
    broker: Broker, consumer: Consumer, consume: Consume
) -> None:
    broker.publish([task("a")])
    consumer.exchange(started=[Handover(it.tag, is_acked=True) for it in take(consumer, 1)])

    consumer.close()

    assert is_empty(consume())


def test_late_started_message_can_be_settled(broker: Broker, consumer: Consumer) -> None:
    broker.publish([task("a")])
    delivery = take(consumer, 1)[0]
    consumer.exchange(started=[Handover(delivery.tag, is_acked=False)])

    settle(consumer, Verdict.RETURN, delivery)

    assert names(take(consumer, 1)) == ["a"]


def _after_the_kill(consumer: Consumer, is_over: Callable[[], bool], max_deaths: int = 5) -> None:
    deadline = SYSTEM_CLOCK.mono() + LEASE_S
    while not is_over():
        assert SYSTEM_CLOCK.mono() < deadline
        consumer.renew()
        consumer.give_back(max_deaths)
        consumer.wait(0.5)


def _taken_after_the_kill(consumer: Consumer, count: int) -> list[Delivery]:
    taken: list[Delivery] = []

    def is_over() -> bool:
        taken.extend(consumer.exchange(wanted=count - len(taken)))
        return len(taken) == count

    _after_the_kill(consumer, is_over)
    return taken


def test_killed_workers_prefetch_comes_back_uncounted(
    broker: Broker, kill_while_holding: Callable[..., None], consume: Consume
) -> None:
    if not broker.capabilities.is_shared_between_processes:
        pytest.skip("lives in one process")
    if not broker.capabilities.keeps_unacked:
        pytest.skip("forgets what a killed worker has")
    broker.publish([task(it) for it in "abc"])
    kill_while_holding(3, started="no")

    taken = _taken_after_the_kill(consume(), 3)

    assert names(taken) == ["a", "b", "c"]
    assert [it.deaths for it in taken] == [0, 0, 0]
    assert all(it.is_redelivered for it in taken)


def test_killed_workers_started_work_comes_back_counted(
    broker: Broker, kill_while_holding: Callable[..., None], consume: Consume
) -> None:
    if not broker.capabilities.can_give_back:
        pytest.skip("cannot tell what had started")
    broker.publish([task("a")])
    kill_while_holding(1, started="late")

    assert [it.deaths for it in _taken_after_the_kill(consume(), 1)] == [1]


def test_killed_workers_early_acked_work_is_reported_lost(
    broker: Broker, kill_while_holding: Callable[..., None], consume: Consume
) -> None:
    if not broker.capabilities.can_give_back:
        pytest.skip("cannot tell what had started")
    broker.publish([task("a")])
    kill_while_holding(1, started="early")
    consumer = consume()
    lost: list[Delivery] = []
    worker_names: list[str] = []

    def is_over() -> bool:
        given = consumer.give_back(5)
        lost.extend(given.lost)
        worker_names.extend(given.worker_names)
        return bool(lost)

    _after_the_kill(consumer, is_over)

    assert lost[0].message == task("a").message
    assert worker_names == ["w1@here"]
    settle(consumer, Verdict.ACK, *lost)
    assert is_empty(consumer)
    assert consumer.give_back(5).lost == ()


def test_killing_once_too_often_makes_a_dead_letter(
    broker: Broker, kill_while_holding: Callable[..., None], consume: Consume
) -> None:
    if not (broker.capabilities.can_give_back and broker.capabilities.can_dead_letter):
        pytest.skip("cannot tell what had started")
    broker.publish([task("a")])
    kill_while_holding(1, started="late")
    consumer = consume()

    _after_the_kill(consumer, lambda: bool(broker.dead_letters()), max_deaths=0)

    letter = broker.dead_letters()[0]
    assert (letter.reason, letter.worker_name) == ("worker-lost", "w1@here")
    assert is_empty(consumer)


def test_living_worker_is_never_robbed(broker: Broker, consume: Consume) -> None:
    one, two = consume(worker_name="w1@here"), consume(worker_name="w2@here")
    broker.publish([task("a")])
    take(one, 1)

    given = two.give_back(5)

    assert given.worker_names == ()
    assert is_empty(two)


def test_live_workers_are_known_by_name(broker: Broker, consume: Consume) -> None:
    if not broker.capabilities.knows_workers:
        pytest.skip("cannot tell")
    consumer = consume(worker_name="w7@here")
    assert [it.worker_name for it in broker.live_workers()] == ["w7@here"]

    consumer.close()

    assert broker.live_workers() == []


def test_consumer_without_a_name_is_no_worker(broker: Broker, consume: Consume) -> None:
    if not broker.capabilities.knows_workers:
        pytest.skip("knows no workers")
    consume(worker_name="")

    assert broker.live_workers() == []


def test_closed_broker_opens_again(broker: Broker) -> None:
    broker.connect()
    broker.close()

    broker.declare(QueueSpec("again"))

    assert "again" in broker.queue_names()


def test_same_url_is_the_same_place(broker: Broker) -> None:
    with open_broker(broker.url) as other:
        assert other.place == broker.place


def test_many_threads_publish_and_nothing_is_lost(broker: Broker, consumer: Consumer) -> None:
    def publish(thread: int) -> None:
        for number in range(10):
            broker.publish([task(f"{thread}.{number}")])

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    taken = names(take(consumer, 50))
    assert sorted(taken) == sorted(f"{thread}.{it}" for thread in range(5) for it in range(10))


def test_full_queue_does_not_starve_another(broker: Broker, consume: Consume) -> None:
    full, other = QueueSpec("full"), QueueSpec("other")
    consumer = consume(full, other)
    broker.publish([Publication(Message(b"full"), "full") for _ in range(20)])
    broker.publish([Publication(Message(b"other"), "other")])

    taken = [it.message.body for _ in range(2) for it in take(consumer, 2)]

    assert b"other" in taken
    assert b"full" in taken

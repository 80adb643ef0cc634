"""What every broker does with events, commands and replies: feeds that start now."""

from __future__ import annotations

import selectors
import threading
from collections.abc import Callable, Iterator

import pytest

from tqconsole.engine.brokers.base import Broker, Subscription
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import ExchangeSpec, Publication, QueueSpec

EVENTS = ExchangeSpec("celeryev", "topic")
COMMANDS = ExchangeSpec("celery.pidbox", "fanout", is_durable=False)
REPLIES = ExchangeSpec("reply.celery.pidbox", "direct", is_durable=False)

Listen = Callable[..., Subscription]


@pytest.fixture
def listen(broker: Broker) -> Iterator[Listen]:
    if not broker.capabilities.can_fanout:
        pytest.skip("no fanout")
    made: list[Subscription] = []

    def make(exchange: ExchangeSpec, *patterns: str) -> Subscription:
        queue = QueueSpec(
            f"feed.{len(made)}",
            exchange,
            patterns[0],
            is_durable=False,
            is_auto_delete=True,
            is_exclusive=True,
            expires_s=60.0,
            message_ttl_s=5.0,
        )
        made.append(broker.subscribe(queue, patterns))
        return made[-1]

    yield make
    for subscription in made:
        subscription.close()


def event(key: str, body: bytes = b"{}") -> Publication:
    properties = {"delivery_mode": 1, "priority": 0}
    return Publication(Message(body, headers={"hostname": "w1@here"}, properties=properties), key)


def heard(subscription: Subscription, count: int) -> list[str]:
    deadline = SYSTEM_CLOCK.mono() + 10
    keys: list[str] = []
    while len(keys) < count:
        assert SYSTEM_CLOCK.mono() < deadline, f"heard only {keys}"
        keys += [it.routing_key for it in subscription.receive(0.2)]
    return keys


def test_listener_gets_the_message_unchanged(broker: Broker, listen: Listen) -> None:
    subscription = listen(EVENTS, "#")
    sent = event("task.sent", b"\x00\xff")

    broker.broadcast(EVENTS, [sent])

    received = subscription.receive(5)
    assert [(it.routing_key, it.message) for it in received] == [("task.sent", sent.message)]


def test_every_listener_gets_everything_in_order(broker: Broker, listen: Listen) -> None:
    listeners = [listen(EVENTS, "#") for _ in range(3)]
    keys = [f"task.n{number}" for number in range(30)]

    broker.broadcast(EVENTS, [event(key) for key in keys])

    assert [heard(it, 30) for it in listeners] == [keys] * 3


def test_feed_starts_now(broker: Broker, listen: Listen) -> None:
    listen(EVENTS, "#")
    broker.broadcast(EVENTS, [event("early")])
    late = listen(EVENTS, "#")

    broker.broadcast(EVENTS, [event("late")])

    assert heard(late, 1) == ["late"]
    assert late.missed_count == 0


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("#",), ["task.sent", "worker.heartbeat", "task"]),
        (("task.#",), ["task.sent", "task"]),
        (("*.heartbeat",), ["worker.heartbeat"]),
        (("task.sent", "worker.*"), ["task.sent", "worker.heartbeat"]),
    ],
)
def test_topic_listener_gets_what_matches(
    broker: Broker, listen: Listen, patterns: tuple[str, ...], expected: list[str]
) -> None:
    subscription = listen(EVENTS, *patterns)

    broker.broadcast(EVENTS, [event(it) for it in ("task.sent", "worker.heartbeat", "task")])

    assert heard(subscription, len(expected)) == expected
    assert subscription.receive(0.05) == []


def test_fanout_reaches_all_whatever_the_key(broker: Broker, listen: Listen) -> None:
    one, two = listen(COMMANDS, ""), listen(COMMANDS, "")

    broker.broadcast(COMMANDS, [event("")])

    assert heard(one, 1) == heard(two, 1) == [""]


def test_direct_reply_reaches_only_its_address(broker: Broker, listen: Listen) -> None:
    mine, other = listen(REPLIES, "mine"), listen(REPLIES, "other")

    broker.broadcast(REPLIES, [event("mine")])

    assert heard(mine, 1) == ["mine"]
    assert other.receive(0.05) == []


def test_exchanges_do_not_mix(broker: Broker, listen: Listen) -> None:
    events, commands = listen(EVENTS, "#"), listen(COMMANDS, "")

    broker.broadcast(COMMANDS, [event("")])

    assert heard(commands, 1) == [""]
    assert events.receive(0.05) == []


def test_listeners_are_counted(broker: Broker, listen: Listen) -> None:
    if not broker.capabilities.knows_listeners:
        pytest.skip("cannot tell")
    assert broker.listener_count(EVENTS, "task.sent") == 0
    assert broker.broadcast(EVENTS, [event("task.sent")]) == 0

    subscription = listen(EVENTS, "task.#")
    listen(EVENTS, "worker.#")

    assert broker.listener_count(EVENTS, "task.sent") == 1
    assert broker.broadcast(EVENTS, [event("worker.x"), event("task.sent")]) == 1
    subscription.close()
    assert broker.listener_count(EVENTS, "task.sent") == 0


def test_receive_ends_with_nothing(listen: Listen) -> None:
    assert listen(EVENTS, "#").receive(0.05) == []


def test_receive_is_woken_by_a_broadcast(broker: Broker, listen: Listen) -> None:
    subscription = listen(EVENTS, "#")
    timer = threading.Timer(0.05, broker.broadcast, [EVENTS, [event("task.sent")]])
    timer.start()

    assert heard(subscription, 1) == ["task.sent"]
    timer.join()


def test_descriptor_stays_readable_while_something_is_left(broker: Broker, listen: Listen) -> None:
    subscription = listen(EVENTS, "#")
    descriptor = subscription.fileno()
    if descriptor is None:
        pytest.skip("only `receive` can tell here")
    broker.broadcast(EVENTS, [event(f"n{number}") for number in range(2500)])

    count = 0
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while count < 2500:
            assert selector.select(5), f"silent after {count}"
            count += len(subscription.receive(0))
    assert count == 2500


def test_closed_listener_hears_nothing_more(broker: Broker, listen: Listen) -> None:
    subscription = listen(EVENTS, "#")

    subscription.close()
    subscription.close()

    broker.broadcast(EVENTS, [event("task.sent")])
    assert subscription.receive(0) == []

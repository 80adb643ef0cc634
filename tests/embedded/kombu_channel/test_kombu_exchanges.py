"""kombu on the embedded store: exchanges, bindings and what is declared."""

from __future__ import annotations

import pytest
from kombu import Connection, Exchange, Queue
from kombu.exceptions import ChannelError
from kombu_rig import PATIENCE_S, TASKS, Inbox, consume, send

from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.embedded import guest
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.protocol.transfer import (
    ExchangeSpec,
    QueueSpec,
)


def test_fanout_reaches_every_bound_queue(connection: Connection) -> None:
    exchange = Exchange("news", "fanout")
    inbox = Inbox()
    for name in ("a", "b"):
        consume(connection, Queue(name, exchange), inbox)

    send(connection, "hello", exchange="news", routing_key="", declare=[])
    connection.drain_events(timeout=PATIENCE_S)
    connection.drain_events(timeout=PATIENCE_S)

    assert inbox.bodies == ["hello", "hello"]


def test_topic_reaches_queues_whose_pattern_fits(
    connection: Connection, broker: SqliteBroker
) -> None:
    exchange = Exchange("shop", "topic")
    for name, key in (("orders", "order.#"), ("new", "*.new")):
        Queue(name, exchange, routing_key=key)(connection.default_channel).declare()

    send(connection, 1, exchange="shop", routing_key="order.new.big", declare=[])
    send(connection, 2, exchange="shop", routing_key="customer.new", declare=[])

    assert [broker.peek(name, 9)[0].body for name in ("orders", "new")] == [b"1", b"2"]


def test_bindings_are_shared_with_our_side(connection: Connection, broker: SqliteBroker) -> None:
    broker.declare(QueueSpec("big", ExchangeSpec("shop", "topic"), "order.#"))

    send(connection, 1, exchange="shop", routing_key="order.new", declare=[])

    assert broker.depth("big").ready_count == 1
    assert ("big", "shop", "order.#") in connection.default_channel.list_bindings()


def test_unbound_queue_gets_no_more(connection: Connection, broker: SqliteBroker) -> None:
    queue = Queue("news-1", Exchange("news", "fanout"))(connection.default_channel)
    queue.declare()

    queue.unbind_from(Exchange("news", "fanout"), "")
    send(connection, 1, exchange="news", routing_key="", declare=[])

    assert broker.depth("news-1").ready_count == 0


def test_headers_exchange_is_refused(connection: Connection) -> None:
    with pytest.raises(NotSupportedError, match="no headers exchanges"):
        Exchange("h", "headers")(connection.default_channel).declare()


def test_passive_look_finds_an_exchange_of_others(
    connection: Connection, broker: SqliteBroker
) -> None:
    broker.declare(QueueSpec("big", ExchangeSpec("shop", "topic"), "order.#"))

    Exchange("shop", "topic", passive=True)(connection.default_channel).declare()
    with pytest.raises(ChannelError, match="no exchange 'nosuch'"):
        Exchange("nosuch", passive=True)(connection.default_channel).declare()


def test_queue_length_limit_is_said_to_have_no_meaning(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    Queue("short", Exchange("short"), max_length=10)(connection.default_channel).declare()

    assert "sqlite has no x-max-length" in caplog.text


def test_passive_look_at_an_unknown_queue_fails(connection: Connection) -> None:
    channel = connection.default_channel

    with pytest.raises(ChannelError, match="no queue 'nosuch'"):
        channel.queue_declare("nosuch", passive=True)


def test_passive_look_tells_messages_and_consumers(connection: Connection) -> None:
    send(connection, 1)
    consume(connection, TASKS, Inbox())

    found = connection.channel().queue_declare("celery", passive=True)

    assert (found.message_count, found.consumer_count) == (1, 1)


def test_purge_and_delete_take_what_waits(connection: Connection, broker: SqliteBroker) -> None:
    send(connection, 1)
    send(connection, 2)
    queue = TASKS(connection.default_channel)
    assert queue.purge() == 2
    send(connection, 3)

    queue.delete(if_empty=True)
    assert broker.queue_names() == ["celery"]
    queue.delete()

    assert broker.queue_names() == []


def test_queue_keeps_its_arguments_when_it_is_consumed(
    connection: Connection, broker: SqliteBroker
) -> None:
    queue = Queue("short", Exchange("short"), routing_key="short", message_ttl=30, expires=60)
    consume(connection, queue, Inbox())

    spec = broker.store.main.read(lambda it: guest.described(it, "short"))

    assert (spec.message_ttl_s, spec.expires_s, spec.routing_key) == (30, 60, "short")


def test_auto_delete_queue_goes_with_its_consumer(
    connection: Connection, broker: SqliteBroker
) -> None:
    queue = Queue("mine", Exchange("mine"), routing_key="mine", auto_delete=True)
    consumer = consume(connection, queue, Inbox())
    assert broker.queue_names() == ["mine"]

    consumer.cancel()

    assert broker.queue_names() == []

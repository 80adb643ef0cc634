"""kombu on the embedded store: messages are sent, delivered and settled."""

from __future__ import annotations

from pathlib import Path

import pytest
from kombu import Connection, Exchange, Queue
from kombu_rig import OURS, PATIENCE_S, TASKS, Inbox, consume, is_empty, send

import tqconsole.kombu
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Publication,
)


def test_alias_and_class_path_lead_to_the_transport(url: str) -> None:
    assert isinstance(Connection(url).transport, tqconsole.kombu.Transport)
    by_path = Connection(url, transport="tqconsole.kombu:Transport")
    assert isinstance(by_path.transport, tqconsole.kombu.Transport)
    assert by_path.transport.driver_type == "sqlite"


def test_url_is_shown_as_it_is(url: str, connection: Connection) -> None:
    assert connection.as_uri() == url
    assert connection.clone().as_uri() == url


def test_transport_options_are_the_urls(tmp_path: Path) -> None:
    options = {"sync": "normal", "max_retries": 3}
    with Connection(f"sqlite://{tmp_path}/q.db", transport_options=options) as connection:
        assert connection.as_uri() == f"sqlite://{tmp_path}/q.db?sync=normal"


def test_wrong_url_says_what_to_write() -> None:
    with pytest.raises(ImproperlyConfigured, match="names a host"):
        Connection("sqlite://host/queue.db").connect()


def test_what_kombu_publishes_is_what_our_side_reads(
    connection: Connection, broker: SqliteBroker
) -> None:
    send(connection, [1, "ä"], headers={"id": "t1", "task": "add"}, correlation_id="t1", priority=3)

    (message,) = broker.peek("celery", 5)

    assert message.body == b'[1, "\\u00e4"]'
    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")
    assert message.headers == {"id": "t1", "task": "add"}
    assert message.properties == {"correlation_id": "t1", "priority": 3, "delivery_mode": 2}


def test_what_our_side_publishes_is_what_kombu_gets(
    connection: Connection, broker: SqliteBroker
) -> None:
    broker.declare(OURS)
    sent = Message(b"\x80\xff", "application/x-raw", "binary", {"id": "t1"}, {"reply_to": "r"})
    inbox = Inbox()
    consume(connection, TASKS, inbox, accept=["application/x-raw"])

    broker.publish([Publication(sent, "celery", "celery")])
    connection.drain_events(timeout=PATIENCE_S)

    (message,) = inbox.messages
    assert message.body == sent.body
    assert (message.content_type, message.content_encoding) == ("application/x-raw", "binary")
    assert message.headers == {"id": "t1"}
    assert message.properties["reply_to"] == "r"
    assert message.delivery_info == {"exchange": "celery", "routing_key": "celery"}


def test_compressed_body_comes_back(connection: Connection) -> None:
    inbox = Inbox()
    consume(connection, TASKS, inbox)

    send(connection, ["x" * 1000], compression="gzip")
    connection.drain_events(timeout=PATIENCE_S)

    assert inbox.bodies == [["x" * 1000]]


def test_acknowledged_message_is_gone(connection: Connection, broker: SqliteBroker) -> None:
    send(connection, 1)
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    connection.drain_events(timeout=PATIENCE_S)
    assert broker.depth("celery").unacked_count == 1

    inbox.messages[0].ack()

    assert broker.depth("celery").unacked_count == 0
    connection.close()
    assert broker.depth("celery").ready_count == 0


def test_requeued_message_comes_first_and_redelivered(connection: Connection) -> None:
    for number in range(3):
        send(connection, number)
    inbox = Inbox()
    consume(connection, TASKS, inbox, prefetch_count=1)
    connection.drain_events(timeout=PATIENCE_S)

    inbox.messages[0].requeue()
    connection.drain_events(timeout=PATIENCE_S)

    assert inbox.bodies == [0, 0]
    assert inbox.messages[1].delivery_info["redelivered"] is True


def test_rejected_message_is_a_dead_letter(connection: Connection, broker: SqliteBroker) -> None:
    send(connection, 1)
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    connection.drain_events(timeout=PATIENCE_S)

    inbox.messages[0].reject()

    (letter,) = broker.dead_letters()
    assert (letter.queue, letter.reason, letter.message.body) == ("celery", "rejected", b"1")
    assert broker.depth("celery").unacked_count == 0


def test_prefetch_count_bounds_what_is_in_hand(
    connection: Connection, broker: SqliteBroker
) -> None:
    for number in range(5):
        send(connection, number)
    inbox = Inbox()
    consume(connection, TASKS, inbox, prefetch_count=2)
    connection.drain_events(timeout=PATIENCE_S)
    connection.drain_events(timeout=PATIENCE_S)
    assert is_empty(connection)
    assert broker.depth("celery").unacked_count == 2

    inbox.messages[0].ack()
    connection.drain_events(timeout=PATIENCE_S)

    assert inbox.bodies == [0, 1, 2]


def test_multiple_ack_takes_all_before_it(connection: Connection, broker: SqliteBroker) -> None:
    for number in range(3):
        send(connection, number)
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    for _ in range(3):
        connection.drain_events(timeout=PATIENCE_S)

    inbox.messages[1].ack(multiple=True)

    assert broker.depth("celery").unacked_count == 1


def test_higher_priority_comes_first(connection: Connection) -> None:
    for priority in (0, 9, 5):
        send(connection, priority, priority=priority)
    inbox = Inbox()
    consume(connection, TASKS, inbox)

    for _ in range(3):
        connection.drain_events(timeout=PATIENCE_S)

    assert inbox.bodies == [9, 5, 0]


def test_full_queue_does_not_starve_another(connection: Connection) -> None:
    other = Queue("other", Exchange("other"), routing_key="other")
    for number in range(5):
        send(connection, number)
    send(connection, "other", exchange="other", routing_key="other", declare=[other])
    inbox = Inbox()
    consumer = connection.Consumer([TASKS, other], on_message=inbox, prefetch_count=1)
    consumer.consume()

    for _ in range(2):
        connection.drain_events(timeout=PATIENCE_S)
        inbox.messages[-1].ack()

    assert inbox.bodies == [0, "other"]


def test_closing_returns_what_is_not_acknowledged(
    connection: Connection, broker: SqliteBroker
) -> None:
    send(connection, 1)
    send(connection, 2)
    consume(connection, TASKS, Inbox())
    connection.drain_events(timeout=PATIENCE_S)

    connection.close()

    depth = broker.depth("celery")
    assert (depth.ready_count, depth.consumer_count) == (2, 0)


def test_cancelling_returns_what_was_not_delivered(
    connection: Connection, broker: SqliteBroker
) -> None:
    for number in range(3):
        send(connection, number)
    consumer = consume(connection, TASKS, Inbox())
    connection.drain_events(timeout=PATIENCE_S)

    consumer.cancel()

    depth = broker.depth("celery")
    assert (depth.ready_count, depth.unacked_count) == (2, 1)


def test_late_ack_of_a_closed_connection_changes_nothing(
    connection: Connection, broker: SqliteBroker
) -> None:
    send(connection, 1)
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    connection.drain_events(timeout=PATIENCE_S)
    connection.close()

    inbox.messages[0].ack()

    assert broker.depth("celery").ready_count == 1


def test_no_ack_consumer_leaves_nothing(connection: Connection, broker: SqliteBroker) -> None:
    send(connection, 1)
    inbox = Inbox()
    consume(connection, TASKS, inbox, no_ack=True)

    connection.drain_events(timeout=PATIENCE_S)

    assert inbox.bodies == [1]
    assert broker.depth("celery").unacked_count == 0


def test_simple_queue_gets_and_knows_its_size(connection: Connection) -> None:
    queue = connection.SimpleQueue("simple")
    queue.put("a")
    assert len(queue) == 1

    message = queue.get(timeout=PATIENCE_S)
    message.ack()

    assert message.payload == "a"
    assert len(queue) == 0


def test_basic_get_takes_one_or_none(connection: Connection, broker: SqliteBroker) -> None:
    send(connection, 1)
    queue = TASKS(connection.default_channel)

    message = queue.get()

    assert message.decode() == 1
    assert queue.get() is None
    message.ack()
    assert broker.depth("celery").unacked_count == 0

"""kombu on the embedded store: commands, replies and events reach both sides."""

from __future__ import annotations

from collections.abc import Callable

from kombu import Connection, Queue
from kombu.pidbox import Mailbox
from kombu_rig import EVENT_EXCHANGE, PATIENCE_S, TASKS, Inbox, consume, send

from tqconsole.engine.brokers.base import Subscription
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.protocol.control import (
    PIDBOX,
    REPLIES,
    Request,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    reply_mailbox,
    worker_mailbox,
)
from tqconsole.engine.protocol.event import EVENTS, decode_events, encode_events, event_mailbox
from tqconsole.engine.protocol.transfer import (
    ExchangeSpec,
    Publication,
)


def test_our_command_reaches_kombus_mailbox(
    connection: Connection, broker: SqliteBroker, subscribe: Callable[..., Subscription]
) -> None:
    node = Mailbox("celery", type="fanout", connection=connection).Node(
        "c1@test", channel=connection.channel()
    )
    node.handlers["ping"] = lambda state: {"ok": "pong"}
    node.listen()
    replies = subscribe(reply_mailbox("r1"), "r1")
    request = Request("ping", ticket="t1", reply_key="r1")

    assert broker.broadcast(PIDBOX, [Publication(encode_request(request), "", PIDBOX.name)]) == 1
    connection.drain_events(timeout=PATIENCE_S)

    (reply,) = replies.receive(PATIENCE_S)
    assert decode_reply(reply.message).value == {"ok": "pong"}
    assert broker.queue_names() == []


def test_kombus_command_reaches_us_and_our_reply_reaches_it(
    connection: Connection, broker: SqliteBroker, subscribe: Callable[..., Subscription]
) -> None:
    commands = subscribe(worker_mailbox("w1@test"), "")
    mailbox = Mailbox("celery", type="fanout", connection=connection)
    channel = connection.default_channel
    mailbox.reply_queue(channel).declare()
    mailbox._publish("ping", {}, reply_ticket="t1", channel=channel, timeout=1)

    (received,) = commands.receive(PATIENCE_S)
    request = decode_request(received.message)
    reply = encode_reply("w1@test", {"ok": "pong"}, request.ticket or "", 1)
    broker.broadcast(REPLIES, [Publication(reply, request.reply_key, REPLIES.name)])

    answers = mailbox._collect("t1", limit=1, timeout=PATIENCE_S)
    assert answers == [{"w1@test": {"ok": "pong"}}]
    assert broker.listener_count(REPLIES, request.reply_key) == 0


def test_consumer_bears_the_name_of_its_node(connection: Connection, broker: SqliteBroker) -> None:
    Mailbox("celery", type="fanout", connection=connection).Node(
        "c1@test", channel=connection.channel()
    ).listen()

    consume(connection, TASKS, Inbox())

    assert [worker.worker_name for worker in broker.live_workers()] == ["c1@test"]


def test_kombus_events_reach_our_subscription(
    connection: Connection, broker: SqliteBroker, subscribe: Callable[..., Subscription]
) -> None:
    feed = subscribe(event_mailbox("m1"), "worker.#")

    for kind in ("worker-online", "task-sent"):
        send(
            connection,
            {"type": kind},
            exchange="celeryev",
            routing_key=kind.replace("-", "."),
            declare=[EVENT_EXCHANGE],
            delivery_mode=1,
        )

    told = [event for one in feed.receive(PATIENCE_S) for event in decode_events(one.message)]
    assert told == [{"type": "worker-online"}]


def test_our_events_reach_kombus_queue(connection: Connection, broker: SqliteBroker) -> None:
    queue = Queue("celeryev.m1", EVENT_EXCHANGE, routing_key="task.#", auto_delete=True)
    inbox = Inbox()
    consumer = consume(connection, queue, inbox, no_ack=True)

    for key in ("worker.online", "task.multi"):
        message = encode_events([{"type": key}])
        broker.broadcast(EVENTS, [Publication(message, key, EVENTS.name)])
    connection.drain_events(timeout=PATIENCE_S)

    assert inbox.bodies == [[{"type": "task.multi"}]]
    consumer.cancel()
    assert broker.listener_count(EVENTS, "task.multi") == 0


def test_event_exchange_of_another_name_is_served_too(
    url: str, subscribe: Callable[..., Subscription]
) -> None:
    feed = subscribe(event_mailbox("m1", exchange=ExchangeSpec("myev", "topic")), "#")
    with Connection(url, transport_options={"event_exchange": "myev"}) as connection:
        send(connection, {"type": "x"}, exchange="myev", routing_key="x", declare=[])

    assert len(feed.receive(PATIENCE_S)) == 1

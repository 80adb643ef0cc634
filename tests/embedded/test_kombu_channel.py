"""kombu on the embedded store: the same rows, commands and events as ours, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue
from kombu.asynchronous import Hub
from kombu.exceptions import ChannelError
from kombu.exceptions import OperationalError as KombuOperationalError
from kombu.pidbox import Mailbox

import tqconsole.kombu
from tqconsole.engine.brokers.base import Subscription
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.embedded import guest
from tqconsole.engine.exceptions import ImproperlyConfigured, NotSupportedError, OperationalError
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
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    ExchangeSpec,
    Handover,
    Publication,
    QueueSpec,
    Settlement,
    Verdict,
)

TASKS = Queue("celery", Exchange("celery", "direct"), routing_key="celery")
OURS = QueueSpec("celery", ExchangeSpec("celery"), "celery")
EVENT_EXCHANGE = Exchange("celeryev", "topic")
PATIENCE_S = 10


class Inbox:
    """A consumer's callback that keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def __call__(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def bodies(self) -> list[Any]:
        return [message.decode() for message in self.messages]


@pytest.fixture(params=["", "?bell=poll"], ids=["bell", "poll"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/queue.db{request.param}"


@pytest.fixture
def broker(url: str) -> Iterator[SqliteBroker]:
    with SqliteBroker(url) as broker:
        yield broker


@pytest.fixture
def subscribe(broker: SqliteBroker) -> Iterator[Callable[..., Subscription]]:
    made: list[Subscription] = []

    def make(queue: QueueSpec, key: str) -> Subscription:
        made.append(broker.subscribe(queue, [key]))
        return made[-1]

    yield make
    for subscription in made:
        subscription.close()


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with Connection(url) as connection:
        yield connection


def send(connection: Connection, body: Any, **options: Any) -> None:
    options = {"exchange": "celery", "routing_key": "celery", "declare": [TASKS], **options}
    connection.Producer().publish(body, **options)


def consume(connection: Connection, queue: Queue, inbox: Inbox, **options: Any) -> Any:
    consumer = connection.Consumer([queue], on_message=inbox, **options)
    consumer.consume()
    return consumer


def is_empty(connection: Connection) -> bool:
    try:
        connection.drain_events(timeout=0)
    except TimeoutError:
        return True
    return False


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


def test_parked_message_is_delivered_when_due(connection: Connection, broker: SqliteBroker) -> None:
    consumer = broker.consumer([OURS], "w1@test")
    broker.publish([Publication(Message(b"1"), "celery", "celery")])
    (delivery,) = consumer.exchange(wanted=1)
    consumer.park([(delivery.tag, broker.store.clock.now() + 0.2)])
    consumer.close()
    inbox = Inbox()
    consume(connection, TASKS, inbox)

    connection.drain_events(timeout=PATIENCE_S)

    assert inbox.bodies == [1]


VICTIM = """
import os, sys
import tqconsole.kombu
from kombu import Connection, Exchange, Queue
connection = Connection(sys.argv[1])
queue = Queue("celery", Exchange("celery"), routing_key="celery")
def hold(message):
    print("held", flush=True)
connection.Consumer([queue], on_message=hold).consume()
connection.drain_events(timeout=10)
sys.stdin.read()
"""


@pytest.mark.slow
def test_killed_consumers_message_comes_back(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/queue.db"
    with Connection(url) as connection:
        send(connection, 1)
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"held\n"
            victim.send_signal(signal.SIGKILL)
            victim.wait(PATIENCE_S)
        inbox = Inbox()
        consume(connection, TASKS, inbox)

        connection.drain_events(timeout=PATIENCE_S)

        assert inbox.messages[0].delivery_info["redelivered"] is True


def test_lost_task_of_our_dead_worker_is_left_to_ours(tmp_path: Path) -> None:
    broker = SqliteBroker(f"sqlite://{tmp_path}/queue.db")
    dead = broker.consumer([OURS], "w1@test")
    messages = [Message(b"%d" % number) for number in range(2)]
    broker.publish([Publication(one, "celery", "celery") for one in messages])
    early, late = dead.exchange(wanted=2)
    dead.exchange(started=[Handover(early.tag, True), Handover(late.tag, False)])
    # As a killed process: the socket goes, its file and rows stay.
    dead._hold._bell._socket.close()

    returned_count = guest.give_back(broker.store, [])

    ours = broker.consumer([OURS], "w2@test")
    lost = ours.give_back(5).lost
    (again,) = ours.exchange(wanted=5)
    assert returned_count == 1
    assert [one.message.body for one in lost] == [b"0"]
    assert (again.message.body, again.deaths) == (b"1", 1)
    ours.exchange([Settlement(one.tag, Verdict.ACK) for one in (*lost, again)])
    ours.close()
    broker.close()


def in_forked_child(action: Callable[[], Any]) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_publishes_and_the_parent_goes_on(connection: Connection) -> None:
    inbox = Inbox()
    send(connection, "parent")
    consume(connection, TASKS, inbox)

    in_forked_child(lambda: send(connection, "child"))

    for _ in range(2):
        connection.drain_events(timeout=PATIENCE_S)
    assert inbox.bodies == ["parent", "child"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_consumes_under_its_own_name(
    connection: Connection, broker: SqliteBroker
) -> None:
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    send(connection, 1)

    def drain() -> None:
        connection.drain_events(timeout=PATIENCE_S)
        assert broker.depth("celery").consumer_count == 2
        inbox.messages[0].ack()
        connection.close()

    in_forked_child(drain)

    assert broker.depth("celery").ready_count == 0
    assert broker.depth("celery").consumer_count == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_that_closes_takes_nothing_from_its_parent(
    connection: Connection, broker: SqliteBroker
) -> None:
    hub = Hub()
    connection.register_with_event_loop(hub)
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    send(connection, 1)
    hub.run_once()

    in_forked_child(connection.close)

    depth = broker.depth("celery")
    assert (depth.unacked_count, depth.consumer_count) == (1, 1)
    inbox.messages[0].ack()
    send(connection, 2)
    hub.run_once()
    assert inbox.bodies == [1, 2]
    connection.close()
    hub.close()


def test_consumer_that_lost_its_lease_registers_again(
    connection: Connection, broker: SqliteBroker
) -> None:
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    for table in ("consumer", "subscription"):
        broker.store.main.write(lambda it, table=table: it.run(f"DELETE FROM {table}"))

    send(connection, 1)
    connection.drain_events(timeout=PATIENCE_S)
    inbox.messages[0].ack()

    depth = broker.depth("celery")
    assert (depth.unacked_count, depth.consumer_count) == (0, 1)


def test_hub_delivers_and_is_left_clean(connection: Connection, broker: SqliteBroker) -> None:
    hub = Hub()
    connection.register_with_event_loop(hub)
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    hub.run_once()
    bells = set(hub.readers)
    for number in range(3):
        broker.publish([Publication(Message(b"%d" % number), "celery", "celery")])

    for _ in range(100):
        hub.run_once()
        if len(inbox.messages) == 3:
            break

    assert inbox.bodies == [0, 1, 2]
    assert bells
    connection.close()
    assert not hub.readers
    assert not hub.on_tick
    hub.close()


def test_store_failure_is_a_connection_error(connection: Connection) -> None:
    assert OperationalError in connection.connection_errors


def test_failed_publish_raises_kombus_error(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise OperationalError("the disk is full")

    connection.connect()
    monkeypatch.setattr(connection.transport.store.main, "write", fail)

    with pytest.raises(KombuOperationalError, match="disk is full"):
        send(connection, 1, retry=True, retry_policy={"max_retries": 1, "interval_start": 0})
    monkeypatch.undo()


def test_waiting_ends_with_a_timeout(connection: Connection) -> None:
    consume(connection, TASKS, Inbox())

    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.01)

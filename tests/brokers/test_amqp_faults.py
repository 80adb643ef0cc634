"""What may go wrong with a RabbitMQ server and the way to it, and that it costs no message."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amqp
import pytest
from amqp_rig import QUEUE, names, settle, taken, task

from faults.proxy import TcpProxy
from tests.servers.brokers_up import free_port
from tqconsole.engine.amqp_server.address import locate
from tqconsole.engine.amqp_server.declaring import find
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.exceptions import (
    BrokerUnreachableError,
    ImproperlyConfigured,
    OperationalError,
)
from tqconsole.engine.protocol.transfer import Publication, QueueSpec, Settlement, Verdict

pytestmark = pytest.mark.server


@pytest.fixture
def url(rabbitmq_vhosts: Iterator[str]) -> str:
    return next(rabbitmq_vhosts)


@pytest.fixture
def broker(url: str) -> Iterator[Broker]:
    with open_broker(url) as opened:
        yield opened


@pytest.fixture
def consumer(broker: Broker) -> Iterator[Consumer]:
    made = broker.consumer([QUEUE], "w1@here")
    yield made
    made.close()


@pytest.fixture
def proxy(url: str) -> Iterator[TcpProxy]:
    with TcpProxy(locate(url).port) as between:
        yield between


# --- no connection ------------------------------------------------------------------------------


def test_wrong_password_says_what_to_do(url: str) -> None:
    with (
        open_broker(url.replace(":guest@", ":wrong@")) as broker,
        pytest.raises(ImproperlyConfigured, match="password") as caught,
    ):
        broker.connect()
    assert "wrong" not in str(caught.value)


def test_unknown_virtual_host_says_what_to_do(url: str) -> None:
    with (
        open_broker(f"{url}-unknown") as broker,
        pytest.raises(ImproperlyConfigured, match=r"virtual host .*add_vhost"),
    ):
        broker.connect()


def test_plain_port_says_that_it_speaks_no_tls(url: str) -> None:
    with (
        open_broker(url.replace("amqp:", "amqps:")) as broker,
        pytest.raises(ImproperlyConfigured, match="speaks no TLS"),
    ):
        broker.connect()


def test_nobody_there_is_unreachable() -> None:
    with (
        open_broker(f"amqp://127.0.0.1:{free_port()}//") as broker,
        pytest.raises(BrokerUnreachableError, match="Nobody answers"),
    ):
        broker.connect()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown\r\n"])
def test_other_server_at_the_port_is_told(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            link, _ = listener.accept()
            with link, contextlib.suppress(ConnectionResetError):
                link.sendall(answer)
                while link.recv(100):
                    pass

        serving = threading.Thread(target=serve)
        serving.start()
        port = listener.getsockname()[1]
        with (
            open_broker(f"amqp://127.0.0.1:{port}//?connect_timeout=0.3") as broker,
            pytest.raises(BrokerUnreachableError, match="no AMQP server"),
        ):
            broker.connect()
        serving.join()


# --- queues -------------------------------------------------------------------------------------


def test_queue_deleted_under_its_consumer_is_made_again(broker: Broker, consumer: Consumer) -> None:
    assert consumer.exchange(wanted=1) == []
    broker.delete("celery")

    broker.publish([task("after")])

    assert names(taken(consumer)) == ["after"]


def test_queue_with_other_arguments_is_used_as_it_is(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.declare(QueueSpec("celery", QUEUE.exchange, "celery", max_priority=5))
    with caplog.at_level(logging.WARNING):
        consumer = broker.consumer([QUEUE], "w1@here")
        broker.publish([task("one")])

        assert names(taken(consumer)) == ["one"]

    assert [it.getMessage().partition(":")[0] for it in caplog.records] == [
        "The queue 'celery' exists with other settings than asked for, and is used as it is"
    ]
    consumer.close()


def test_unknown_exchange_is_told_and_the_next_publish_works(broker: Broker) -> None:
    with pytest.raises(ImproperlyConfigured, match="exchange 'nowhere'"):
        broker.publish([Publication(task("lost").message, "key", "nowhere")])

    broker.publish([task("one")])

    assert broker.depth("celery").ready_count == 1


# --- hostile messages ---------------------------------------------------------------------------


class _Raw(amqp.Message):
    """Content whose properties are bytes, as only a foreign program would write them."""

    properties_bytes = b""

    def _serialize_properties(self) -> bytes:
        return self.properties_bytes


def _table(*fields: bytes) -> bytes:
    body = b"".join(fields)
    return len(body).to_bytes(4, "big") + body


def _nested(depth: int) -> bytes:
    table = _table()
    for _ in range(depth):
        table = _table(b"\x01aF" + table)
    return table


#: What RabbitMQ takes and py-amqp stumbles over.
HOSTILE_TABLES = {
    "time beyond all years": _table(b"\x01tT" + (2**62).to_bytes(8, "big")),
    "deep": _nested(3000),
    "a type of the server's own": _table(b"\x01s" + b"s" + b"\xff\xff"),
    "key in no encoding": _table(b"\x02\xff\xfeS" + (1).to_bytes(4, "big") + b"x"),
    "text in no encoding": _table(b"\x04taskS" + (2).to_bytes(4, "big") + b"\xff\xfe"),
}


@pytest.mark.parametrize("kind", list(HOSTILE_TABLES))
def test_hostile_header_stops_nobody(broker: Any, consumer: Consumer, kind: str) -> None:
    content = _Raw(b"body")
    # The property flags: headers, and nothing else.
    content.properties_bytes = b"\x20\x00" + HOSTILE_TABLES[kind]
    with broker._link.channel("raw") as channel:
        channel.basic_publish(content, "", "celery")
    broker.publish([task("good")])

    found = {it.message.headers.get("id"): it for it in taken_until_good(consumer)}

    assert "good" in found
    settle(consumer, Verdict.DEAD, *(it for name, it in found.items() if name != "good"))
    while not (letters := broker.dead_letters("celery")):
        # It came over a connection of its own, and may be the later one.
        settle(consumer, Verdict.DEAD, *consumer.exchange(wanted=4))
    (letter,) = letters
    assert letter.message.body == b"body"


def test_what_is_refused_leaves_its_place_to_the_next(broker: Any, consumer: Consumer) -> None:
    assert consumer.exchange(wanted=4) == []
    content = _Raw(b"body")
    content.properties_bytes = b"\x20\x00" + next(iter(HOSTILE_TABLES.values()))
    with broker._link.channel("raw") as channel:
        for _ in range(2):
            channel.basic_publish(content, "", "celery")
    broker.publish([task("good")])
    # All three are here before the first is taken: nobody rings for the last one again.
    while len(consumer._intake._waiting["celery"]) < 3:
        assert consumer.wait(5)
        consumer._intake.refresh(0.01)

    assert names(consumer.exchange(wanted=1)) == ["good"]


def taken_until_good(consumer: Consumer) -> list[Any]:
    found = taken(consumer)
    while found[-1].message.headers.get("id") != "good":
        found += taken(consumer)
    return found


# --- lost connections ---------------------------------------------------------------------------


def test_silence_counts_from_the_last_word(
    broker: Broker, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer.renew()
    broker.publish([task("one")])
    assert names(taken(consumer)) == ["one"]

    # Nobody has looked since: whoever renews was held up elsewhere.
    with monkeypatch.context() as patch:
        patch.setattr("amqp.connection.monotonic", lambda: SYSTEM_CLOCK.mono() + 20)

        with pytest.raises(OperationalError, match="heartbeats missed"):
            consumer.renew()


def test_silent_link_is_noticed_and_made_anew(url: str, broker: Broker, proxy: TcpProxy) -> None:
    """Nothing is said any more, also no end, as when a machine or a firewall went away."""
    consumer = open_broker(proxy.url(url)).consumer([QUEUE], "w1@here")
    consumer.exchange(wanted=1)
    proxy.silence()
    silent_mono = SYSTEM_CLOCK.mono()
    # The first leaves for the dead link, and the server needs its time to notice, too.
    broker.publish([task("one"), task("two")])
    found: dict[str, float] = {}

    while len(found) < 2 and SYSTEM_CLOCK.mono() - silent_mono < 40:
        with contextlib.suppress(OperationalError):
            for name in names(consumer.exchange(wanted=2 - len(found))):
                found[name] = SYSTEM_CLOCK.mono() - silent_mono
            consumer.renew()
            consumer.wait(0.25)

    assert found["two"] < 15
    assert found["one"] < 25
    consumer.close()


def test_cut_links_leak_nothing(url: str, broker: Broker, proxy: TcpProxy) -> None:
    through = open_broker(proxy.url(url))
    consumer = through.consumer([QUEUE], "w1@here")
    descriptor = consumer.fileno()

    def go_round(number: int) -> None:
        assert proxy.cut() >= 1
        broker.publish([task(str(number))])
        found: list[str] = []
        # What was settled just before the cut may come again.
        while str(number) not in found:
            settle(consumer, Verdict.ACK, *(last := taken(consumer)))
            found += names(last)
        with contextlib.suppress(OperationalError):
            # Told once; the next use connects again.
            through.depth("celery")

    go_round(0)
    descriptor_count, thread_count = _descriptor_count(), threading.active_count()
    for number in range(1, 50):
        go_round(number)

    assert _descriptor_count() <= descriptor_count
    assert threading.active_count() <= thread_count
    assert consumer.fileno() == descriptor
    consumer.close()
    through.close()


def test_lost_connection_tells_what_it_took(url: str, broker: Broker, proxy: TcpProxy) -> None:
    consumer = open_broker(proxy.url(url)).consumer([QUEUE], "w1@here")
    broker.publish([task("one")])
    (first,) = taken(consumer)
    proxy.cut()

    (again,) = taken(consumer)

    assert consumer.forfeited() == [first.tag]
    assert names([again]) == ["one"]
    # The old tag settles nothing any more.
    settle(consumer, Verdict.ACK, first)
    settle(consumer, Verdict.ACK, again)
    consumer.close()
    assert broker.depth("celery").ready_count == 0


def test_run_that_ended_when_its_message_was_lost_needs_no_other(
    url: str, broker: Broker, proxy: TcpProxy
) -> None:
    consumer = open_broker(proxy.url(url)).consumer([QUEUE], "w1@here")
    broker.publish([task("one")])
    (first,) = taken(consumer)
    proxy.cut()
    ended = [Settlement(first.tag, Verdict.ACK)]
    with contextlib.suppress(OperationalError):
        consumer.exchange(ended)
    # As the worker does: what failed is said again.
    consumer.exchange(ended)
    broker.publish([task("two")])

    (second,) = taken(consumer)

    assert names([second]) == ["two"]
    settle(consumer, Verdict.ACK, second)
    consumer.close()
    assert broker.depth("celery").ready_count == 0


def test_publish_through_a_silent_link_ends(
    url: str, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tqconsole.engine.amqp_server.link.ANSWER_TIMEOUT_S", 0.5)
    with open_broker(proxy.url(url)) as broker:
        broker.publish([task("one")])
        proxy.silence()
        asked_mono = SYSTEM_CLOCK.mono()
        with pytest.raises(OperationalError, match="does not confirm"):
            broker.publish([task("two")])
        assert SYSTEM_CLOCK.mono() - asked_mono < 12

        broker.publish([task("three")])
        assert broker.depth("celery").ready_count == 2


# --- forks --------------------------------------------------------------------------------------


def test_fork_s_child_has_connections_of_its_own(broker: Any) -> None:
    broker.publish([task("a")])
    link = broker._link
    is_held, may_go = threading.Event(), threading.Event()

    def talk() -> None:
        with link.lock:
            is_held.set()
            may_go.wait(10)

    talking = threading.Thread(target=talk)
    talking.start()
    is_held.wait(10)
    epoch = link.epoch
    child = os.fork()
    if child == 0:
        broker.publish([task("b")])
        broker.close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    may_go.set()
    talking.join()

    assert status == 0
    assert find(link, "celery") == (2, 0)
    broker.publish([task("c")])
    # And the parent's own connection is as it was.
    assert (find(link, "celery"), link.epoch) == ((3, 0), epoch)


def _descriptor_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))

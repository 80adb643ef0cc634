"""What may go wrong with a Redis server, and that it costs neither a message nor a second run."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faults.proxy import TcpProxy
from tests.servers.brokers_up import Server, free_port, redis_up
from tqconsole.engine.backends import open_backend
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.brokers.redis import lua
from tqconsole.engine.brokers.redis.bell import Bell
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.exceptions import (
    BrokerUnreachableError,
    ImproperlyConfigured,
    OperationalError,
)
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Delivery,
    ExchangeSpec,
    Handover,
    Publication,
    QueueSpec,
    ResultWrite,
    Riding,
    Settlement,
    Verdict,
)
from tqconsole.engine.redis_server.address import locate
from tqconsole.engine.redis_server.link import Link, Script

pytestmark = pytest.mark.server

QUEUE = QueueSpec("celery")
_databases = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with redis_up(tmp_path_factory.mktemp("redis"), "--databases", "256") as running:
        yield running


@pytest.fixture
def url(server: Server) -> str:
    return f"{server.url.rpartition('/')[0]}/{next(_databases)}"


@pytest.fixture
def broker(url: str) -> Iterator[Broker]:
    with open_broker(url) as opened:
        yield opened


def task(name: str) -> Publication:
    return Publication(Message(b"[[], {}, {}]", headers={"id": name, "task": "t"}), "celery")


def names(deliveries: list[Delivery]) -> list[str]:
    return [it.message.headers["id"] for it in deliveries]


@pytest.fixture
def lose_answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let a link carry out the next exchanges and lose their answers."""

    def lose(*, is_carried_out: bool) -> None:
        # Only exchanges are begun; everything else waits for its answer.
        name = "finish" if is_carried_out else "begin"
        original = getattr(Bell, name)

        def lost(self: Bell, *arguments: Any) -> Any:
            monkeypatch.setattr(Bell, name, original)
            if is_carried_out:
                original(self, *arguments)
            self._link.close()
            raise OperationalError("the answer was lost")

        monkeypatch.setattr(Bell, name, lost)

    return lose


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_lost_answer_costs_nothing_and_doubles_nothing(
    broker: Broker, lose_answers: Callable[..., None], *, is_carried_out: bool
) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("a"), task("b")])
    first = consumer.exchange(wanted=1)
    settled = [Settlement(first[0].tag, Verdict.ACK)]
    riding = Riding(publications=(Publication(task("c").message, "other"),))
    lose_answers(is_carried_out=is_carried_out)
    with pytest.raises(OperationalError):
        consumer.exchange(settled, wanted=1, riding=riding)

    again = consumer.exchange(settled, wanted=1, riding=riding)

    assert names(again) == ["b"]
    assert broker.depth("other").ready_count == 1
    consumer.exchange([Settlement(again[0].tag, Verdict.ACK)])
    consumer.close()
    assert broker.depth("celery").ready_count == 0


def test_second_failure_after_a_lost_answer_publishes_nothing_twice(
    broker: Broker, lose_answers: Callable[..., None]
) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("a"), task("b")])
    first = consumer.exchange(wanted=1)
    settled = [Settlement(first[0].tag, Verdict.ACK)]
    riding = Riding(publications=(Publication(task("c").message, "other"),))
    for is_carried_out in (True, False):
        lose_answers(is_carried_out=is_carried_out)
        with pytest.raises(OperationalError):
            consumer.exchange(settled, wanted=1, riding=riding)

    again = consumer.exchange(settled, wanted=1, riding=riding)

    assert names(again) == ["b"]
    assert broker.depth("other").ready_count == 1
    consumer.close()


def test_loss_whose_answer_was_lost_is_told_the_next_time(
    broker: Broker, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("a")])
    dead.exchange(started=[Handover(it.tag, is_acked=True) for it in dead.exchange(wanted=1)])
    broker._link.run("DEL", *broker._link.run("KEYS", "tq.lease.*"))
    with open_broker(url) as other_broker:
        other = other_broker.consumer([QUEUE], "w2@here")
        original = Link.script

        def lose_reaped(self: Link, script: Script, words: Any) -> Any:
            answer = original(self, script, words)
            if script is lua.REAP:
                raise OperationalError("the answer was lost")
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(Link, "script", lose_reaped)
            with pytest.raises(OperationalError):
                other.give_back(5)

        assert names(list(other.give_back(5).lost)) == ["a"]
        assert other.give_back(5).lost == ()
        other.close()
    # Nobody has settled it: who comes next is told again.
    with open_broker(url) as third_broker:
        third = third_broker.consumer([QUEUE], "w3@here")
        (lost,) = third.give_back(5).lost
        third.exchange([Settlement(lost.tag, Verdict.ACK)])
        third.close()
    assert broker._link.run("HLEN", "unacked") == 0


@pytest.mark.parametrize("size", [100_000, 20_000_000])
def test_answer_that_comes_in_many_parts_is_no_silence(broker: Broker, size: int) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    large = Message(b"x" * size, headers={"id": "a", "task": "t"})
    broker.publish([Publication(large, "celery")])

    (held,) = consumer.exchange(wanted=1)

    assert len(held.message.body) == size
    consumer.exchange([Settlement(held.tag, Verdict.ACK)])
    consumer.close()


def test_what_is_no_envelope_becomes_a_dead_letter(broker: Broker, url: str) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    junk = [b"junk", b"[]", b'{"body": 1}', b"\xff\x00", b""]
    broker._link.run("LPUSH", "celery", *junk)
    broker.publish([task("good")])

    assert names(consumer.exchange(wanted=10)) == ["good"]

    assert len(broker.dead_letters("celery")) == len(junk)
    assert {it.reason for it in broker.dead_letters()} <= {"bad-envelope", "undecodable"}
    consumer.close()
    assert broker._link.run("HLEN", "unacked") == 0


def test_dead_letter_exchange_has_no_meaning_and_loses_nothing(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    queue = QueueSpec("celery", arguments={"x-dead-letter-exchange": "dlx", "x-max-length": 1})
    consumer = broker.consumer([queue], "w1@here")
    broker.publish([task("a"), task("b")])
    (held,) = consumer.exchange(wanted=1)

    consumer.exchange([Settlement(held.tag, Verdict.DEAD, "rejected", "by its task")])
    consumer.renew()

    (letter,) = broker.dead_letters("celery")
    assert (letter.message.headers["id"], letter.reason) == ("a", "rejected")
    assert caplog.text.count("its dead letters stay in celery.dead") == 1
    assert broker.replay([letter.letter_id]) == 1
    assert sorted(names(consumer.exchange(wanted=5))) == ["a", "b"]
    consumer.close()


def test_foreign_key_in_the_place_of_a_queue_is_told(broker: Broker) -> None:
    consumer = broker.consumer([QUEUE, QueueSpec("good")], "w1@here")
    broker._link.run("SET", "celery", "mine")

    with pytest.raises(OperationalError, match="celery"):
        consumer.exchange(wanted=1)

    broker.publish([Publication(task("a").message, "good")])
    assert names(consumer.exchange(wanted=1)) == ["a"]
    consumer.close()


def test_late_settlement_of_a_robbed_worker_changes_nothing(broker: Broker, url: str) -> None:
    slow = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("a")])
    held = slow.exchange(wanted=1)
    slow.exchange(started=[Handover(held[0].tag, is_acked=False)])
    # As if it had been stopped for longer than its lease.
    broker._link.run("DEL", *broker._link.run("KEYS", "tq.lease.*"))
    with open_broker(url) as other_broker:
        other = other_broker.consumer([QUEUE], "w2@here")
        assert other.give_back(5).worker_names == ("w1@here",)
        taken = other.exchange(wanted=1)

        slow.exchange([Settlement(held[0].tag, Verdict.ACK)])
        slow.close()

        assert [it.deaths for it in taken] == [1]
        assert broker._link.run("HLEN", "unacked") == 1
        other.close()


def test_long_gone_fleet_is_found_by_its_tags(broker: Broker, url: str) -> None:
    gone = broker.consumer([QUEUE], "w1@here")
    broker.publish([task("a")])
    gone.exchange(wanted=1)
    broker._link.run("DEL", "tq.consumers", *broker._link.run("KEYS", "tq.lease.*"))

    with open_broker(url) as other_broker:
        other = other_broker.consumer([QUEUE], "w2@here")

        given = other.give_back(5)

        assert (given.returned_count, given.worker_names) == (1, ("w1@here",))
        assert names(other.exchange(wanted=1)) == ["a"]
        other.close()


def test_wrong_password_says_what_to_do(tmp_path: Path) -> None:
    with redis_up_with_password(tmp_path) as port:
        for login in ("", ":wrong@"):
            with (
                open_broker(f"redis://{login}127.0.0.1:{port}/0") as refused,
                pytest.raises(ImproperlyConfigured, match="password") as caught,
            ):
                refused.connect()
            assert "wrong@" not in str(caught.value)
        with open_broker(f"redis://:secret@127.0.0.1:{port}/0") as let_in:
            let_in.connect()
            assert let_in.url == f"redis://:**@127.0.0.1:{port}/0"


def test_password_changed_in_the_middle_fails_for_now(tmp_path: Path) -> None:
    with redis_up(tmp_path / "redis") as server, open_broker(server.url) as admin:
        admin.connect()
        with open_broker(server.url) as broker:
            broker.publish([task("a")])
            # Who administers stays in: it was before there was a password.
            admin._link.run("CONFIG", "SET", "requirepass", "secret")
            admin._link.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            for _ in range(2):
                with pytest.raises(OperationalError):
                    broker.publish([task("b")])

            admin._link.run("CONFIG", "SET", "requirepass", "")
            broker.publish([task("b")])
            assert broker.depth("celery").ready_count == 2


def test_nobody_there_is_unreachable() -> None:
    with (
        open_broker(f"redis://127.0.0.1:{free_port()}/0") as broker,
        pytest.raises(BrokerUnreachableError, match="Nobody answers"),
    ):
        broker.connect()


def test_cluster_is_refused(tmp_path: Path) -> None:
    # Its bus would take the server's port + 10,000, which may be no port at all.
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with (
        redis_up(tmp_path / "cluster", *options) as server,
        open_broker(server.url) as broker,
        pytest.raises(ImproperlyConfigured, match="Redis Cluster"),
    ):
        broker.connect()


def test_full_server_fails_for_now(tmp_path: Path) -> None:
    with redis_up(tmp_path / "full") as server, open_broker(server.url) as broker:
        broker.publish([task("a")])
        broker._link.run("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(OperationalError, match="out of memory"):
            broker.publish([task("b")])

        broker._link.run("CONFIG", "SET", "maxmemory", "0")
        broker.publish([task("b")])
        assert broker.depth("celery").ready_count == 2


def test_full_server_is_emptied_by_its_workers(tmp_path: Path) -> None:
    with redis_up(tmp_path / "full") as server, open_broker(server.url) as broker:
        consumer = broker.consumer([QUEUE], "w1@here")
        broker.publish([task(str(number)) for number in range(10)])
        first = consumer.exchange(wanted=5)
        broker._link.run("CONFIG", "SET", "maxmemory", "1")
        settled = [Settlement(it.tag, Verdict.ACK) for it in first]
        riding = Riding(results=tuple(result_of(it) for it in first))
        with pytest.raises(OperationalError, match="out of memory"):
            consumer.exchange(settled, wanted=5, riding=riding)

        second = consumer.exchange(settled, wanted=5, riding=riding)

        assert names(second) == ["5", "6", "7", "8", "9"]
        assert broker._link.run("HLEN", "unacked") == 5
        assert broker._link.run("EXISTS", "celery-task-meta-0") == 1
        consumer.exchange([Settlement(it.tag, Verdict.ACK) for it in second])
        assert broker._link.run("HLEN", "unacked") == 0
        with pytest.raises(OperationalError, match="out of memory"):
            broker.publish([task("more")])
        consumer.close()


def test_full_server_is_not_made_fuller_by_results(tmp_path: Path) -> None:
    with redis_up(tmp_path / "full") as server, open_broker(server.url) as broker:
        consumer = broker.consumer([QUEUE], "w1@here")
        broker.publish([task("a")])
        (held,) = consumer.exchange(wanted=5)
        large = msgspec.structs.replace(result_of(held), record=b"x" * 100_000)
        broker._link.run("CONFIG", "SET", "maxmemory", "1")

        for _ in range(3):
            with pytest.raises(OperationalError, match="out of memory"):
                consumer.exchange(
                    [Settlement(held.tag, Verdict.ACK)], riding=Riding(results=(large,))
                )

        broker._link.run("CONFIG", "SET", "maxmemory", "0")
        consumer.exchange([Settlement(held.tag, Verdict.ACK)], riding=Riding(results=(large,)))
        assert broker._link.run("HLEN", "unacked") == 0
        consumer.close()


def result_of(delivery: Delivery) -> ResultWrite:
    task_id = delivery.message.headers["id"]
    return ResultWrite(task_id, "SUCCESS", b'{"status": "SUCCESS"}')


def test_server_that_cannot_save_fails_for_now(tmp_path: Path) -> None:
    options = ("--enable-protected-configs", "yes")
    with redis_up(tmp_path / "redis", *options) as server, open_broker(server.url) as broker:
        consumer = broker.consumer([QUEUE], "w1@here")
        broker.publish([task("a")])
        held = consumer.exchange(wanted=1)
        broker._link.run("CONFIG", "SET", "save", "3600 1")
        (tmp_path / "gone").mkdir()
        broker._link.run("CONFIG", "SET", "dir", str(tmp_path / "gone"))
        (tmp_path / "gone").rmdir()
        _save(broker, "err")
        for refused in (
            lambda: broker.publish([task("b")]),
            lambda: consumer.exchange([Settlement(held[0].tag, Verdict.ACK)]),
        ):
            with pytest.raises(OperationalError, match="cannot save its data"):
                refused()

        broker._link.run("CONFIG", "SET", "dir", str(tmp_path))
        _save(broker, "ok")
        consumer.exchange([Settlement(held[0].tag, Verdict.ACK)])
        assert broker._link.run("HLEN", "unacked") == 0
        consumer.close()


def _save(broker: Broker, status: str) -> None:
    broker._link.run("BGSAVE")
    deadline = SYSTEM_CLOCK.mono() + 10
    while f"rdb_last_bgsave_status:{status}".encode() not in broker._link.run("INFO"):
        assert SYSTEM_CLOCK.mono() < deadline


def test_replica_fails_for_now(tmp_path: Path) -> None:
    with redis_up(tmp_path / "replica") as server, open_broker(server.url) as broker:
        broker.publish([task("a")])
        broker._link.run("REPLICAOF", "127.0.0.1", str(free_port()))

        with pytest.raises(OperationalError, match=r"takes no writes|lost its master"):
            broker.publish([task("b")])

        broker._link.run("REPLICAOF", "NO", "ONE")
        broker.publish([task("b")])


def test_consumer_outlives_its_connections(url: str, broker: Broker) -> None:
    consumer = open_broker(url).consumer([QUEUE], "w1@here")
    descriptor = consumer.fileno()
    consumer.exchange(wanted=1)
    broker._link.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    broker.publish([task("a")])

    assert _taken(consumer) == ["a"]
    # And it is woken again.
    assert _taken(consumer) == []
    broker.publish([task("b")])
    assert consumer.wait(3)
    assert names(consumer.exchange(wanted=1)) == ["b"]
    assert consumer.fileno() == descriptor
    consumer.close()


def _taken(consumer: Any) -> list[str]:
    deadline = SYSTEM_CLOCK.mono() + 2
    while SYSTEM_CLOCK.mono() < deadline:
        with contextlib.suppress(OperationalError):
            found = consumer.exchange(wanted=1)
            if found or consumer._bell.is_quiet:
                return names(found)
        consumer.wait(0.05)
    raise AssertionError("nothing came")


def test_silence_on_one_link_is_told_to_those_that_only_listen(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tqconsole.engine.redis_server.address.ANSWER_TIMEOUT_S", 0.5)
    with TcpProxy(locate(url).port) as proxy, open_broker(proxy.url(url)) as broker:
        consumer: Any = broker.consumer([QUEUE], "w1@here")
        feed = broker.subscribe(QueueSpec("ear", ExchangeSpec("news", "fanout")), [""])
        assert _taken(consumer) == []
        proxy.silence()
        with open_broker(url) as other:
            other.publish([task("a")])

        with pytest.raises(OperationalError, match="timed out"):
            consumer.renew()

        assert _taken(consumer) == ["a"]
        assert feed.fileno() is None
        with pytest.raises(OperationalError, match="silent"):
            feed.receive(0)
        consumer.close()


def test_server_that_lost_its_data_is_told_the_queues_again(broker: Broker) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    broker._link.run("FLUSHDB")

    consumer.renew()

    assert broker.queue_names() == ["celery"]
    assert [it.worker_name for it in broker.live_workers()] == ["w1@here"]
    consumer.close()


def test_fork_while_another_thread_is_talking_is_no_deadlock(broker: Broker) -> None:
    broker.publish([task("a")])
    link = broker._link
    is_held, may_go = threading.Event(), threading.Event()

    def talk() -> None:
        with link._lock:
            is_held.set()
            may_go.wait(10)

    talking = threading.Thread(target=talk)
    talking.start()
    is_held.wait(10)
    child = os.fork()
    if child == 0:
        broker.publish([task("b")])
        os._exit(0)
    _, status = os.waitpid(child, 0)
    may_go.set()
    talking.join()

    assert status == 0
    # And the parent's own connection is as it was.
    assert broker.depth("celery").ready_count == 2


def test_socket_of_the_machine_will_do(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with redis_up(tmp_path / "redis", "--unixsocket", str(path)):
        with open_broker(f"redis+socket://{path}?virtual_host=1") as broker:
            broker.publish([task("a")])
            assert broker.depth("celery").ready_count == 1
        store = open_backend(f"redis+socket://{path}?virtual_host=1")
        assert store.rides_on(broker.place)
        store.close()


def test_what_celerys_workers_hold_back_is_not_known(broker: Broker) -> None:
    broker.declare(QUEUE)
    assert broker.depth("celery").parked_count is None

    consumer = broker.consumer([QUEUE], "w1@here")

    assert broker.depth("celery").parked_count == 0
    consumer.close()


def test_idle_worker_asks_little(broker: Broker) -> None:
    consumer = broker.consumer([QUEUE], "w1@here")
    assert consumer.exchange(wanted=4) == []
    assert not consumer.wait(0.05)
    before = broker._link.run("INFO", "commandstats")

    for _ in range(50):
        assert consumer.exchange(wanted=4) == []

    after = broker._link.run("INFO", "commandstats")
    assert before.count(b"cmdstat_evalsha") == after.count(b"cmdstat_evalsha")
    assert _calls(before, b"evalsha") == _calls(after, b"evalsha")
    consumer.close()


def _calls(stats: bytes, name: bytes) -> bytes:
    lines = [it for it in stats.splitlines() if it.startswith(b"cmdstat_" + name + b":")]
    return lines[0].split(b",")[0] if lines else b""


@contextlib.contextmanager
def redis_up_with_password(folder: Path) -> Iterator[int]:
    # The server's own check of its start knows no password, so it is set when it runs.
    with redis_up(folder / "redis") as server, open_broker(server.url) as broker:
        broker._link.run("CONFIG", "SET", "requirepass", "secret")
        yield server.port

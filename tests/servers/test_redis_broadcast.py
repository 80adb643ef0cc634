"""kombu's `Broadcast` on Redis: a fanout task reaches every worker once, of either kind."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest
from brokers_up import redis_up
from celery import Celery
from kombu import Exchange
from kombu.common import Broadcast
from kombu_fleet import eventually
from redis_fleet import Place

from tqconsole.engine.app import App

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two workers of ours and a real one, all with a queue of their own on one fanout exchange."""
    with redis_up(tmp_path_factory.mktemp("redis")) as server:
        place = Place(server.url, tmp_path_factory.mktemp("fleet"))
        try:
            place.ours("w1@ours", "news")
            place.ours("w2@ours", "news")
            place.theirs("c1@theirs", "news")
            # It says that it is ready a moment before it listens.
            assert eventually(lambda: hears(place, "c1@theirs"))
            yield place
        finally:
            place.close()


def hears(place: Place, node: str) -> bool:
    """Tell whether a worker has got something, and send more to all."""
    with App("greeter", broker=place.url, task_queues=(Broadcast("news"),)) as client:
        client.send_task("note", ("hello",), queue="news")
    return "Task note[" in place.log(node)


def told(place: Place, line: str, count: int) -> int:
    """Return how often a line was noted when everybody had the chance to."""
    eventually(lambda: Counter(place.notes())[line] >= count)
    assert eventually(lambda: place.link.run("HLEN", "unacked") == 0)
    return Counter(place.notes())[line]


def test_call_of_ours_reaches_every_worker_once(place: Place) -> None:
    client = App("client", broker=place.url, task_queues=(Broadcast("news"),))

    client.send_task("note", ("ours",), queue="news")

    assert told(place, "ours", 3) == 3
    client.close()
    # Who only sends has no queue, and what is sent is kept for nobody.
    assert len(place.link.run("ZRANGE", "tq.passing.news", 0, -1)) == 2


def test_call_of_celerys_reaches_every_worker_once(place: Place) -> None:
    with Celery("client", broker=place.url, set_as_current=False) as client:
        client.conf.task_queues = (Broadcast("news"),)

        # kombu only publishes what it knows to be a fanout exchange's.
        exchange = Exchange("news", type="fanout")
        client.send_task("note", ("theirs",), queue="news", declare=[exchange])

    assert told(place, "theirs", 3) == 3


def test_call_of_a_celery_that_never_declared_reaches_ours(place: Place) -> None:
    words = ("call", "note", "-a", '["undeclared"]', "--queue", "news")
    done = place.run("celery", "-A", "redis_project:theirs", *words)

    assert done.returncode == 0, done.stderr
    # Celery's own worker misses it: kombu puts it into lists that it does not read.
    assert told(place, "undeclared", 2) == 2


def test_queue_ends_with_its_worker(place: Place) -> None:
    stopped, killed = place.ours("w3@ours", "news"), place.ours("w4@ours", "news")
    members = place.link.run("ZRANGE", "tq.passing.news", 0, -1)
    assert len(members) == 4

    os.killpg(stopped.pid, signal.SIGTERM)
    stopped.wait()
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()

    left = place.link.run("ZRANGE", "tq.passing.news", 0, -1)
    gone = {*members} - {*left}
    assert len(gone) == 1
    assert not gone & {*place.link.run("SMEMBERS", "_kombu.binding.news")}
    # The other one is struck off by the next that reads, or all together.
    assert 0 < place.link.run("TTL", "tq.passing.news") <= 60

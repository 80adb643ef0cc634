"""A real Celery worker and ours on one queue, both restarted at random: no task goes missing.

Both are ended by TERM, ours also by KILL. (Celery loses sight of what a killed worker of its own
had in hand for an hour, so that is not asked of it.)
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from brokers_up import redis_up

from tests.servers.kombu_fleet import PATIENCE_S, eventually
from tests.servers.rabbitmq_fleet import Place as RabbitmqPlace
from tests.servers.redis_fleet import Place as RedisPlace
from tqconsole.engine.app import App

pytestmark = [pytest.mark.server, pytest.mark.slow]

#: Tasks of one test, the rounds in which they are sent, and the seed of what happens meanwhile.
TASK_COUNT, ROUND_COUNT, SEED = 2000, 8, 11
#: How workers are replaced, in an order of the seed's.
WAYS = [("ours", signal.SIGTERM), ("ours", signal.SIGKILL), ("theirs", signal.SIGTERM)]
#: What a kill may do twice: the task that had run and was not settled yet, and its batch's write.
TWICE_A_KILL = 20


class Fleet:
    """One worker of each kind, replaced one by one."""

    def __init__(self, place: Any) -> None:
        self._place = place
        self._count = 0
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, kind: str) -> None:
        self._count += 1
        starter = self._place.ours if kind == "ours" else self._place.theirs
        self.workers[kind] = starter(f"{kind}{self._count}@test", "shared")

    def replace(self, kind: str, signum: int) -> None:
        """Start another one beside it, then end it."""
        old = self.workers[kind]
        self.start(kind)
        if signum == signal.SIGKILL:
            os.killpg(old.pid, signum)
        else:
            old.send_signal(signum)
        assert old.wait(PATIENCE_S) == (-signal.SIGKILL if signum == signal.SIGKILL else 0)


@pytest.fixture(params=["redis", "rabbitmq"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, App]]:
    folder = tmp_path_factory.mktemp("place")
    if request.param == "redis":
        with redis_up(tmp_path_factory.mktemp("redis")) as server:
            yield from _opened(RedisPlace(server.url, folder), "")
    else:
        vhosts = request.getfixturevalue("rabbitmq_vhosts")
        yield from _opened(RabbitmqPlace(next(vhosts), folder), "rpc://")


def _opened(place: Any, backend: str) -> Iterator[tuple[Any, App]]:
    with App("client", broker=place.url, backend=backend or place.url) as client:
        try:
            yield place, client
        finally:
            place.close()


def test_every_task_is_accounted_for(site: tuple[Any, App]) -> None:
    place, client = site
    rng = random.Random(SEED)
    fleet = Fleet(place)
    fleet.start("ours")
    fleet.start("theirs")
    results = []
    ways = (WAYS * ROUND_COUNT)[:ROUND_COUNT]
    rng.shuffle(ways)

    size = TASK_COUNT // ROUND_COUNT
    for number in range(ROUND_COUNT):
        lines = [str(number * size + each) for each in range(size)]
        results += client.send_many([("late", (line,), {}, {"queue": "shared"}) for line in lines])
        enough = number * size + rng.randrange(size // 10, size // 2)
        assert eventually(lambda enough=enough: len(place.notes()) >= enough)
        fleet.replace(*ways[number])

    wanted = {str(number) for number in range(TASK_COUNT)}
    assert eventually(lambda: {*place.notes()} == wanted), wanted - {*place.notes()}
    assert [result.get(timeout=PATIENCE_S) for result in results] == [
        str(number) for number in range(TASK_COUNT)
    ]
    ran = Counter(place.notes())
    kill_count = ways.count(("ours", signal.SIGKILL))
    assert sum(count - 1 for count in ran.values()) <= kill_count * TWICE_A_KILL
    assert eventually(lambda: client.broker.depth("shared").ready_count == 0)
    for worker in fleet.workers.values():
        worker.terminate()
        assert worker.wait(PATIENCE_S) == 0
    assert client.broker.depth("shared").ready_count == 0
    assert client.broker.dead_letters("shared") == []

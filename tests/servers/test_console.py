"""The console on real clusters, in a terminal: ours, Celery's and both on one broker.

Each test opens it, presses keys and reads the window: who is there, a call from its dialog to its
result, the tasks as they come, one worker's own word, a command with the replies to it, the audit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.brokers_up import redis_up
from tests.servers.kombu_fleet import Fleet
from tests.servers.pane import Pane
from tests.servers.rabbitmq_fleet import Place as RabbitmqPlace
from tests.servers.redis_fleet import Place as RedisPlace

pytestmark = [pytest.mark.server, pytest.mark.slow]

OURS, THEIRS = "ours1@test", "theirs1@test"
#: Name -> broker, and who works there.
CLUSTERS = {
    "ours on sqlite": ("sqlite", (OURS,)),
    "ours on redis": ("redis", (OURS,)),
    "ours on rabbitmq": ("rabbitmq", (OURS,)),
    "celery on redis": ("redis", (THEIRS,)),
    "celery on rabbitmq": ("rabbitmq", (THEIRS,)),
    "both on redis": ("redis", (OURS, THEIRS)),
    "both on rabbitmq": ("rabbitmq", (OURS, THEIRS)),
}


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_up(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(params=CLUSTERS, ids=lambda name: name.replace(" ", "-"))
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, tuple[str, ...]]]:
    kind, nodes = CLUSTERS[request.param]
    folder = tmp_path_factory.mktemp("cluster")
    place: Any
    if kind == "sqlite":
        place = Fleet(folder)
    elif kind == "redis":
        place = RedisPlace(request.getfixturevalue("redis_url"), folder)
    else:
        place = RabbitmqPlace(next(request.getfixturevalue("rabbitmq_vhosts")), folder)
    try:
        for node in nodes:
            start = place.ours if node == OURS else place.theirs
            start(node, "celery")
        if kind == "sqlite":
            place.await_ready(*nodes)
        yield place, nodes
    finally:
        place.close()


@pytest.fixture
def pane(
    cluster: tuple[Any, tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pane]:
    place, _ = cluster
    environ = getattr(place, "environ", None) or place._environ
    opened = Pane(
        ["-m", "tqconsole", "-b", place.url, "--no-history"],
        {name: value for name, value in environ.items() if name not in ("NO_COLOR", "COLUMNS")},
        tmp_path_factory.mktemp("window"),
    )
    try:
        yield opened
    finally:
        opened.close()


def test_a_cluster_is_watched_and_steered(cluster: tuple[Any, tuple[str, ...]], pane: Pane) -> None:
    _, nodes = cluster
    pane.until("LIVE", "Needs attention")

    # Who is there, by heartbeats and by replies.
    pane.press("3")
    pane.until(*nodes, f"{len(nodes)} online", "solo")

    # A command, with each worker's reply to it.
    pane.press("E")
    pane.until("Enable task events", "same as:")
    pane.press("Right", "Enter")
    pane.until("Enable task events: ", "1 reply", "task events")
    pane.press("Escape", "b")
    pane.until("Ping: ", "pong")
    pane.press("Escape")

    # A call, from its dialog to its result.
    pane.press("N")
    pane.until("Call a task on", "Send")
    pane.type("add")
    pane.press("Tab", "C-u")
    pane.type("[2, 40]")
    pane.until("args and kwargs are JSON", "tqconsole -b")
    pane.press("C-s")
    pane.until("sent as", "Open the task")
    pane.press("Enter")
    pane.until("SUCCESS", "succeeded", "42")

    # The same task in the live list, found by a filter.
    pane.press("Escape", "2", "/")
    pane.type("state:SUCCESS name:add")
    pane.press("Enter")
    pane.until("1 of 1", "✔ SUCCESS", "add(2, 40)")

    # What one worker says of itself.
    pane.press("3", "Enter")
    pane.until(f"workers ▸ {nodes[0]}", "last reply")
    pane.press("Tab")
    pane.until("pool.max-concurrency")
    pane.press("Tab")
    pane.until("ROUTING KEY", "celery")

    # What was done, and what the queue is like.
    pane.press("9")
    pane.until("Enable task events", "New call", "Ping")
    pane.press("4")
    pane.until("celery", "READY")

    pane.press("C-q")
    pane.until("Pane is dead")
    assert pane.has_ended()

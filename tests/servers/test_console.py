"""The console on real clusters, in a terminal: ours, Celery's and both on one broker.

Each test opens it, presses keys and reads the window: who is there, a call from its dialog to its
result, the tasks as they come, one worker's own word, a command with the replies to it, the audit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.brokers_up import redis_up
from tests.servers.kombu_fleet import Fleet, eventually
from tests.servers.pane import Pane
from tests.servers.rabbitmq_fleet import Place as RabbitmqPlace
from tests.servers.redis_fleet import Place as RedisPlace

pytestmark = [pytest.mark.server, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
#: What makes a program write for a log, and not for a terminal.
OF_LOGS = ("NO_COLOR", "COLUMNS")
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
        {
            **{name: value for name, value in environ.items() if name not in OF_LOGS},
            "PYTHONPATH": os.pathsep.join((str(ROOT), environ["PYTHONPATH"])),
        },
        tmp_path_factory.mktemp("window"),
    )
    try:
        yield opened
    finally:
        opened.close()


def test_a_cluster_is_watched_and_steered(cluster: tuple[Any, tuple[str, ...]], pane: Pane) -> None:
    _, nodes = cluster
    pane.until("LIVE", "Needs attention")

    _workers_answer(pane, nodes)
    _a_call_has_its_result(pane)
    _the_task_is_in_the_list(pane)
    _a_worker_tells_of_itself(pane, nodes)

    pane.press("9")
    pane.until("Enable task events", "New call", "Ping")
    pane.press("4")
    pane.until("celery", "READY")
    pane.press("C-q")
    assert eventually(pane.has_ended), pane.text()


def _workers_answer(pane: Pane, nodes: tuple[str, ...]) -> None:
    """Who is there, by heartbeats and replies; a command, with the reply to it."""
    pane.press("3")
    pane.until(*nodes, f"{len(nodes)} online", "solo")
    pane.press("E")
    pane.until("Enable task events", "same as:")
    pane.press("Right", "Enter")
    pane.until("Enable task events: ", "1 reply", "task events", "esc closes")
    pane.escape("esc closes")
    pane.press("b")
    pane.until("Ping: ", "pong", "esc closes")
    pane.escape("esc closes")


def _a_call_has_its_result(pane: Pane) -> None:
    """From the dialog, with its check and the same as a command, to the value."""
    pane.press("N")
    pane.until("Call a task", "Send")
    pane.type("add")
    pane.until("args and kwargs are JSON")
    pane.press("Tab", "C-u")
    pane.until("a JSON list")
    pane.type("[2, 40]")
    pane.until("args and kwargs are JSON", "tqconsole -b")
    pane.press("C-s")
    pane.until("sent as", "Open the task")
    pane.press("Enter")
    pane.until("SUCCESS", "succeeded", "42")


def _the_task_is_in_the_list(pane: Pane) -> None:
    """As its events told it, found by a filter."""
    pane.escape("Timeline")
    pane.press("2", "/")
    pane.type("state:SUCCESS name:add")
    pane.press("Enter")
    pane.until("1 of 1", "✔ SUCCESS", "add(2, 40)")


def _a_worker_tells_of_itself(pane: Pane, nodes: tuple[str, ...]) -> None:
    """Its tabs: what it does now, its figures, its queues."""
    pane.press("3")
    pane.until(*nodes, "REPLY")
    pane.press("Enter")
    pane.until(f"workers ▸ {nodes[0]}", "last reply")
    pane.press("Tab")
    pane.until("pool.max-concurrency")
    pane.press("Tab")
    pane.until("ROUTING KEY", "celery")

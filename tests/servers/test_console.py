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
from tests.servers.rabbitmq_fleet import Place as RabbitmqPlace
from tests.servers.redis_fleet import Place as RedisPlace
from tests.terminal.tmux_pane import TmuxPane

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
) -> Iterator[TmuxPane]:
    place, _ = cluster
    environ = getattr(place, "environ", None) or place._environ
    opened = TmuxPane(
        ["-m", "tqconsole", "-b", place.url, "--no-history"],
        tmp_path_factory.mktemp("window"),
        {
            **{name: value for name, value in environ.items() if name not in OF_LOGS},
            "PYTHONPATH": os.pathsep.join((str(ROOT), environ["PYTHONPATH"])),
            "LC_ALL": "C.UTF-8",
        },
        size=(120, 36),
    )
    try:
        yield opened
    finally:
        opened.close()


def test_a_cluster_is_watched_and_steered(
    cluster: tuple[Any, tuple[str, ...]], pane: TmuxPane
) -> None:
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
    pane.press("ctrl+q")
    pane.until_ended()


def _leave(pane: TmuxPane, gone: str) -> None:
    """Press escape, and wait until what it closes is gone: with the next key it would be alt."""
    pane.press("esc")
    assert eventually(lambda: gone not in pane.text), pane.text


def _workers_answer(pane: TmuxPane, nodes: tuple[str, ...]) -> None:
    """Who is there, by heartbeats and replies; a command, with the reply to it."""
    pane.press("3")
    pane.until(*nodes, f"{len(nodes)} online", "solo")
    pane.press("1")
    pane.until("Needs attention")
    pane.press("E")
    pane.until("Enable task events: every worker", "same as:")
    pane.press("Right", "enter")
    pane.until("Enable task events: ", f"{len(nodes)} repl", *nodes, "task events", "esc closes")
    _leave(pane, "esc closes")
    pane.press("3")
    pane.until(*nodes, "REPLY")
    pane.press("b")
    pane.until("Ping: ", "pong", "esc closes")
    _leave(pane, "esc closes")


def _a_call_has_its_result(pane: TmuxPane) -> None:
    """From the dialog, with its check and the same as a command, to the value."""
    pane.press("N")
    pane.until("Call a task", "Send")
    pane.type("add")
    pane.until("args and kwargs are JSON")
    pane.press("tab", "ctrl+u")
    pane.until("a JSON list")
    pane.type("[2, 40]")
    pane.until("args and kwargs are JSON", "tqconsole -b")
    pane.press("ctrl+s")
    pane.until("sent as", "Open the task")
    pane.press("enter")
    pane.until("SUCCESS", "succeeded", "42")


def _the_task_is_in_the_list(pane: TmuxPane) -> None:
    """As its events told it, found by a filter."""
    _leave(pane, "Timeline")
    pane.press("2")
    pane.until("▸ tasks", "filter", "1 of 1")
    pane.press("/")
    pane.type("state:SUCCESS name:add")
    pane.until("state:SUCCESS name:add", "1 of 1", "✔ SUCCESS", "add(2, 40)")
    _leave(pane, "state:SUCCESS")


def _a_worker_tells_of_itself(pane: TmuxPane, nodes: tuple[str, ...]) -> None:
    """Its tabs: what it does now, its figures, its queues."""
    pane.press("3")
    pane.until(*nodes, "REPLY")
    pane.press("g", "enter")
    pane.until(f"workers ▸ {nodes[0]}", "last reply")
    pane.press("tab")
    pane.until("pool.max-concurrency")
    pane.press("tab")
    pane.until("ROUTING KEY", "celery")

"""A Redis that refuses for a while: told once in plain words, tried again, and nothing is lost."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.brokers_up import Daemon, free_port, redis_daemon
from tests.servers.kombu_fleet import eventually
from tests.servers.redis_fleet import Place
from tqconsole.engine.app import App
from tqconsole.engine.redis_server.address import locate
from tqconsole.engine.redis_server.link import Link

NODE = "w1@ours"
#: What waits while the server refuses.
LINES = [str(number) for number in range(20)]
#: Microseconds that Redis takes for each key when it loads, and how many it finds.
LOADS_US, LOADED_COUNT = 1500, 2000

pytestmark = [pytest.mark.server, pytest.mark.slow]

Trouble = Callable[[Daemon, Place, Callable[[], None]], None]


def run(place: Place, *command: str | int) -> None:
    """Say one thing to the server on a link of its own, which may be cut meanwhile."""
    with contextlib.closing(Link(locate(place.url))) as link:
        link.run(*command)


def becomes_a_replica(_: Daemon, place: Place, until_told: Callable[[], None]) -> None:
    run(place, "REPLICAOF", "127.0.0.1", free_port())
    until_told()
    run(place, "REPLICAOF", "NO", "ONE")


def cannot_save(daemon: Daemon, place: Place, until_told: Callable[[], None]) -> None:
    in_the_way = daemon.folder / "dump.rdb"
    in_the_way.unlink(missing_ok=True)
    (in_the_way / "is a folder").mkdir(parents=True)
    run(place, "CONFIG", "SET", "save", "3600 1000000")
    run(place, "BGSAVE")
    until_told()
    shutil.rmtree(in_the_way)
    run(place, "CONFIG", "SET", "save", "")


def wants_a_password(_: Daemon, place: Place, until_told: Callable[[], None]) -> None:
    with contextlib.closing(Link(locate(place.url))) as link:
        link.run("CONFIG", "SET", "requirepass", "secret")
        link.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        until_told()
        link.run("CONFIG", "SET", "requirepass", "")


def loads_for_long(daemon: Daemon, place: Place, until_told: Callable[[], None]) -> None:
    keys = [word for number in range(LOADED_COUNT) for word in (f"key{number}", "x")]
    run(place, "MSET", *keys)
    run(place, "SAVE")
    daemon.stop()
    starting = threading.Thread(target=daemon.start)
    starting.start()
    until_told()
    starting.join()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    loading = ("--key-load-delay", str(LOADS_US), "--loading-process-events-interval-bytes", "1024")
    with redis_daemon(tmp_path / "redis", *loading) as daemon:
        yield daemon


@pytest.fixture
def place(daemon: Daemon, tmp_path: Path) -> Iterator[Place]:
    place = Place(daemon.url, tmp_path)
    yield place
    place.close()


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (becomes_a_replica, "takes no writes: it is a replica"),
        (cannot_save, "takes no writes, since it cannot save its data"),
        (wants_a_password, "wants a password that fits"),
        (loads_for_long, "hung up|broke|is still loading|Nobody answers"),
    ],
)
def test_worker_waits_and_loses_nothing(
    daemon: Daemon, place: Place, trouble: Trouble, words: str
) -> None:
    worker = place.ours(NODE, "shared", "-P", "threads", "-c", "2", "-l", "DEBUG")
    with App("client", broker=place.url, backend=place.url) as client:
        holding = [client.send_task("hold", (name,), queue="shared") for name in "ab"]
        assert eventually(lambda: len(place.notes()) == 2)
        waiting = [client.send_task("late", (line,), queue="shared") for line in LINES]

        def until_told() -> None:
            # What runs ends meanwhile; the loop, and others of the worker, have failed by then.
            (place.folder / "gate").touch()
            assert eventually(lambda: told_of(place.log(NODE), words)), place.log(NODE)
            assert eventually(lambda: others_of(place.log(NODE))), place.log(NODE)

        trouble(daemon, place, until_told)

        assert eventually(lambda: "The broker answers again" in place.log(NODE)), place.log(NODE)
        assert [it.get(timeout=30) for it in holding] == ["released"] * 2
        assert [it.get(timeout=30) for it in waiting] == LINES
    assert sorted(place.notes()) == sorted(["held a", "held b", *LINES])
    assert worker.poll() is None
    told = complaints(place.log(NODE))
    if trouble is wants_a_password:
        # It hangs up on everybody before it says why.
        told = [line for line in told if "hung up" not in line]
    assert len(told) == 2, told
    assert any(word in told[0] for word in words.split("|")), told
    assert "The broker answers again" in told[1]


def test_worker_that_starts_meanwhile_waits_too(daemon: Daemon, place: Place) -> None:
    with App("client", broker=place.url, backend=place.url) as client:
        waiting = [client.send_task("late", (line,), queue="shared") for line in LINES]

        def until_told() -> None:
            command = ["tqconsole", "-A", "redis_project:ours", "worker", "-n", NODE]
            place.start(NODE, *command, "-Q", "shared", "-P", "solo", "-l", "INFO")
            assert eventually(lambda: "Cannot connect" in place.log(NODE)), place.log(NODE)

        loads_for_long(daemon, place, until_told)

        assert [it.get(timeout=30) for it in waiting] == LINES
    assert sorted(place.notes()) == sorted(LINES)
    told = [line for line in place.log(NODE).splitlines() if "Cannot connect" in line]
    assert len(told) == 1
    assert "is still loading" in told[0] or "Nobody answers" in told[0], told


def told_of(log: str, words: str) -> bool:
    told = [line for line in log.splitlines() if "The broker fails" in line]
    return any(word in line for line in told for word in words.split("|"))


def others_of(log: str) -> set[str]:
    """Return who has missed the broker beside the one who told of it."""
    lines = [line for line in log.splitlines() if "DEBUG" in line]
    names = ("heartbeat: ", "remote control: ", "giving back what dead workers had: ", "work: ")
    return {name for line in lines for name in names if f"] {name}" in line}


def complaints(log: str) -> list[str]:
    """Return what a worker warned of since it was ready."""
    lines = log.partition(f"{NODE} ready.")[2].splitlines()
    return [line for line in lines if ": WARNING/" in line or ": ERROR/" in line]

"""The pools of greenlets: the contract in a patched process, and real workers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.kombu_fleet import eventually
from tqconsole.engine.app import App
from tqconsole.engine.exceptions import (
    ImproperlyConfigured,
    SoftTimeLimitExceeded,
    TaskRevokedError,
    TimeLimitExceeded,
)
from tqconsole.engine.pools.green import load_library
from tqconsole.green import pool_of

HERE = Path(__file__).parent
PATIENCE_S = 60.0
POOLS = ("gevent", "eventlet")

PROJECT = """
import time, socket, threading
from pathlib import Path
from tqconsole.engine import Celery, signals
from tqconsole.engine.exceptions import SoftTimeLimitExceeded
app = Celery("green", broker="sqlite:///{folder}/queue.db")
folder = Path("{folder}")
inside = []

@app.task
def crowd():
    inside.append(1)
    while len(inside) < 50:
        time.sleep(0.01)
    return len(inside)

@app.task
def hold():
    try:
        (folder / "held").touch()
        while True:
            time.sleep(0.01)
    finally:
        (folder / "ended").touch()

@app.task
def yield_at_last():
    try:
        while True:
            time.sleep(0.01)
    except SoftTimeLimitExceeded:
        time.sleep(0.05)
        return "in time"

@app.task
def nap(nap_s):
    time.sleep(nap_s)
    return nap_s

@app.task
def add(x, y):
    return x + y

def tell(signal, sender, **named):
    with open(folder / "told", "a") as file:
        print(signal.name, type(sender).__name__, *sorted(named), file=file)

for word in ("started", "apply", "preshutdown", "postshutdown"):
    getattr(signals, "eventlet_pool_" + word).connect(tell)
"""

Start = Callable[[str], App]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "green_project.py").write_text(PROJECT.format(folder=tmp_path))
    started: list[tuple[subprocess.Popen[str], App]] = []

    def worker(pool: str, *options: str) -> App:
        command = [sys.executable, "-m", "tqconsole", "-A", "green_project", "worker", "-c", "50"]
        process = subprocess.Popen(
            [*command, "-P", pool, "-n", "g1@test", "-l", "INFO", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        app = App("client", broker=f"sqlite:///{tmp_path}/queue.db", set_as_current=False)
        started.append((process, app))
        assert process.stderr is not None
        log = ""
        for line in process.stderr:
            log += line
            if "g1@test ready." in line:
                return app
        raise AssertionError(log)

    yield worker
    for process, app in started:
        app.close()
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE_S)
        assert process.returncode in (0, 1), log


@pytest.mark.parametrize("pool", POOLS)
def test_green_pool_keeps_the_contract(pool: str) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "green_contract.py"), pool],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 12


@pytest.mark.parametrize("pool", POOLS)
def test_fifty_greenlets_wait_at_once(start: Start, pool: str) -> None:
    app = start(pool)
    results = app.send_many([("green_project.crowd",)] * 50)

    assert {result.get(timeout=PATIENCE_S) for result in results} == {50}
    assert app.send_task("green_project.add", (2, 2)).get(timeout=PATIENCE_S) == 4


@pytest.mark.parametrize("pool", POOLS)
def test_life_of_an_eventlet_pool_is_told(start: Start, pool: str, tmp_path: Path) -> None:
    app = start(pool)
    assert app.send_task("green_project.add", (2, 2)).get(timeout=PATIENCE_S) == 4

    app.control.shutdown()

    told = tmp_path / "told"
    if pool == "eventlet":
        assert _comes(app, told)
        wanted = [
            "eventlet_pool_started EventletPool",
            "eventlet_pool_apply EventletPool args kwargs target",
            "eventlet_pool_preshutdown EventletPool",
            "eventlet_pool_postshutdown EventletPool",
        ]
        assert eventually(lambda: told.read_text().splitlines() == wanted), told.read_text()
    else:
        assert eventually(lambda: not app.control.ping(timeout=0.2))
        assert not told.exists()


@pytest.mark.parametrize("pool", POOLS)
def test_terminating_kills_the_greenlet(start: Start, pool: str, tmp_path: Path) -> None:
    app = start(pool)
    result = app.send_task("green_project.hold")
    assert _comes(app, tmp_path / "held")

    result.revoke(terminate=True)

    with pytest.raises(TaskRevokedError):
        result.get(timeout=PATIENCE_S)
    assert _comes(app, tmp_path / "ended")


@pytest.mark.parametrize("pool", POOLS)
def test_hard_limit_kills_the_greenlet(start: Start, pool: str, tmp_path: Path) -> None:
    app = start(pool)

    with pytest.raises(TimeLimitExceeded):
        app.send_task("green_project.hold", time_limit=0.2).get(timeout=PATIENCE_S)
    assert _comes(app, tmp_path / "ended")


@pytest.mark.parametrize("pool", POOLS)
def test_soft_limit_is_raised_where_the_greenlet_waits(start: Start, pool: str) -> None:
    app = start(pool, "--soft-time-limit", "30")
    soon, never = {"soft_time_limit": 0.2}, {"soft_time_limit": PATIENCE_S}

    ends = [app.send_task("green_project.yield_at_last", **soon) for _ in range(5)]
    others = [app.send_task("green_project.nap", (0.6,), **never) for _ in range(5)]
    failed = app.send_task("green_project.nap", (PATIENCE_S,), **soon)

    assert {end.get(timeout=PATIENCE_S) for end in ends} == {"in time"}
    with pytest.raises(SoftTimeLimitExceeded):
        failed.get(timeout=PATIENCE_S)
    assert {other.get(timeout=PATIENCE_S) for other in others} == {0.6}


@pytest.mark.parametrize(
    ("words", "pool"),
    [
        (["worker", "-P", "gevent"], "gevent"),
        (["-A", "x", "worker", "--pool=eventlet"], "eventlet"),
        (["worker", "-Pgevent"], "gevent"),
        (["worker", "-P", "prefork"], ""),
        (["call", "-P", "gevent"], ""),
        ([], ""),
    ],
)
def test_command_line_tells_what_to_patch_for(words: list[str], pool: str) -> None:
    assert pool_of(words, {}) == pool


def test_missing_library_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'tqconsole\[nosuchthing\]'"):
        load_library("nosuchthing")


def _comes(app: App, path: Path) -> bool:
    """Wait for a file, by asking the worker things meanwhile: it must go on answering."""
    for _ in range(200):
        if path.exists():
            return True
        app.send_task("green_project.add", (1, 1)).get(timeout=PATIENCE_S)
    return False

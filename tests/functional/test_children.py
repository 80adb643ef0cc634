"""How `worker` begins prefork's children, copied or as interpreters of their own, and deals tasks
to them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from worker_process import PATIENCE_S, eventually

from tqconsole.engine.app import App
from tqconsole.engine.exceptions import (
    ImproperlyConfigured,
    SoftTimeLimitExceeded,
    TimeLimitExceeded,
    WorkerLostError,
)
from tqconsole.engine.worker.options import WorkerOptions
from tqconsole.engine.worker.spawning import new_program

PROJECT = """
import os, sys, threading, time
from tqconsole.engine import Celery
IMPORTED_BY = os.getpid()
# What a library may begin at its import, and what no fork outlives.
BEGUN = threading.Thread(target=threading.Event().wait, daemon=True)
BEGUN.start()
app = Celery("spawned", backend="sqlite:///{folder}/queue.db")
# An interpreter that begins anew, on a busy machine.
app.conf.worker_proc_alive_timeout = {patience_s}

@app.task(name="where")
def where():
    print("said by a task")
    return os.getpid(), IMPORTED_BY, BEGUN.is_alive(), os.getppid()

@app.task(name="hold")
def hold(gate):
    while not os.path.exists(gate):
        time.sleep(0.01)
    return "held"

@app.task(name="nap")
def nap():
    time.sleep(60)

@app.task(name="die", reject_on_worker_lost=False)
def die():
    os._exit(3)
"""
Start = Callable[..., App]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "spawn_project.py").write_text(
        PROJECT.format(folder=tmp_path, patience_s=PATIENCE_S)
    )
    url = f"sqlite:///{tmp_path}/queue.db"
    processes: list[subprocess.Popen[bytes]] = []
    client = App("client", broker=url, set_as_current=False)

    def worker(*options: str) -> App:
        log = tmp_path / "worker.log"
        command = [sys.executable, "-m", "tqconsole", "-A", "spawn_project", "-b", url, "worker"]
        with log.open("w") as out:
            process = subprocess.Popen(
                [*command, "-P", "prefork", "-n", "s1@test", "-l", "INFO", *options],
                stdout=out, stderr=out, cwd=tmp_path,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )  # fmt: skip
        processes.append(process)
        assert eventually(lambda: "s1@test ready." in log.read_text()), log.read_text()
        return client

    yield worker
    for process in processes:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0, (tmp_path / "worker.log").read_text()
    client.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_spawned_child_has_imported_the_app_itself(
    start: Start, tmp_path: Path, method: str
) -> None:
    app = start("-c", "1", "--pool-start-method", method)

    pid, imported_by, is_begun, _ = app.send_task("where").get(timeout=PATIENCE_S)

    is_spawned = method == "spawn"
    assert (pid == imported_by, is_begun) == (is_spawned, is_spawned)
    # It logs as the worker does, under a name of its own.
    name = "SpawnPoolWorker-1" if is_spawned else "ForkPoolWorker-1"
    log = tmp_path / "worker.log"
    assert eventually(lambda: f"WARNING/{name}] said by a task" in log.read_text())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_log_as_json_where_the_worker_does(
    start: Start, tmp_path: Path, method: str
) -> None:
    app = start("-c", "1", "--pool-start-method", method, "--json")

    app.send_task("where").get(timeout=PATIENCE_S)

    log = tmp_path / "worker.log"
    assert eventually(lambda: "said by a task" in log.read_text())
    (line,) = [line for line in log.read_text().splitlines() if "said by a task" in line]
    said = json.loads(line)
    assert (said["message"], said["level"]) == ("said by a task", "WARNING")
    assert said["process"].endswith("PoolWorker-1")


def test_spawned_children_are_limited_and_replaced_as_others_are(start: Start) -> None:
    app = start("-c", "1", "--pool-start-method", "spawn", "--max-tasks-per-child", "2")

    with pytest.raises(SoftTimeLimitExceeded):
        app.send_task("nap", soft_time_limit=0.2).get(timeout=PATIENCE_S)
    with pytest.raises(TimeLimitExceeded):
        app.send_task("nap", time_limit=0.3).get(timeout=PATIENCE_S)
    with pytest.raises(WorkerLostError):
        app.send_task("die").get(timeout=PATIENCE_S)
    seen = [app.send_task("where").get(timeout=PATIENCE_S)[0] for _ in range(3)]

    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("how", ["fair", "default"])
def test_a_task_goes_to_whoever_is_free(start: Start, tmp_path: Path, how: str) -> None:
    app = start("-c", "2", "-O", how)
    # Short ones first: of such, several are given to a child at once.
    app.send_many([("where",)] * 50)[-1].get(timeout=PATIENCE_S)
    slow = app.send_task("hold", (str(tmp_path / "gate"),))

    quick = app.send_many([("where",)] * 50)

    assert len({result.get(timeout=PATIENCE_S)[0] for result in quick}) == 1
    assert slow.state == "PENDING"
    (tmp_path / "gate").touch()
    assert slow.get(timeout=PATIENCE_S) == "held"


def test_an_app_that_no_module_has_is_refused() -> None:
    app = App("nowhere", broker="memory://", set_as_current=False)
    app.conf.worker_pool_start_method = "spawn"

    with pytest.raises(ImproperlyConfigured, match="name that with -A"):
        new_program(app, WorkerOptions(), "w1@test")


def test_another_word_is_refused() -> None:
    app = App("odd", broker="memory://", set_as_current=False)
    app.conf.worker_pool_start_method = "forkserver"

    with pytest.raises(ImproperlyConfigured, match="fork or spawn, not 'forkserver'"):
        new_program(app, WorkerOptions(), "w1@test")

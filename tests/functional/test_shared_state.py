"""What workers share: keys of unique tasks and rates of the whole cluster, with real workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from worker_process import PATIENCE_S, eventually

from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.exceptions import DuplicateTaskError

PROJECT = """
import os, time
from pathlib import Path
from tqconsole.engine import Celery

app = Celery("shared", broker=os.environ["SHARED_BROKER"], backend=os.environ.get("SHARED_BACKEND"))
folder = Path(os.environ["SHARED_FOLDER"])

@app.task(unique_key="{0}", bind=True, max_retries=1, default_retry_delay=0)
def unique(self, key, tries=0):
    while not (folder / "gate").exists():
        time.sleep(0.01)
    if self.request.retries < tries:
        raise self.retry()
    return key

@app.task(rate_limit="20/s", rate_limit_scope="cluster")
def limited():
    with open(folder / "starts", "a") as starts:
        print(time.time(), file=starts)
"""
Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    (tmp_path / "shared_project.py").write_text(PROJECT)
    monkeypatch.setenv("SHARED_BROKER", f"sqlite:///{tmp_path}/queue.db")
    monkeypatch.setenv("SHARED_FOLDER", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    import shared_project

    yield shared_project
    shared_project.app.close()
    del sys.modules["shared_project"]


@pytest.fixture
def start(tmp_path: Path, project: object) -> Iterator[Start]:
    processes: list[subprocess.Popen[bytes]] = []

    def worker(node: str) -> subprocess.Popen[bytes]:
        log = tmp_path / f"{node}.log"
        command = [sys.executable, "-m", "tqconsole", "-A", "shared_project", "worker", "-n", node]
        environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
        with log.open("w") as out:
            process = subprocess.Popen(
                [*command, "-P", "threads", "-c", "4", "-l", "INFO"],
                stdout=out, stderr=out, env=environ,
            )  # fmt: skip
        processes.append(process)
        assert eventually(lambda: f"{node} ready." in log.read_text()), log.read_text()
        return process

    yield worker
    for process in processes:
        process.terminate()
        assert process.wait(PATIENCE_S) in (0, 1)


def test_a_key_is_held_until_its_run_has_ended(
    project: object, start: Start, tmp_path: Path
) -> None:
    start("w1@test")
    first = project.unique.delay("a", tries=1)  # type: ignore[attr-defined]

    with pytest.raises(DuplicateTaskError, match=first.id):
        project.unique.delay("a")  # type: ignore[attr-defined]
    (tmp_path / "gate").touch()
    assert first.get(timeout=PATIENCE_S) == "a"

    # The key goes with the outcome, a moment before or after the record.
    def again() -> object:
        try:
            return project.unique.delay("a")  # type: ignore[attr-defined]
        except DuplicateTaskError:
            return None

    assert eventually(again).get(timeout=PATIENCE_S) == "a"


def test_two_workers_keep_one_rate(project: object, start: Start, tmp_path: Path) -> None:
    start("w1@test")
    start("w2@test")
    sent_at = SYSTEM_CLOCK.now()
    results = [project.limited.delay() for _ in range(40)]  # type: ignore[attr-defined]

    for result in results:
        result.get(timeout=PATIENCE_S)

    starts = sorted(float(line) for line in (tmp_path / "starts").read_text().splitlines())
    assert len(starts) == 40
    # Turns are 50 ms apart, on whichever worker. A start may be late for its turn, never early.
    early = [at for turn, at in enumerate(starts) if at < sent_at + turn * 0.05 - 0.005]
    assert early == []

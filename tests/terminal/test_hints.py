"""What the console says where it can see nothing, on clusters that are so: and what helps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.servers.brokers_up import redis_up
from tests.terminal.tmux_pane import TmuxPane

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROJECT = """
import sys
from celery import Celery
app = Celery("quiet", broker=sys.argv[1])
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)

@app.task(name="quiet.add")
def add(x, y):
    return x + y

app.worker_main(["worker", "-P", "solo", "-n", "quiet@test", "-l", "WARNING"])
"""


@contextmanager
def celery_worker(url: str, folder: Path) -> Iterator[None]:
    """Run a worker of Celery's, started as most are: without -E."""
    with (folder / "worker.log").open("w") as log:
        worker = subprocess.Popen([sys.executable, "-c", PROJECT, url], stdout=log, stderr=log)
        try:
            yield
        finally:
            worker.terminate()
            worker.wait(30)


@pytest.mark.server
def test_a_worker_without_task_events_is_named_with_the_key_that_turns_them_on(
    tmp_path: Path,
) -> None:
    with redis_up(tmp_path) as server, celery_worker(server.url, tmp_path):
        command = ["-m", "tqconsole", "-b", server.url, "--no-history"]
        with closing(TmuxPane(command, tmp_path)) as pane:
            pane.until("workers send no task events: press E")
            pane.press("2")
            pane.until("1 worker answer", "press E", "start workers with -E")

            pane.press("E")
            pane.until("Enable task events: every worker?")
            pane.press("right", "enter")
            pane.until("quiet@test", "task events enabled")
            pane.press("esc")
            pane.until_gone("task events enabled")
            pane.press("N")
            pane.until("Call a task")
            pane.type("quiet.add")
            pane.press("tab")
            pane.type("[2, 3]")
            pane.press("ctrl+s")
            pane.until("Open the task")
            pane.press("enter")
            pane.until("SUCCESS", "quiet@test")


def test_a_broker_without_events_is_not_called_a_lost_one(tmp_path: Path) -> None:
    command = ["-m", "tqconsole", "-b", f"sqla+sqlite:///{tmp_path}/broker.db", "--no-history"]
    with closing(TmuxPane(command, tmp_path)) as pane:
        pane.until("NO EVENTS", "no fanout: no events, no in")
        pane.press("2")
        pane.until("Queues (4), calls (N) and dead letters work.")

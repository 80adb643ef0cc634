"""`tqconsole events` in a terminal: a screen of a Celery cluster's events, tasks and workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from celery import Celery

from tests.servers.brokers_up import redis_up
from tests.terminal.tmux_pane import TmuxPane

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(300)]

PROJECT = """
import sys
from celery import Celery
app = Celery("told", broker=sys.argv[1], backend=sys.argv[1])
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)

@app.task(name="told.add")
def add(x, y):
    return x + y

@app.task(name="told.fail")
def fail():
    raise ValueError("no such luck")

app.worker_main(["worker", "-E", "-P", "solo", "-n", "told@test", "-l", "WARNING"])
"""


@contextmanager
def celery_worker(url: str, folder: Path) -> Iterator[Celery]:
    with (
        Celery("client", broker=url, backend=url, set_as_current=False) as client,
        (folder / "worker.log").open("w") as log,
    ):
        worker = subprocess.Popen([sys.executable, "-c", PROJECT, url], stdout=log, stderr=log)
        try:
            yield client
        finally:
            worker.terminate()
            worker.wait(30)


def test_the_screen_shows_what_happens_and_what_became_of_it(tmp_path: Path) -> None:
    with redis_up(tmp_path) as server, celery_worker(server.url, tmp_path) as client:
        command = ["-m", "tqconsole", "-b", server.url, "events"]
        with closing(TmuxPane(command, tmp_path, size=(110, 30))) as pane:
            pane.until("worker-heartbeat", "told")
            client.send_task("told.add", (2, 3))
            client.send_task("told.fail")
            pane.until("task-succeeded", "task-failed", "told.add", "ValueError")

            # An event as it came, a key away.
            pane.press("enter")
            pane.until('"type"', '"hostname"', '"told@test"', "esc close")
            pane.press("esc")
            pane.until_gone("esc close")

            # The tasks, and who is online.
            pane.press("2")
            pane.until("told.add", "SUCCESS", "told.fail", "FAILURE")
            pane.press("3")
            pane.until("told@test")

            pane.press("ctrl+q")
            pane.until_ended()

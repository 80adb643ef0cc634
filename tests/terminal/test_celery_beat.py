"""The Beat screen on a Celery project: its beat sends, dies, and an entry is run by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.servers.brokers_up import redis_up
from tests.terminal.tmux_pane import TmuxPane

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(300)]

PROJECT = """
import os
from celery import Celery
from celery.schedules import crontab

app = Celery("clockwork", broker=os.environ["CLOCKWORK_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    beat_schedule={"nightly": {"task": "clock.report", "schedule": crontab("30", "7")}},
)

@app.task(name="clock.tick")
def tick(number):
    return number

@app.task(name="clock.report")
def report():
    return "done"

@app.on_after_finalize.connect
def add(sender, **_):
    sender.add_periodic_task(1.0, tick.s(7), name="ticking")
"""


@contextmanager
def celery(folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of Celery's programs on the project."""
    with (folder / f"{command[0]}.log").open("w") as log:
        words = [sys.executable, "-m", "celery", "-A", "clockwork", *command]
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def test_what_celerys_beat_sends_is_seen_missed_and_sent_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clockwork.py").write_text(PROJECT)
    with redis_up(tmp_path) as server:
        monkeypatch.setenv("CLOCKWORK_URL", server.url)
        with (
            celery(tmp_path, "worker", "-P", "solo", "-E", "-n", "w1@test"),
            celery(tmp_path, "beat", "-s", str(tmp_path / "schedule")) as beat,
            closing(TmuxPane(console(tmp_path), tmp_path)) as pane,
        ):
            pane.until("LIVE")
            pane.press("6")
            pane.until("ticking", "every 1 s", "nightly", "30 7 * * *", "2 of 2 entries")
            # Its runs are seen, and how they ended; then it is the next that is due.
            pane.until("✔")
            pane.press("g")
            pane.until("✔", "sends clock.tick args (7,)", "SUCCESS")

            beat.kill()
            pane.until("runs missed, the last due")
            pane.press("1")
            pane.until("beat    ticking")
            pane.press("6")
            pane.until("2 of 2 entries")
            pane.press("g", "B")
            pane.until("Run ticking now", "call clock.tick -a '[7]'")
            pane.press("ctrl+s")
            pane.until("Run now: ticking", "Open the task")
            pane.press("enter")
            pane.until("SUCCESS", "w1@test")


def console(folder: Path) -> list[str]:
    return ["-m", "tqconsole", "-A", "clockwork", "--workdir", os.fspath(folder), "--no-history"]

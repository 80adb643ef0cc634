"""A virtual host with workers of both kinds as processes, and what tests do with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery import Celery

from tests.servers.kombu_fleet import PATIENCE_S, eventually
from tqconsole.engine.brokers.amqp.delays import plan
from tqconsole.engine.brokers.base import Broker

HERE = Path(__file__).resolve().parent
OURS, THEIRS = "w1@ours", "c1@theirs"
PROJECT = "rabbitmq_project"


class Place:
    """A virtual host of its own, with workers of both kinds."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environ = {
            **os.environ,
            "RABBITMQ_URL": url,
            "RABBITMQ_FOLDER": str(folder),
            "PYTHONPATH": str(HERE),
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def ours(self, node: str, queue: str, *more: str) -> subprocess.Popen[bytes]:
        return self._worker("tqconsole", "ours", node, queue, *more)

    def theirs(self, node: str, queue: str, *more: str) -> subprocess.Popen[bytes]:
        return self._worker("celery", "theirs", node, queue, *more)

    def log(self, name: str) -> str:
        """Return what a worker, or a program started by `start`, has written."""
        return (self.folder / f"{name}.log").read_text()

    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a module to its end."""
        return subprocess.run(
            [sys.executable, "-m", *command],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def celery(self, *command: str) -> Any:
        """Run a verb of the real Celery, and return the JSON that it writes."""
        done = self.run("celery", "-A", f"{PROJECT}:theirs", *command, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def tq(self, *command: str) -> Any:
        """Run a verb of ours by the broker's URL alone, and return the JSON that it writes."""
        done = self.run("tqconsole", "-b", self.url, *command, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a module whose output goes to the log of that name."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environ,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a whole worker as the system would: without a word."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                self.kill(process)

    def ours_command(self, node: str, queue: str, *more: str) -> list[str]:
        return self._command("tqconsole", "ours", node, queue, *more)

    def _command(self, program: str, app: str, node: str, queue: str, *more: str) -> list[str]:
        pool = () if "-P" in more else ("-P", "solo")
        options = ["-n", node, "-Q", queue, *pool, "-l", "INFO", *more]
        return [program, "-A", f"{PROJECT}:{app}", "worker", *options]

    def _worker(
        self, program: str, app: str, node: str, queue: str, *more: str
    ) -> subprocess.Popen[bytes]:
        ready_count = self._ready_count(node)
        process = self.start(node, *self._command(program, app, node, queue, *more))
        assert eventually(lambda: self._ready_count(node) > ready_count), self.log(node)
        return process

    def _ready_count(self, node: str) -> int:
        path = self.folder / f"{node}.log"
        return path.read_text().count(f"{node} ready.") if path.exists() else 0


def is_delayed(broker: Broker, within_s: int) -> bool:
    """True while a message waits in a queue that keeps it for some seconds, less than so many."""
    return any(broker.depth(plan(wait_s)[0]).ready_count for wait_s in range(1, within_s))


@contextlib.contextmanager
def celery_client(url: str) -> Iterator[Celery]:
    """A real Celery client that leaves no socket open."""
    with Celery("client", broker=url, backend="rpc://", set_as_current=False) as app:
        try:
            yield app
        finally:
            # It has a connection of its own, once a result was waited for.
            with contextlib.suppress(AttributeError):
                app.backend.result_consumer.stop()

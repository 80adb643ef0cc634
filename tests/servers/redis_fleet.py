"""Databases of one Redis server, each with workers of both kinds as processes."""

from __future__ import annotations

import itertools
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from kombu_fleet import PATIENCE_S, eventually

from tqconsole.engine.redis_server.address import locate
from tqconsole.engine.redis_server.link import Link

HERE = Path(__file__).resolve().parent
_databases = itertools.count(1)


class Place:
    """A database of its own, with workers of both kinds."""

    def __init__(self, server_url: str, folder: Path, visibility_s: int = 3600) -> None:
        self.url = f"{server_url.rpartition('/')[0]}/{next(_databases)}"
        self.folder = folder
        self.link = Link(locate(self.url))
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environ = {
            **os.environ,
            "REDIS_URL": self.url,
            "REDIS_FOLDER": str(folder),
            "REDIS_VISIBILITY": str(visibility_s),
            "PYTHONPATH": str(HERE),
        }

    def ours(self, node: str, queue: str, *more: str) -> subprocess.Popen[bytes]:
        return self._start("tqconsole", "ours", node, queue, *more)

    def theirs(self, node: str, queue: str, *more: str) -> subprocess.Popen[bytes]:
        return self._start("celery", "theirs", node, queue, *more)

    def start_of(self, project: str, program: str, app: str, node: str) -> None:
        """Start a worker of an app of a project, two slots, the default queue."""
        command = [program, "-A", f"{project}:{app}", "worker", "-n", node, "-c", "2"]
        self.start(node, *command, "-l", "INFO")
        assert eventually(lambda: f"{node} ready." in self.log(node)), self.log(node)

    def start(self, log_name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a module, its output in a log of that name."""
        with (self.folder / f"{log_name}.log").open("ab") as log:
            return self._started([sys.executable, "-m", *command], subprocess.DEVNULL, log)

    def console(self) -> subprocess.Popen[bytes]:
        """Start the console on a terminal of its own."""
        _, terminal = pty.openpty()
        return self._started(
            [sys.executable, "-m", "tqconsole", "-b", self.url], terminal, terminal
        )

    def names(self) -> set[str]:
        """Return the names of all that is stored."""
        return {name.decode() for name in self.link.run("KEYS", "*")}

    def log(self, node: str) -> str:
        return (self.folder / f"{node}.log").read_text()

    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def celery(self, *command: str) -> Any:
        done = self.run("celery", "-A", "redis_project:theirs", *command)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def close(self) -> None:
        self.link.close()
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(
        self, program: str, app: str, node: str, queue: str, *more: str
    ) -> subprocess.Popen[bytes]:
        options = ["-n", node, "-Q", queue, "-P", "solo", "-l", "INFO", *more]
        command = [program, "-A", f"redis_project:{app}", "worker", *options]
        process = self.start(node, *command)
        assert eventually(lambda: f"{node} ready." in self.log(node)), self.log(node)
        return process

    def _started(self, command: list[str], stdin: int, out: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command, stdin=stdin, stdout=out, stderr=out, env=self.environ, start_new_session=True
        )
        self._processes.append(process)
        return process

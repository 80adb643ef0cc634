"""Workers of both kinds as processes on one file, and commands asked of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
#: Generous: the machine that runs the tests may be busy.
PATIENCE_S = 30.0


def eventually(ask: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Return the first true answer; the last one when time is over."""
    pause = threading.Event()
    answer = ask()
    for _ in range(int(patience_s / 0.02)):
        if answer:
            return answer
        pause.wait(0.02)
        answer = ask()
    return answer


class Fleet:
    """Both kinds of workers on the file of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite://{folder}/queue.db"
        self._environ = {
            **os.environ,
            "KOMBU_FOLDER": str(folder),
            "PYTHONPATH": str(HERE),
            "PYTHONWARNINGS": "default",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def ours(self, node: str, queue: str) -> subprocess.Popen[bytes]:
        options = ["-n", node, "-Q", queue, "-P", "solo", "-l", "INFO"]
        return self._start(node, ["tqconsole", "-A", "kombu_project:ours", "worker", *options])

    def theirs(self, node: str, queue: str, *more: str) -> subprocess.Popen[bytes]:
        options = ["-n", node, "-Q", queue, "-P", "solo", "-l", "INFO", *more]
        return self._start(node, ["celery", "-A", "kombu_project:theirs", "worker", *options])

    def await_ready(self, *nodes: str) -> None:
        for node in nodes:
            assert eventually(lambda node=node: f"{node} ready." in self.log(node)), self.log(node)

    def log(self, node: str) -> str:
        return (self.folder / f"{node}.log").read_text()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a module to its end."""
        return subprocess.run(
            [sys.executable, "-m", *command],
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, node: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{node}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

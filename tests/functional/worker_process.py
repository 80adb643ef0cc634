"""A real worker as a process of its own, on a SQLite file of its own, and what tests do with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqconsole.engine.app import App

POOLS = ("solo", "threads", "prefork")
#: Generous: the machine that runs the tests may be busy.
PATIENCE_S = 30.0

PROGRAM = """
import json, sys
from tqconsole.engine.worker.program import WorkerOptions, run_worker
from functional_tasks import make_app
app = make_app(sys.argv[1])
options = json.loads(sys.argv[2])
app.conf.update(options.pop("conf", {}))
sys.exit(run_worker(app, WorkerOptions(**options)))
"""


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


class WorkerProcess:
    """One worker. `log` is what it wrote to stderr."""

    def __init__(self, url: str, folder: Path, **options: Any) -> None:
        options = {"hostname": "w1@test", "concurrency": 1, "loglevel": "INFO", **options}
        self.hostname = options["hostname"]
        self._log = folder / f"{self.hostname}.log"
        self._out = folder / f"{self.hostname}.out"
        with self._log.open("a") as log, self._out.open("a") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, url, _json(options)],
                stdout=out,
                stderr=log,
                # Its notes of living workers must not come among the user's own.
                env={
                    **os.environ,
                    "PYTHONPATH": str(Path(__file__).parent),
                    "XDG_STATE_HOME": str(folder / "state"),
                },
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def out(self) -> str:
        return self._out.read_text()

    def ready(self) -> WorkerProcess:
        assert eventually(
            lambda: f"{self.hostname} ready." in self.log or self.process.poll() is not None
        ), self.log
        assert self.process.poll() is None, self.log
        return self

    def says(self, text: str) -> bool:
        return bool(eventually(lambda: text in self.log))

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    def kill_group(self) -> None:
        """As the system's OOM killer at its worst: everything of it, at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill_group()


def _json(options: dict[str, Any]) -> str:
    import json

    return json.dumps(options)


class Site:
    """A broker file, a client's app on it, and its workers."""

    def __init__(self, folder: Path) -> None:
        from functional_tasks import make_app

        self.folder = folder
        self.url = f"sqlite:///{folder}/queue.db"
        self.app: App = make_app(self.url)
        self.app.finalize()
        self.workers: list[WorkerProcess] = []
        self.ledger = folder / "ledger"

    def worker(self, **options: Any) -> WorkerProcess:
        worker = self.starting_worker(**options)
        return worker.ready()

    def starting_worker(self, **options: Any) -> WorkerProcess:
        worker = WorkerProcess(self.url, self.folder, **options)
        self.workers.append(worker)
        return worker

    def call(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.send_task(name, args, **options)

    def ask(self, method: str, **arguments: Any) -> Any:
        """Broadcast a command and return the first worker's answer."""
        answers = self.app.control.broadcast(method, arguments=arguments, reply=True, timeout=10)
        return next(iter(answers[0].values()))

    def lines(self) -> list[str]:
        return self.ledger.read_text().splitlines() if self.ledger.exists() else []

    def close(self) -> None:
        for worker in self.workers:
            worker.end()
        self.app.close()


@contextmanager
def site_in(folder: Path) -> Iterator[Site]:
    site = Site(folder)
    try:
        yield site
    finally:
        site.close()

"""The demo's processes: real workers on an embedded broker of their own, or on one that is named.

A worker that dies is started again after a while, long enough for a watcher to see it gone and its
tasks run elsewhere. Everything started here is stopped here, whatever happens to the console.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tqconsole.core.demo import tasks
from tqconsole.engine.clock import Clock

#: A dead worker stays away this long before it is started again, in seconds.
COMEBACK_S = 25.0
#: How long a worker may take to finish what it runs when the demo ends, in seconds.
STOP_S = 3.0
#: Nodes of the demo and the children each has.
WORKER_NAMES = ("w1", "w2")
CHILD_COUNT = 3


@dataclass(frozen=True, slots=True)
class DemoPlace:
    """Where the demo's tasks and results go."""

    broker_url: str
    backend_url: str


def place_of(folder: Path, broker_url: str | None, backend_url: str | None) -> DemoPlace:
    """Return the place that is named, else a file in the demo's own folder.

    Results go where their broker is, unless that is said, too; with RabbitMQ to their caller.
    """
    url = broker_url or f"sqlite:///{(folder / 'queue.db').as_posix().lstrip('/')}"
    is_amqp = url.partition(":")[0] in ("amqp", "amqps", "pyamqp", "librabbitmq")
    return DemoPlace(url, backend_url or ("rpc://" if is_amqp else url))


class DemoCluster:
    """Two workers and the folder with their logs. Use it as a context."""

    def __init__(
        self,
        folder: Path,
        place: DemoPlace,
        clock: Clock,
        worker_names: Sequence[str] = WORKER_NAMES,
    ) -> None:
        self.folder = folder
        self.place = place
        self._clock = clock
        self._names = tuple(worker_names)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="demo-keeper", daemon=True)

    def __enter__(self) -> Self:
        for name in self._names:
            self._start(name)
        self._keeper.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """Worker name -> process id of the living ones."""
        return {name: one.pid for name, one in self._processes.items() if one.poll() is None}

    def kill(self, name: str) -> None:
        """SIGKILL a worker and its children, as the kernel does when memory runs out."""
        process = self._processes[name]
        _signal_group(process, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Stop all workers: ask first, then kill. May be called twice."""
        self._stopping.set()
        for process in self._processes.values():
            _signal_group(process, signal.SIGTERM)
        until_mono = self._clock.mono() + STOP_S
        for process in self._processes.values():
            try:
                process.wait(max(0.1, until_mono - self._clock.mono()))
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)
                process.wait()

    def log_tail(self, name: str, line_count: int = 15) -> str:
        """Return the last lines of a worker's log, for an error message."""
        try:
            text = (self.folder / f"{name}.log").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-line_count:])

    def _start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - our own program
                [*self._command(name)],
                cwd=self.folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _command(self, name: str) -> list[str]:
        return [
            sys.executable,
            *("-m", "tqconsole", "-A", tasks.__name__, "-b", self.place.broker_url),
            *("--result-backend", self.place.backend_url),
            *("worker", "-n", f"{name}@%h", "-c", str(CHILD_COUNT), "-l", "INFO"),
            # Without -E they would not tell of what starts right after somebody began to listen.
            *("-E", "-Q", ",".join(tasks.QUEUES)),
        ]

    def _keep(self) -> None:
        """Bring dead workers back; runs in a thread of its own until `stop`."""
        gone_at: dict[str, float] = {}
        while not self._stopping.wait(0.5):
            now_mono = self._clock.mono()
            for name, process in list(self._processes.items()):
                if process.poll() is None:
                    gone_at.pop(name, None)
                elif now_mono - gone_at.setdefault(name, now_mono) >= COMEBACK_S:
                    self._start(name)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return

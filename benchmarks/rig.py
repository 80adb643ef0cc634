"""One run: a place, a driver and workers of one peer, and what is seen of them from outside.

Everything is started here and stopped here, by the process groups that were made.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import processes
from benchmarks.commands import environ_of, worker_command
from benchmarks.counting import Counter, waits_s
from benchmarks.values import NotOfferedError, Place, RunFailedError, Worker

#: Seconds for one answer, without one more task run, and for a worker to stop.
_ANSWER_S, _QUIET_S, _STOP_S = 300.0, 30.0, 20.0
#: Seconds between two looks at the counter.
_LOOK_S = 0.002


@dataclass(frozen=True, slots=True)
class Moment:
    """How far the work was, and what it had cost until then."""

    mono: float
    count: int
    worker_cpu_s: float
    server_cpu_s: float


class Driver:
    """A conversation with `benchmarks.drive`."""

    def __init__(self, peer: str, place: Place, worker: Worker) -> None:
        self._log = place.folder / f"driver-{peer}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.drive", peer],
                env=environ_of(place, worker, os.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def ask(self, do: str, count: int = 0, **more: float) -> dict[str, Any]:
        """Have something done. Raises: RunFailedError with the peer's own words, NotOfferedError
        where it has no such thing.
        """
        self.tell(do, count, **more)
        return self.answer()

    def tell(self, do: str, count: int = 0, **more: float) -> None:
        """Begin something; `answer` must follow."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its last answer says why
            self._process.stdin.write(json.dumps({"do": do, "count": count, **more}) + "\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return what became of it. Raises: RunFailedError."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], _ANSWER_S)[0]:
            raise RunFailedError(f"no answer from its driver for {_ANSWER_S:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise RunFailedError(f"its driver ended: {last_line(self._log)}")
        said: dict[str, Any] = json.loads(line)
        if "unable" in said:
            raise NotOfferedError(said["unable"])
        if "error" in said:
            raise RunFailedError(said["error"])
        return said

    def close(self) -> None:
        """End it."""
        stop(self._process)


class Rig:
    """One peer at one place, for one run."""

    def __init__(self, peer: str, place: Place, worker: Worker) -> None:
        self.peer, self.place, self.worker = peer, place, worker
        self.driver = Driver(peer, place, worker)
        self._counter = Counter(place.folder / "counts")
        self._log = place.folder / "worker.log"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.driver.close()

    @contextlib.contextmanager
    def workers(self, count: int = 1) -> Iterator[list[int]]:
        """Run workers; yields their pids."""
        command = worker_command(self.peer, self.place, self.worker)
        started: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(1, count + 1):
                words = [word.replace("bench@", f"bench{number}@") for word in command.words]
                started.append(self._start(words, command.environ))
            yield [process.pid for process in started]
        finally:
            for process in started:
                stop(process)

    def count(self) -> int:
        """Return how many tasks have run."""
        return self._counter.total()

    def waits_s(self) -> list[float]:
        """Return how long short tasks have waited since it was asked last, in seconds."""
        return waits_s(self.place.folder / "counts")

    def until(self, count: int, pids: list[int]) -> Moment:
        """Return the moment at which so many have run. Raises: RunFailedError when none does."""
        seen, moved_mono = -1, time.monotonic()
        while True:
            total, mono = self._counter.total(), time.monotonic()
            if total >= count:
                return self.moment(pids, total, mono)
            if total != seen:
                seen, moved_mono = total, mono
            elif mono - moved_mono > _QUIET_S:
                said = last_line(self._log)
                raise RunFailedError(f"only {total} of {count} tasks ran; its worker said: {said}")
            time.sleep(_LOOK_S)

    def moment(self, pids: list[int], count: int, mono: float) -> Moment:
        """Return what had been used by now."""
        worker_cpu_s = processes.cpu_s([each for pid in pids for each in processes.tree(pid)])
        server = self.place.server_pid
        server_cpu_s = processes.cpu_s(processes.tree(server)) if server else 0.0
        return Moment(mono, count, worker_cpu_s, server_cpu_s)

    def check(self, count: int) -> None:
        """Raise RunFailedError unless exactly so many ran and nothing is left."""
        if self.count() != count:
            raise RunFailedError(f"wrong count: {self.count()} runs of {count} tasks")
        left_count = self.driver.ask("left")["count"]
        if left_count:
            raise RunFailedError(f"wrong count: {left_count} messages left of {count}")

    def check_stored(self, count: int) -> None:
        """Raise RunFailedError unless so many results are stored within a while."""
        until_mono = time.monotonic() + _QUIET_S
        while (stored := self.driver.ask("stored")["count"]) < count:
            if time.monotonic() > until_mono:
                raise RunFailedError(f"wrong count: {stored} results of {count} tasks")
            time.sleep(0.01)

    def _start(self, words: list[str], environ: dict[str, str]) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                words,
                env={**environ_of(self.place, self.worker, os.environ), **environ},
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def stop(process: subprocess.Popen[Any]) -> None:
    """End a process that leads a group of its own, and what it left."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def last_line(log: Path) -> str:
    """Return the last words of a log."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "nothing"

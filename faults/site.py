"""Where one case happens: a place, a ledger, a client that sends and counts, and its workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from faults.account import Account, lost_ids, settle_account
from faults.ledger import VARIABLE, WORK, Ledger, Reading
from faults.places import Place
from faults.scenario import Case
from tqconsole.engine import App
from tqconsole.engine.protocol.result import decode_record

#: Calls per publish and records per read.
BATCH_COUNT = 500
#: A storm is over when nothing has moved for so long, in seconds.
QUIET_S = 20.0
#: A worker that was told to stop gets so long, in seconds.
_STOP_S = 20.0


class Site:
    """One case's place. A context manager: leaving it closes the client; workers end before."""

    def __init__(
        self, case: Case, place: Place, *, acks: str = "late", name: str = "ledger"
    ) -> None:
        self.case = case
        self.place = place
        self.log = case.folder / "worker.log"
        self._acks = acks
        self._path = case.folder / f"{name}.txt"
        self.ledger = Ledger(self._path)
        self.reading = Reading(self._path)
        #: After `settle`: confirmed ids that neither ended nor were reported.
        self.lost_ids: set[str] = set()
        self._queue_names = {"celery"}
        self.client = App("storm", set_as_current=False)
        self.client.conf.update(broker_url=place.broker_url, result_backend=place.backend_url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.ledger.close()

    def publish(self, count: int, *, duration_s: float = 0.0, **options: Any) -> list[str]:
        """Send so many calls of the ledger's task that takes its time."""
        return self.publish_calls(WORK, (duration_s,), count, **options)

    def publish_calls(
        self, task: str, args: tuple[Any, ...], count: int, **options: Any
    ) -> list[str]:
        """Send so many calls of a ledger's task, in batches, and note which were confirmed.

        Raises: OperationalError; the batch that failed counts as tried.
        """
        task_ids: list[str] = []
        self._queue_names.add(options.get("queue", "celery"))
        for start in range(0, count, BATCH_COUNT):
            size = min(BATCH_COUNT, count - start)
            calls: list[Any] = [(task, args, {}, dict(options)) for _ in range(size)]
            sent = [result.id for result in self.client.send_many(calls)]
            self.ledger.published(sent)
            task_ids += sent
        return task_ids

    @contextlib.contextmanager
    def another_client(
        self, what: str, place: Place | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a client in a process of its own (`faults/client.py`), which is killed at the end."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "faults.client", what],
                env=self._environment(place or self.place),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def worker(
        self, *options: str, name: str = "storm@localhost", url: str | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker of the case's engine in a process group of its own; TERM at the end.

        Args:
            options: of its command line.
            name: its node name.
            url: the broker's, where it is not the place's own (a proxy's).
        """
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    *self._program(self._through(url)),
                    "worker",
                    "-n",
                    name,
                    "-l",
                    "WARNING",
                    *options,
                ],
                env=self._environment(self._through(url)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            end_group(process)

    def wait(self, is_so: Callable[[], bool], limit_s: float) -> bool:
        """Read the ledger on until it is so; False after `limit_s`."""
        until = time.monotonic() + limit_s
        while not is_so():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
            self.reading.refresh()
        return True

    def await_start_after(self, at_mono: float, limit_s: float) -> float | None:
        """Return when the first task after that instant began; None after `limit_s`."""
        self.wait(lambda: self.reading.first_start_after(at_mono) is not None, limit_s)
        return self.reading.first_start_after(at_mono)

    def await_start_of_new_process(self, at_mono: float, limit_s: float) -> bool:
        """Wait until a process begins a task that has begun none before that instant."""
        return self.wait(lambda: self.reading.has_new_process(at_mono), limit_s)

    def await_new_work(self, at_mono: float, limit_s: float) -> float | None:
        """Return when the first task that was sent after that instant began; None likewise."""
        self.wait(lambda: self.reading.first_new_start(at_mono) is not None, limit_s)
        return self.reading.first_new_start(at_mono)

    def await_ends(self, count: int, quiet_s: float = QUIET_S) -> bool:
        """Wait until so many ids have ended; False when none did for `quiet_s`."""
        moved_mono, ended = time.monotonic(), -1
        while (now_ended := len(self.reading.refresh().ends)) < count:
            if now_ended != ended:
                moved_mono, ended = time.monotonic(), now_ended
            if time.monotonic() - moved_mono > quiet_s:
                return False
            time.sleep(0.01)
        return True

    def drain(self, quiet_s: float = QUIET_S) -> None:
        """Return when every id has a result, or nothing has moved for `quiet_s`."""
        waiting = list(self.reading.refresh().published)
        moved_mono, ended = time.monotonic(), -1
        while waiting and time.monotonic() - moved_mono < quiet_s:
            known = self.states(waiting)
            still = [task_id for task_id in waiting if task_id not in known]
            now_ended = len(self.reading.refresh().ends)
            if (len(still), now_ended) != (len(waiting), ended):
                moved_mono = time.monotonic()
            waiting, ended = still, now_ended
            time.sleep(0.1)

    def wait_for_one(self) -> None:
        """Wait until the worker has run one call, which is made for it."""
        before = len(self.reading.refresh().ends)
        self.publish(1)
        self.await_ends(before + 1)

    def await_published(self, count: int, limit_s: float) -> bool:
        """Wait until so many calls are confirmed; False after `limit_s`."""
        return self.wait(lambda: len(self.reading.published) >= count, limit_s)

    def await_results(self, task_ids: Sequence[str], limit_s: float) -> bool:
        """Wait until these all have a stored state; False after `limit_s`."""
        return self.wait(lambda: len(self.states(task_ids)) == len(task_ids), limit_s)

    def states(self, task_ids: Sequence[str]) -> dict[str, str]:
        """Return task id -> stored state, for those that have one."""
        states: dict[str, str] = {}
        for start in range(0, len(task_ids), BATCH_COUNT):
            records = self.client.backend.fetch(task_ids[start : start + BATCH_COUNT])
            states.update((it, decode_record(data).state) for it, data in records.items())
        return states

    def settle(self) -> Account:
        """Count, when no worker runs any more."""
        states = self.states(list(self.reading.refresh().published))
        self.ledger.results(states)
        left_count = self.place.left_count(self._queue_names)
        self.lost_ids = lost_ids(self.reading, states)
        dead_count = len(self.client.broker.dead_letters())
        return settle_account(self.reading, states, left_count, dead_count)

    def _program(self, place: Place) -> list[str]:
        if self.case.engine == "celery":
            return [sys.executable, "-m", "celery", "-A", "faults.celery_app"]
        program = [sys.executable, "-m", "tqconsole", "-A", "faults.storm_app"]
        return [*program, "-b", place.broker_url, "--result-backend", place.backend_url]

    def _through(self, url: str | None) -> Place:
        """Return the place behind another URL, for the results too where they are there."""
        place = self.place
        if url is None:
            return place
        is_one = place.backend_url == place.broker_url
        return replace(place, broker_url=url, backend_url=url if is_one else place.backend_url)

    def _environment(self, place: Place) -> dict[str, str]:
        return {
            **os.environ,
            # The tasks' modules are found wherever the runner was started.
            "PYTHONPATH": str(Path(__file__).parent.parent),
            VARIABLE: str(self._path),
            "STORM_ACKS": self._acks,
            "STORM_BROKER": place.broker_url,
            "STORM_BACKEND": place.backend_url,
        }


def end_group(process: subprocess.Popen[bytes], limit_s: float = _STOP_S) -> int:
    """TERM a worker, KILL its process group after `limit_s`; return its exit code."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(limit_s)
    # Also children that outlived a killed parent.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()

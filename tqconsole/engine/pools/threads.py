"""Slots that are threads of the worker's process: for tasks that wait more than they compute.

A thread can neither be killed nor interrupted, so there is no `terminate` and no time limit. Each
thread has a deque of its own; both sides take from it by one atomic `pop` (the thread from the
left, `withdraw` from the right), so that a job is run or taken back, never both. The deque of news
and its bell are the only things that all threads share.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.pools.base import (
    Job,
    JobEnded,
    JobLost,
    JobStarted,
    Pool,
    PoolNews,
    PoolOptions,
    Runner,
)
from tqconsole.engine.pools.outbox import Outbox

logger = logging.getLogger(__name__)


class ThreadsPool(Pool):
    """A set of threads, each with its own jobs."""

    implementation = "celery.concurrency.thread:TaskPool"
    shares_memory = True
    can_resize = True

    def __init__(
        self,
        runner: Runner,
        slot_count: int = 1,
        options: PoolOptions | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Threads are made by `start`."""
        self._outbox = Outbox(clock)
        self._runner = runner
        self._size = max(1, slot_count)
        self._options = options or PoolOptions()
        self._slots: list[_Slot] = []
        self._running: dict[int, _Slot] = {}
        self._made_count = 0

    def start(self) -> None:
        """Start the threads."""
        if self._options.on_child_start is not None:
            self._options.on_child_start()
        self._resize()

    def _resize(self) -> None:
        while len(self._slots) < self._size:
            self._made_count += 1
            slot = _Slot(self._made_count, self._runner, self._outbox)
            slot.thread.start()
            self._slots.append(slot)
        for slot in [slot for slot in self._slots if not slot.job_ids]:
            if len(self._slots) > self._size:
                slot.leave()
                self._slots.remove(slot)

    @property
    def slot_count(self) -> int:
        """How many jobs may run at once."""
        return self._size

    def free_slots(self) -> int:
        """How many threads have nothing to run."""
        return sum(not slot.job_ids for slot in self._slots)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Give the jobs to the first free thread. Raises: RuntimeError when there is none."""
        slot = next((slot for slot in self._slots if not slot.job_ids), None)
        if slot is None:
            raise RuntimeError("no free slot")
        slot.job_ids.update(dict.fromkeys(job.job_id for job in jobs))
        self._running.update(dict.fromkeys(slot.job_ids, slot))
        slot.take(jobs)

    def poll(self) -> list[PoolNews]:
        """Return what the threads told; never blocks."""
        news = self._outbox.take()
        for item in news:
            if not isinstance(item, JobStarted):
                self._running.pop(item.job_id).job_ids.pop(item.job_id)
        if len(self._slots) > self._size:
            self._resize()
        return news

    def filenos(self) -> list[int]:
        """Return the bell of the news."""
        return [self._outbox.fileno()]

    def next_deadline_mono(self) -> float | None:
        """Return None: threads have no limits."""
        return None

    def withdraw(self) -> list[int]:
        """Take back what no thread has begun."""
        taken = []
        for slot in self._slots:
            for job_id in slot.take_back():
                slot.job_ids.pop(job_id)
                self._running.pop(job_id)
                taken.append(job_id)
        return taken

    def terminate(self, job_id: int, signal: int) -> bool:
        """Raise NotSupportedError."""
        raise NotSupportedError("a thread cannot be terminated: use -P prefork")

    def grow(self, count: int) -> None:
        """Add threads."""
        self._size += count
        self._resize()

    def shrink(self, count: int) -> None:
        """Let threads go as they come free; one stays."""
        self._size = max(1, self._size - count)
        self._resize()

    def restart(self) -> None:
        """Raise NotSupportedError."""
        raise NotSupportedError("threads have no processes to replace: use -P prefork")

    def info(self) -> dict[str, Any]:
        """Return Celery's "pool" part of stats."""
        return {
            "implementation": self.implementation,
            "max-concurrency": self._size,
            "threads": len(self._slots),
        }

    def stop(self, grace_s: float | None) -> None:
        """Wait for the running jobs, `grace_s` for all of them together.

        A thread that is still busy then is left to the end of the process (it is a daemon).
        """
        deadline_mono = None if grace_s is None else self._outbox.clock.mono() + grace_s
        for slot in self._slots:
            slot.leave()
        for slot in self._slots:
            left_s = None
            if deadline_mono is not None:
                left_s = max(0.0, deadline_mono - self._outbox.clock.mono())
            slot.thread.join(left_s)
        if self._options.on_child_stop is not None:
            self._options.on_child_stop()


class _Slot:
    """One thread. `job_ids` (in order, kept by the pool) is what was given and not yet reported."""

    def __init__(self, number: int, runner: Runner, outbox: Outbox) -> None:
        self.job_ids: dict[int, None] = {}
        self.thread = threading.Thread(
            target=self._run, name=f"ThreadPoolExecutor-0_{number - 1}", daemon=True
        )
        self._runner = runner
        self._outbox = outbox
        self._jobs: deque[Job] = deque()
        self._is_leaving = False
        self._wake = threading.Semaphore(0)

    def take(self, jobs: Sequence[Job]) -> None:
        """Queue the jobs and wake the thread."""
        self._jobs.extend(jobs)
        self._wake.release()

    def take_back(self) -> list[int]:
        """Return the ids of the jobs not begun, which this thread then never sees."""
        ids: list[int] = []
        with contextlib.suppress(IndexError):
            while True:
                ids.append(self._jobs.pop().job_id)
        return ids[::-1]

    def leave(self) -> None:
        """Let the thread end when it has nothing more to run."""
        self._is_leaving = True
        self._wake.release()

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            with contextlib.suppress(IndexError):
                while True:
                    self._run_one(self._jobs.popleft())
            if self._is_leaving:
                return

    def _run_one(self, job: Job) -> None:
        pid = os.getpid()
        self._outbox.put(JobStarted(job.job_id, pid, self._outbox.clock.mono()))
        try:
            outcome = self._runner(job.payload)
        except BaseException:  # a runner must not raise; the job is reported as lost
            logger.critical("The runner raised at job %s", job.job_id, exc_info=True)
            self._outbox.put(JobLost(job.job_id, True, pid, None, None))  # noqa: FBT003 - was_started
        else:
            self._outbox.put(JobEnded(job.job_id, outcome))

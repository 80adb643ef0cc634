"""One slot in the worker's own thread: `submit` runs the jobs before it returns.

For debugging, and for the smallest cost per task. Nothing can be limited, taken back or ended from
outside while a job runs, because the thread that would do it is the one that runs it.
"""

from __future__ import annotations

import logging
import math
import os
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

logger = logging.getLogger(__name__)


class SoloPool(Pool):
    """The pool of one inline slot."""

    implementation = "celery.concurrency.solo:TaskPool"
    is_inline = True
    shares_memory = True

    def __init__(
        self,
        runner: Runner,
        slot_count: int = 1,
        options: PoolOptions | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Keep the runner; `slot_count` is one whatever was asked, as in Celery."""
        del slot_count
        self._runner = runner
        self._options = options or PoolOptions()
        self._clock = clock
        self._pid = os.getpid()
        self._news: list[PoolNews] = []

    def start(self) -> None:
        """Run the set-up that a child would run."""
        if self._options.on_child_start is not None:
            self._options.on_child_start()

    @property
    def slot_count(self) -> int:
        """One."""
        return 1

    def free_slots(self) -> int:
        """Return 1: whoever can ask is not running a job."""
        return 1

    def submit(self, jobs: Sequence[Job]) -> None:
        """Run the jobs now, one after the other."""
        for job in jobs:
            self._news.append(JobStarted(job.job_id, self._pid, self._clock.mono()))
            try:
                outcome = self._runner(job.payload)
            except BaseException:  # a runner must not raise; the job is reported as lost
                logger.critical("The runner raised at job %s", job.job_id, exc_info=True)
                self._news.append(JobLost(job.job_id, True, self._pid, None, None))  # noqa: FBT003 - was_started
            else:
                self._news.append(JobEnded(job.job_id, outcome))

    def poll(self) -> list[PoolNews]:
        """Return what `submit` gathered."""
        news, self._news = self._news, []
        return news

    def filenos(self) -> list[int]:
        """Return none: news come by `submit` only."""
        return []

    def next_deadline_mono(self) -> float | None:
        """Return the past when there are news, else None."""
        return -math.inf if self._news else None

    def withdraw(self) -> list[int]:
        """Return nothing: a submitted job has run."""
        return []

    def terminate(self, job_id: int, signal: int) -> bool:
        """Raise NotSupportedError."""
        raise NotSupportedError("solo runs tasks in the worker's own thread: use -P prefork")

    def grow(self, count: int) -> None:
        """Raise NotSupportedError."""
        raise NotSupportedError("solo has exactly one slot: use -P prefork or -P threads")

    def shrink(self, count: int) -> None:
        """Raise NotSupportedError."""
        raise NotSupportedError("solo has exactly one slot: use -P prefork or -P threads")

    def restart(self) -> None:
        """Raise NotSupportedError."""
        raise NotSupportedError("solo has no processes to replace: restart the worker")

    def info(self) -> dict[str, Any]:
        """Return Celery's "pool" part of stats."""
        return {
            "implementation": self.implementation,
            "max-concurrency": 1,
            "processes": [self._pid],
            "max-tasks-per-child": None,
            "put-guarded-by-semaphore": True,
            "timeouts": [],
        }

    def stop(self, grace_s: float | None) -> None:
        """Run the tear-down that a child would run; nothing runs any more."""
        del grace_s
        if self._options.on_child_stop is not None:
            self._options.on_child_stop()

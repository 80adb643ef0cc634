"""Slots that are processes: the default pool, and the only one that can end a run from outside.

Children are forked by a template process (`template.py`); each has its own pipes to this pool
(`slot.py`) and shares nothing with the others; `crew.py` keeps their number. Here stands which of
them runs what. Jobs that a dead or used-up child had not begun go to the next free child, so that
only what ran is ever lost.

Used by the worker's thread only. All waiting is done by one selector, whose descriptor is all the
worker's loop has to watch.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import EngineError
from tqconsole.engine.pools import frame
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
from tqconsole.engine.pools.child import ChildPlan
from tqconsole.engine.pools.crew import LEAVE_S, Crew, Happening
from tqconsole.engine.pools.slot import Slot

#: How late a start may be told, seconds: short runs have ended by then.
_START_TOLD_S = 0.002
#: How long idle children may take to end when the pool is to end at once, seconds.
_QUICK_LEAVE_S = 0.5


class PreforkPool(Pool):
    """A set of child processes."""

    implementation = "celery.concurrency.prefork:TaskPool"
    can_terminate = True
    can_limit_time = True
    can_resize = True
    takes_behind = True

    def __init__(
        self,
        runner: Runner,
        slot_count: int = 1,
        options: PoolOptions | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Processes are made by `start`."""
        self._options = options or PoolOptions()
        self._clock = clock
        self._crew = Crew(ChildPlan(runner, self._options), max(1, slot_count), clock)
        self._free: list[Slot] = []
        self._seen_turnover = 0
        self._running: dict[int, Slot] = {}
        self._homeless: deque[Job] = deque()
        self._news: list[PoolNews] = []
        self._is_stopping = False

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Fork the template and the children; wait until they are ready.

        Raises: EngineError when not one child became ready in time.
        """
        deadline_mono = self._clock.mono() + self._options.start_timeout_s
        self._crew.keep_size()
        while len(self._free) < self._crew.size:
            left_s = deadline_mono - self._clock.mono()
            if left_s <= 0:
                break
            self._wait(left_s)
        if not self._free:
            self.stop(0)
            raise EngineError(
                f"No process of the pool became ready within {self._options.start_timeout_s:g} s:"
                " worker_proc_alive_timeout gives them longer"
            )

    def stop(self, grace_s: float | None) -> None:
        """Withdraw what has not begun (told as lost), wait for what runs, end all processes.

        What ended meanwhile is still told by the next `poll`.
        """
        self._is_stopping = self._crew.is_ending = True
        self._take_back(self._crew.slots.values())
        self._serve_homeless()
        deadline_mono = None if grace_s is None else self._clock.mono() + grace_s
        while any(slot.jobs for slot in self._crew.slots.values()):
            left_s = LEAVE_S if deadline_mono is None else deadline_mono - self._clock.mono()
            if left_s <= 0:
                break
            self._wait(left_s)
        self._crew.end(_QUICK_LEAVE_S if grace_s == 0 else LEAVE_S)
        while self._crew.slots:
            self._wait(LEAVE_S)
        self._crew.close()
        self._free.clear()

    def _wait(self, longest_s: float) -> None:
        """Sleep until something happens or is due, then take note of it."""
        due_mono = self._due_mono()
        if due_mono is not None:
            longest_s = min(longest_s, due_mono - self._clock.mono())
        self._advance(max(0.0, longest_s))

    # -- what the worker asks --------------------------------------------------------------------

    @property
    def slot_count(self) -> int:
        """How many jobs may run at once."""
        return self._crew.size

    def free_slots(self) -> int:
        """How many children are ready and have nothing to run."""
        return len(self._free)

    def room_behind(self) -> int:
        """How many children have short jobs, and take as many more before they have ended."""
        return sum(slot.has_room_behind for slot in self._crew.slots.values())

    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand the jobs to one child: a free one, else one that has room behind short ones.

        Raises: RuntimeError when there is none.
        """
        slot = self._pop_free() or self._next_behind()
        if slot is None:
            raise RuntimeError("no free slot")
        self._send(slot, jobs)

    def _next_behind(self) -> Slot | None:
        """Return the child with the least before it is free, of those that have room."""
        roomy = [slot for slot in self._crew.slots.values() if slot.has_room_behind]
        return min(roomy, key=lambda slot: len(slot.jobs), default=None)

    def poll(self) -> list[PoolNews]:
        """Return what happened; kill what is over its limit, replace what is gone."""
        self._advance(0)
        news, self._news = self._news, []
        return news

    def filenos(self) -> list[int]:
        """Return one descriptor, always the same."""
        return [self._crew.fileno()]

    def next_deadline_mono(self) -> float | None:
        """Return when `poll` has something to do: the past when news are waiting. A moment that is
        now when it is asked for has not come yet for who looked at the clock before.
        """
        due_mono = self._due_mono()
        news_mono = self._news_mono() if self._news else None
        if due_mono is None or news_mono is None:
            return news_mono if due_mono is None else due_mono
        return min(due_mono, news_mono)

    def _news_mono(self) -> float | None:
        # A start that its end may still catch up with is told a little later.
        starts_mono = [it.started_mono for it in self._news if isinstance(it, JobStarted)]
        if len(starts_mono) < len(self._news):
            return -math.inf
        return starts_mono[0] + _START_TOLD_S if starts_mono else None

    def _due_mono(self) -> float | None:
        due_mono = self._crew.due_mono()
        for slot in self._crew.slots.values():
            limit_mono = slot.limit_mono
            if limit_mono and not slot.is_gone and (due_mono is None or limit_mono < due_mono):
                due_mono = limit_mono
        return due_mono

    def withdraw(self) -> list[int]:
        """Take back all jobs that have not begun behind a running one."""
        # Whoever asks is late: what has ended meanwhile has not rung yet.
        for slot in list(self._crew.slots.values()):
            if len(slot.jobs) > 1:
                self._take(self._crew.hear(slot))
        self._take_back(self._crew.slots.values())
        ids = [job.job_id for job in self._homeless]
        self._homeless.clear()
        for job_id in ids:
            del self._running[job_id]
        return ids

    def terminate(self, job_id: int, signal: int) -> bool:
        """Send `signal` to the child that runs the job, and to no other job of that child's."""
        slot = self._running.get(job_id)
        if slot is None or not self._is_alone(slot, job_id):
            return False
        slot.terminated_id = job_id
        return slot.kill(signal)

    def _is_alone(self, slot: Slot, job_id: int) -> bool:
        """Make sure that the child runs this job or nothing, from now until told otherwise.

        What stands behind it is withdrawn from the child first: so it cannot begin the next one
        between this thread's look and a signal.
        """
        self._take_back([slot])
        self._take(self._crew.hear(slot))
        self._serve_homeless()
        return bool(slot.jobs) and slot.jobs[0].job_id == job_id

    def grow(self, count: int) -> None:
        """Add children."""
        self._crew.size += count
        self._crew.keep_size()

    def shrink(self, count: int) -> None:
        """Let children go as they come free; one stays."""
        self._crew.size = max(1, self._crew.size - count)
        self._crew.keep_size()
        self._sort_out()

    def restart(self) -> None:
        """Replace every child as it comes free."""
        self._crew.replace_all()
        self._sort_out()

    def info(self) -> dict[str, Any]:
        """Return Celery's "pool" part of stats."""
        slots = list(self._crew.slots.values())
        total = sum(slot.batch_count for slot in slots)
        shares = [slot.batch_count / (total or 1) for slot in slots]
        return {
            "implementation": self.implementation,
            "max-concurrency": self.slot_count,
            "processes": [slot.pid for slot in slots if slot.pid],
            "max-tasks-per-child": self._options.max_jobs_per_child or "N/A",
            "put-guarded-by-semaphore": False,
            "timeouts": [0, 0],
            "writes": {
                "total": total,
                "avg": f"{sum(shares) / (len(shares) or 1):.2f}",
                "all": ", ".join(f"{share:.2f}" for share in shares),
                "raw": ", ".join(str(slot.batch_count) for slot in slots),
                "strategy": "fair",
                "inqueues": {"total": len(slots), "active": sum(bool(slot.jobs) for slot in slots)},
            },
        }

    # -- what the children say -------------------------------------------------------------------

    def _advance(self, timeout_s: float) -> None:
        happened = self._crew.advance(timeout_s)
        if happened:
            self._take(happened)
        self._enforce_limits()
        self._sort_out()

    def _take(self, happened: Iterable[Happening]) -> None:
        moved: Slot | None = None
        for slot, note in happened:
            if moved is not None and moved is not slot:
                self._tell_next(moved)
                moved = None
            if note is None:
                self._lose(slot)
            else:
                flags, job_id, outcome = note
                if not flags & frame.IS_READY:
                    slot.jobs.popleft()
                    del self._running[job_id]
                    self._news.append(JobEnded(job_id, outcome))
                    moved = slot
                    slot.terminated_id = slot.limit_mono = None
                if flags & frame.IS_LAST:
                    self._rehouse(slot)
                if not (slot.jobs or slot.is_leaving or slot.is_gone):
                    self._welcome(slot)
        if moved is not None:
            self._tell_next(moved)

    def _tell_next(self, slot: Slot) -> None:
        """What now runs in the child; those before it are told of by their ends."""
        if slot.jobs and not slot.is_gone:
            self._tell_start(slot, self._clock.mono())

    def _welcome(self, slot: Slot) -> None:
        """Give a child that has nothing to run its leave, its next job, or its place."""
        if slot.is_retiring or self._is_stopping:
            self._crew.dismiss(slot)
        elif self._homeless:
            self._send(slot, [self._homeless.popleft()])
        else:
            self._free.append(slot)

    def _sort_out(self) -> None:
        """Only those that can take jobs stay among the free."""
        if self._seen_turnover != self._crew.turnover:
            self._seen_turnover = self._crew.turnover
            self._free = [slot for slot in self._free if slot.is_free]

    def _pop_free(self) -> Slot | None:
        self._sort_out()
        return self._free.pop() if self._free else None

    def _send(self, slot: Slot, jobs: Sequence[Job]) -> None:
        was_idle = not slot.jobs
        slot.send(jobs)
        if slot.has_unsent:
            self._crew.watch(slot)
        for job in jobs:
            self._running[job.job_id] = slot
        if was_idle:
            self._tell_start(slot, self._clock.mono())

    def _tell_start(self, slot: Slot, now_mono: float) -> None:
        """The first of the slot's jobs runs from now on."""
        job = slot.jobs[0]
        self._news.append(JobStarted(job.job_id, slot.pid, now_mono))
        if job.hard_limit_s:
            slot.limit_mono = now_mono + job.hard_limit_s

    # -- ends ------------------------------------------------------------------------------------

    def _enforce_limits(self) -> None:
        now_mono = self._clock.mono()
        for slot in list(self._crew.slots.values()):
            if slot.limit_mono is None or slot.limit_mono > now_mono or slot.is_gone:
                continue
            job_id = slot.jobs[0].job_id
            if self._is_alone(slot, job_id):
                slot.limit_mono = None
                slot.timed_out_id = job_id
                self._crew.kill(slot)

    def _lose(self, slot: Slot) -> None:
        """Tell what the dead child has lost, and let others run the rest."""
        if slot.jobs:
            was_started = slot.has_begun()
            job = slot.jobs.popleft()
            del self._running[job.job_id]
            self._news.append(_loss(slot, job, was_started=was_started))
        self._rehouse(slot)
        slot.close()

    def _rehouse(self, slot: Slot) -> None:
        self._homeless.extend(slot.jobs)
        slot.jobs.clear()
        self._serve_homeless()

    def _take_back(self, slots: Iterable[Slot]) -> None:
        for slot in slots:
            self._homeless.extend(slot.take_back())

    def _serve_homeless(self) -> None:
        """Give jobs that have lost their child to free ones; at the end tell them as lost."""
        while self._homeless and self._is_stopping:
            job = self._homeless.popleft()
            del self._running[job.job_id]
            self._news.append(JobLost(job.job_id, False, 0, None, None))  # noqa: FBT003 - not started
        while self._homeless and (slot := self._pop_free()):
            self._send(slot, [self._homeless.popleft()])


def _loss(slot: Slot, job: Job, *, was_started: bool) -> JobLost:
    """Return the news of a job whose process died, with what the system told of it."""
    killed_by = exit_code = None
    if slot.status is not None:
        if os.WIFSIGNALED(slot.status):
            killed_by = os.WTERMSIG(slot.status)
        else:
            exit_code = os.WEXITSTATUS(slot.status)
    return JobLost(
        job.job_id,
        was_started=was_started,
        pid=slot.pid,
        signal=killed_by,
        exit_code=exit_code,
        is_time_limit=slot.timed_out_id == job.job_id,
        is_terminated=slot.terminated_id == job.job_id,
    )

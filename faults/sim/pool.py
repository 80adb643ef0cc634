"""A pool of simulated children: a run takes its time on the world's clock, and any may die."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tqconsole.engine.pools.base import Job, JobEnded, JobLost, JobStarted, Pool, PoolNews


class Ground(Protocol):
    """What a pool stands on: the world, as far as runs are concerned."""

    def mono(self) -> float:
        """Return the world's time."""
        ...

    def after(self, delay_s: float, work: Callable[[], None]) -> None:
        """Do something later."""
        ...

    def hand_over(self, jobs: Sequence[Job]) -> None:
        """Jobs are given to a slot."""
        ...

    def begin_run(self, job: Job) -> float:
        """A run begins; return how long it takes. Negative: it dies after that long."""
        ...

    def cut_run(self, job: Job) -> None:
        """A run ends with the death of its child."""
        ...

    def end_run(self, job: Job) -> Any:
        """A run has ended; return its outcome."""
        ...

    def is_slot_dead(self) -> bool:
        """True when the slot that was counted on has just died."""
        ...


@dataclass(slots=True)
class Slot:
    """A child and what it was given, in order."""

    pid: int
    jobs: deque[Job] = field(default_factory=deque)
    started_mono: float = 0.0
    is_gone: bool = False
    #: Jobs of the batch that came last; 0 when nothing may follow it.
    followed_count: int = 0

    @property
    def has_room_behind(self) -> bool:
        """True when another batch may follow the one that runs."""
        return 1 < self.followed_count >= len(self.jobs) > 0

    def take(self, jobs: Sequence[Job]) -> None:
        """Take a batch."""
        self.jobs.extend(jobs)
        self.followed_count = len(jobs)


class SimPool(Pool):
    """Slots that live on simulated time."""

    implementation = "simulated"
    can_terminate = True
    can_limit_time = True
    shares_memory = True
    takes_behind = True

    def __init__(self, ground: Ground, slot_count: int, fileno: int) -> None:
        self._ground = ground
        self._fileno = fileno
        self._last_pid = 0
        self.slots = [self._new_slot() for _ in range(slot_count)]
        self.news: list[PoolNews] = []

    def _new_slot(self) -> Slot:
        self._last_pid += 1
        return Slot(self._last_pid)

    def start(self) -> None:
        """They are there."""

    @property
    def slot_count(self) -> int:
        """As many as it was made with."""
        return len(self.slots)

    def free_slots(self) -> int:
        """Those without a job."""
        return sum(not slot.jobs for slot in self.slots)

    def room_behind(self) -> int:
        """Those whose batch may be followed by another."""
        return sum(slot.has_room_behind for slot in self.slots)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Give jobs to a free slot, or behind the short ones of another."""
        free = [slot for slot in self.slots if not slot.jobs]
        roomy = [slot for slot in self.slots if slot.has_room_behind]
        if self._ground.is_slot_dead() or not (free or roomy):
            raise RuntimeError("simulated: the slot died before it took them")
        slot = (free + roomy)[0]
        self._ground.hand_over(jobs)
        slot.take(jobs)
        self._ground.after(0.0, lambda: self._begin(slot))

    def _begin(self, slot: Slot) -> None:
        if slot.is_gone or not slot.jobs or slot.started_mono:
            return
        job = slot.jobs[0]
        duration_s = self._ground.begin_run(job)
        slot.started_mono = self._ground.mono()
        self.news.append(JobStarted(job.job_id, slot.pid, slot.started_mono))
        if duration_s < 0:
            self._ground.after(-duration_s, lambda: self._die_of(slot, job))
        else:
            self._ground.after(duration_s, lambda: self._end(slot, job))

    def _end(self, slot: Slot, job: Job) -> None:
        if slot.is_gone or not slot.jobs or slot.jobs[0] is not job:
            return
        slot.jobs.popleft()
        slot.started_mono = 0.0
        self.news.append(JobEnded(job.job_id, self._ground.end_run(job)))
        self._begin(slot)

    def _die_of(self, slot: Slot, job: Job) -> None:
        if not slot.is_gone and slot.jobs and slot.jobs[0] is job:
            self.kill(slot)

    def kill(self, slot: Slot, **why: bool) -> None:
        """A child dies; another takes its place."""
        if slot.started_mono:
            self._ground.cut_run(slot.jobs[0])
        slot.is_gone = True
        self.slots[self.slots.index(slot)] = self._new_slot()
        for at, job in enumerate(slot.jobs):
            was_started = at == 0 and bool(slot.started_mono)
            self.news.append(
                JobLost(job.job_id, was_started, slot.pid, 9, None, **(why if not at else {}))
            )

    def poll(self) -> list[PoolNews]:
        """Enforce hard limits, and tell what happened."""
        now_mono = self._ground.mono()
        for slot in list(self.slots):
            deadline_mono = self._deadline_mono(slot)
            if deadline_mono is not None and deadline_mono <= now_mono:
                self.kill(slot, is_time_limit=True)
        news, self.news = self.news, []
        return news

    def _deadline_mono(self, slot: Slot) -> float | None:
        if slot.jobs and slot.started_mono and slot.jobs[0].hard_limit_s:
            return slot.started_mono + slot.jobs[0].hard_limit_s
        return None

    def filenos(self) -> list[int]:
        """A number that the simulated selector knows."""
        return [self._fileno]

    def next_deadline_mono(self) -> float | None:
        """When the next hard limit is reached."""
        deadlines = [self._deadline_mono(slot) for slot in self.slots]
        return min((each for each in deadlines if each is not None), default=None)

    def withdraw(self) -> list[int]:
        """Take back what waits behind a running job."""
        taken: list[int] = []
        for slot in self.slots:
            if len(slot.jobs) > 1:
                slot.followed_count = 0
            while len(slot.jobs) > 1:
                taken.append(slot.jobs.pop().job_id)
        return taken[::-1]

    def terminate(self, job_id: int, signal: int) -> bool:
        """Kill the child that runs it."""
        for slot in self.slots:
            if slot.jobs and slot.jobs[0].job_id == job_id and slot.started_mono:
                self.kill(slot, is_terminated=True)
                return True
        return False

    def grow(self, count: int) -> None:
        """Add slots."""
        self.slots += [self._new_slot() for _ in range(count)]

    def shrink(self, count: int) -> None:
        """Take idle slots away."""
        idle = [slot for slot in self.slots if not slot.jobs][:count]
        for slot in idle:
            if len(self.slots) > 1:
                self.slots.remove(slot)

    def restart(self) -> None:
        """Nothing to replace."""

    def info(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}

    def stop(self, grace_s: float | None) -> None:
        """End all slots."""
        if grace_s is None and any(slot.jobs for slot in self.slots):
            raise AssertionError("the worker left while tasks ran")
        for slot in self.slots:
            if slot.started_mono:
                self._ground.cut_run(slot.jobs[0])
            slot.is_gone = True
            slot.jobs.clear()

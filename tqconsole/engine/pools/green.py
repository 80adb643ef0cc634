"""Slots that are greenlets, of gevent or of eventlet: for code that was written for these.

The worker's loop is a greenlet among the others: the process was patched before anything was
imported (`patch`), so that whatever waits lets the others run. A greenlet can be killed where it
waits, so there are hard time limits and `terminate`, and a soft limit is raised there: only what
never waits cannot be reached. (Celery has no soft limits here.)
"""

from __future__ import annotations

import abc
import importlib
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import (
    ImproperlyConfigured,
    NotSupportedError,
    SoftTimeLimitExceeded,
)
from tqconsole.engine.pools.alarm import set_alarm
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

#: Seconds between two looks whether all greenlets have ended, at a stop.
_LOOK_S = 0.01


class GreenPool(Pool):
    """What both libraries have in common. Everything runs in one thread, and switches only where
    something waits.
    """

    can_terminate = True
    can_limit_time = True
    can_resize = True
    shares_memory = True
    #: What it is called in the lists of extras.
    library: str

    def __init__(
        self,
        runner: Runner,
        slot_count: int = 1,
        options: PoolOptions | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Raises: ImproperlyConfigured without the library."""
        self._green = load_library(self.library)
        self._runner = runner
        self._size = max(1, slot_count)
        self._options = options or PoolOptions()
        self._clock = clock
        self._outbox = Outbox(clock)
        self._slots: dict[int, _Slot] = {}
        self._busy: set[_Slot] = set()
        #: Jobs that have begun and of whose end nothing was told -> their greenlet.
        self._greenlets: dict[int, Any] = {}

    @abc.abstractmethod
    def spawn(self, function: Callable[..., None], *args: Any) -> Any:
        """Start a greenlet and return it."""

    @abc.abstractmethod
    def kill(self, greenlet: Any) -> None:
        """End a greenlet where it waits; returns without it having ended."""

    @abc.abstractmethod
    def call_later(self, delay_s: float, function: Callable[[], None]) -> Callable[[], None]:
        """Call a function in a while; return what prevents it."""

    @abc.abstractmethod
    def raise_later(self, delay_s: float, error: Exception) -> Callable[[], None]:
        """Raise an error in this greenlet in a while; return what prevents it."""

    def pause(self, pause_s: float) -> None:
        """Let the others run."""
        self._green.sleep(pause_s)

    def start(self) -> None:
        """Run the set-up that a child would run."""
        if self._options.on_child_start is not None:
            self._options.on_child_start()

    @property
    def slot_count(self) -> int:
        """How many jobs may run at once."""
        return self._size

    def free_slots(self) -> int:
        """How many more may begin."""
        return max(0, self._size - len(self._busy))

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have the jobs run in a greenlet. Raises: RuntimeError when there is no slot."""
        if len(self._busy) >= self._size:
            raise RuntimeError("no free slot")
        slot = _Slot(jobs)
        self._busy.add(slot)
        for job in jobs:
            self._slots[job.job_id] = slot
        self.spawn(self._run, slot)

    def _run(self, slot: _Slot) -> None:
        if not slot.jobs:
            slot.is_active = False
            return
        job = slot.jobs.popleft()
        # Each in a greenlet of its own: what kills it must not take the next one along.
        self._greenlets[job.job_id] = self.spawn(self._run_one, job, slot)

    def _run_one(self, job: Job, slot: _Slot) -> None:
        pid = os.getpid()
        self._outbox.put(JobStarted(job.job_id, pid, self._clock.mono()))
        prevent = None
        if job.hard_limit_s:
            prevent = self.call_later(
                job.hard_limit_s, lambda: self._cut(job.job_id, by_limit=True)
            )
        set_alarm(_GreenAlarm(job.soft_limit_s, self.raise_later))
        news: PoolNews = JobLost(job.job_id, True, pid, None, None)  # noqa: FBT003 - was_started
        try:
            news = JobEnded(job.job_id, self._runner(job.payload))
        except Exception:  # a runner must not raise; the job is reported as lost
            logger.critical("The runner raised at job %s", job.job_id, exc_info=True)
        finally:
            if prevent is not None:
                prevent()
            self._greenlets.pop(job.job_id, None)
            if not slot.is_over(job.job_id):
                slot.over_id = job.job_id
                self._outbox.put(news)
            self.spawn(self._run, slot)

    def _cut(self, job_id: int, *, by_limit: bool) -> None:
        """Kill a run and tell so at once: its clean-up may take its time."""
        greenlet, slot = self._greenlets.pop(job_id, None), self._slots.get(job_id)
        if greenlet is None or slot is None:
            return
        slot.over_id = job_id
        why = {"is_time_limit": by_limit, "is_terminated": not by_limit}
        self._outbox.put(JobLost(job_id, True, os.getpid(), None, None, **why))  # noqa: FBT003 - was_started
        self.kill(greenlet)

    def poll(self) -> list[PoolNews]:
        """Return what the greenlets told; never blocks."""
        news = self._outbox.take()
        for item in news:
            if not isinstance(item, JobStarted):
                self._leave(item.job_id)
        return news

    def _leave(self, job_id: int) -> None:
        slot = self._slots.pop(job_id)
        slot.left_count -= 1
        if not slot.left_count:
            self._busy.discard(slot)

    def filenos(self) -> list[int]:
        """Return the bell of the news."""
        return [self._outbox.fileno()]

    def next_deadline_mono(self) -> float | None:
        """Return None: the library has timers."""
        return None

    def withdraw(self) -> list[int]:
        """Take back what has not begun."""
        taken = [job.job_id for slot in self._busy for job in slot.take_back()]
        for job_id in taken:
            self._leave(job_id)
        return taken

    def terminate(self, job_id: int, signal: int) -> bool:
        """Kill the greenlet of a job; False when it runs nowhere."""
        is_running = job_id in self._greenlets
        self._cut(job_id, by_limit=False)
        return is_running

    def grow(self, count: int) -> None:
        """Let more run."""
        self._size += count

    def shrink(self, count: int) -> None:
        """Let fewer begin; one at least."""
        self._size = max(1, self._size - count)

    def restart(self) -> None:
        """Raise NotSupportedError."""
        raise NotSupportedError("greenlets have no processes to replace: use -P prefork")

    def info(self) -> dict[str, Any]:
        """Return Celery's "pool" part of stats."""
        return {
            "implementation": self.implementation,
            "max-concurrency": self._size,
            "free-threads": self.free_slots(),
            "running-threads": len(self._busy),
        }

    def stop(self, grace_s: float | None) -> None:
        """Wait for what runs, `grace_s` for all together; then kill it."""
        end_mono = None if grace_s is None else self._clock.mono() + grace_s
        while any(slot.is_active for slot in self._busy):
            if end_mono is not None and self._clock.mono() >= end_mono:
                break
            self.pause(_LOOK_S)
        for greenlet in list(self._greenlets.values()):
            self.kill(greenlet)
        if self._options.on_child_stop is not None:
            self._options.on_child_stop()


class GeventPool(GreenPool):
    """Greenlets of gevent."""

    implementation = "celery.concurrency.gevent:TaskPool"
    library = "gevent"

    def spawn(self, function: Callable[..., None], *args: Any) -> Any:
        """Start a greenlet and return it."""
        return self._green.spawn(function, *args)

    def kill(self, greenlet: Any) -> None:
        """End a greenlet where it waits; returns without it having ended."""
        greenlet.kill(block=False)

    def call_later(self, delay_s: float, function: Callable[[], None]) -> Callable[[], None]:
        """Call a function in a while; return what prevents it."""
        later = self._green.spawn_later(delay_s, function)
        return lambda: later.kill(block=False)

    def raise_later(self, delay_s: float, error: Exception) -> Callable[[], None]:
        """Raise an error in this greenlet in a while; return what prevents it."""
        prevent: Callable[[], None] = self._green.Timeout.start_new(delay_s, error).close
        return prevent


class EventletPool(GreenPool):
    """Greenlets of eventlet."""

    implementation = "celery.concurrency.eventlet:TaskPool"
    library = "eventlet"

    def spawn(self, function: Callable[..., None], *args: Any) -> Any:
        """Start a greenlet and return it."""
        return self._green.spawn(function, *args)

    def kill(self, greenlet: Any) -> None:
        """End a greenlet where it waits; returns without it having ended."""
        # Its own `kill` would switch there at once, and back only when the clean-up is done.
        self._green.spawn_after(0, greenlet.kill)

    def call_later(self, delay_s: float, function: Callable[[], None]) -> Callable[[], None]:
        """Call a function in a while; return what prevents it."""
        later = self._green.spawn_after(delay_s, function)
        return lambda: later.cancel()

    def raise_later(self, delay_s: float, error: Exception) -> Callable[[], None]:
        """Raise an error in this greenlet in a while; return what prevents it."""
        prevent: Callable[[], None] = self._green.Timeout(delay_s, error).cancel
        return prevent


class _GreenAlarm:
    """The soft limit of one run, by a timer of the library's."""

    is_of_process = False

    def __init__(
        self, limit_s: float | None, raise_later: Callable[[float, Exception], Callable[[], None]]
    ) -> None:
        self._limit_s = limit_s
        self._raise_later = raise_later
        self._prevent: Callable[[], None] | None = None

    def arm(self) -> None:
        """From here on user code runs; the limit starts to count."""
        if self._limit_s:
            self._prevent = self._raise_later(self._limit_s, SoftTimeLimitExceeded())

    def disarm(self) -> None:
        """User code has ended: nothing waits between here and the timer's end."""
        if self._prevent is not None:
            self._prevent()


class _Slot:
    """Jobs that run one after another. `left_count` are not told of yet."""

    __slots__ = ("is_active", "jobs", "left_count", "over_id")

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = deque(jobs)
        self.left_count = len(jobs)
        #: False when its last job has ended, also if nobody has been told yet.
        self.is_active = True
        #: The job whose end was told last.
        self.over_id = -1

    def is_over(self, job_id: int) -> bool:
        """True when the job's end was told."""
        return self.over_id == job_id

    def take_back(self) -> list[Job]:
        """Return the jobs not begun, which then never begin."""
        taken = list(self.jobs)
        self.jobs.clear()
        return taken


def load_library(name: str) -> Any:
    """Return gevent or eventlet. Raises: ImproperlyConfigured when it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImproperlyConfigured(
            f"-P {name} needs the package {name}: pip install 'tqconsole[{name}]'"
        ) from error

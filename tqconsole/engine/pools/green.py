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
from collections.abc import Callable, Sequence
from typing import Any

from tqconsole.engine import signals
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
    PoolNews,
    PoolOptions,
    Runner,
)
from tqconsole.engine.pools.places import Place, PlacesPool

logger = logging.getLogger(__name__)

#: Seconds between two looks whether all greenlets have ended, at a stop.
_LOOK_S = 0.01


class GreenPool(PlacesPool["_GreenPlace"]):
    """What both libraries have in common. Everything runs in one thread, and switches only where
    something waits.
    """

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
        super().__init__(slot_count, options, clock)
        self._green = load_library(self.library)
        self._runner = runner
        self._clock = clock
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

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have the jobs run in a greenlet. Raises: RuntimeError when there is no place."""
        place = _GreenPlace(jobs)
        self.occupy(place)
        self.spawn(self._run, place)

    def _run(self, place: _GreenPlace) -> None:
        if not place.jobs:
            place.is_active = False
            return
        job = place.jobs.popleft()
        # Each in a greenlet of its own: what kills it must not take the next one along.
        self._greenlets[job.job_id] = self.spawn(self._run_one, job, place)

    def _run_one(self, job: Job, place: _GreenPlace) -> None:
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
            if not place.is_over(job.job_id):
                place.over_id = job.job_id
                self._outbox.put(news)
            self.spawn(self._run, place)

    def _cut(self, job_id: int, *, by_limit: bool) -> None:
        """Kill a run and tell so at once: its clean-up may take its time."""
        greenlet, place = self._greenlets.pop(job_id, None), self._places.get(job_id)
        if greenlet is None or place is None:
            return
        place.over_id = job_id
        why = {"is_time_limit": by_limit, "is_terminated": not by_limit}
        self._outbox.put(JobLost(job_id, True, os.getpid(), None, None, **why))  # noqa: FBT003 - was_started
        self.kill(greenlet)

    def terminate(self, job_id: int, signal: int) -> bool:
        """Kill the greenlet of a job; False when it runs nowhere."""
        is_running = job_id in self._greenlets
        self._cut(job_id, by_limit=False)
        return is_running

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
        while any(place.is_active for place in self._busy):
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
    """Greenlets of eventlet. Its life is told by Celery's four signals of it."""

    implementation = "celery.concurrency.eventlet:TaskPool"
    library = "eventlet"

    def start(self) -> None:
        """See `Pool.start`."""
        super().start()
        signals.eventlet_pool_started.send(sender=self)

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `GreenPool.submit`."""
        if signals.eventlet_pool_apply.receivers:
            for job in jobs:
                signals.eventlet_pool_apply.send(
                    sender=self, target=self._runner, args=(job.payload,), kwargs={}
                )
        super().submit(jobs)

    def stop(self, grace_s: float | None) -> None:
        """See `Pool.stop`."""
        signals.eventlet_pool_preshutdown.send(sender=self)
        super().stop(grace_s)
        signals.eventlet_pool_postshutdown.send(sender=self)

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


class _GreenPlace(Place):
    __slots__ = ("is_active", "over_id")

    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__(jobs)
        #: False when its last job has ended, also if nobody has been told yet.
        self.is_active = True
        #: The job whose end was told last.
        self.over_id = -1

    def is_over(self, job_id: int) -> bool:
        """True when the job's end was told."""
        return self.over_id == job_id


def load_library(name: str) -> Any:
    """Return gevent or eventlet. Raises: ImproperlyConfigured when it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImproperlyConfigured(
            f"-P {name} needs the package {name}: pip install 'tqconsole[{name}]'"
        ) from error

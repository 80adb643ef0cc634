"""Slots that are coroutines of one event loop, in a thread of its own: for `async def` tasks.

Thousands of them cost no more than what they wait for. A coroutine can be cancelled, so there are
time limits and `terminate`; what does not await (a plain `def`) gets a thread for the time it
runs, and can neither be limited nor ended. All but the port's methods runs in the loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal as signals
import threading
from collections.abc import Sequence
from contextvars import copy_context
from functools import partial
from typing import Any

from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import NotSupportedError
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
from tqconsole.engine.pools.steering import Steering, set_steering

logger = logging.getLogger(__name__)

#: Seconds that cancelled coroutines have to clean up after themselves at a cold stop.
_CLEAN_UP_S = 1.0
#: How many run at once where nobody says.
_DEFAULT_SLOT_COUNT = 1000


class AsyncioPool(PlacesPool[Place]):
    """One loop, and as many coroutines in it as there are slots."""

    implementation = "tqconsole.engine.pools.coroutines:AsyncioPool"
    runs_coroutines = True
    default_slot_count = _DEFAULT_SLOT_COUNT

    def __init__(
        self,
        runner: Runner,
        slot_count: int = 1,
        options: PoolOptions | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """The loop is made by `start`. A plain callable as runner never awaits."""
        super().__init__(slot_count, options, clock)
        self._runner: Any = runner
        self._awaits = getattr(runner, "awaits", lambda _: False)
        self._runs: dict[int, _Run] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._turn, name="asyncio", daemon=True)

    # --- the port: the worker's thread --------------------------------------------------------

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have the jobs run, one after another. Raises: RuntimeError when there is no slot."""
        place = Place(jobs)
        self.occupy(place)
        self._loop.call_soon_threadsafe(self._next, place)

    def terminate(self, job_id: int, signal: int) -> bool:
        """Cancel the coroutine of a job; USR1 is its soft limit, as in a process.

        What runs in a thread goes on: False.
        """
        if job_id not in self._places:
            return False
        told: list[bool] = []
        is_told = threading.Event()

        def end() -> None:
            told.append(self._terminate(job_id, signal))
            is_told.set()

        self._loop.call_soon_threadsafe(end)
        is_told.wait(_CLEAN_UP_S)
        return bool(told and told[0])

    def restart(self) -> None:
        """Raise NotSupportedError."""
        raise NotSupportedError("coroutines have no processes to replace: use -P prefork")

    def info(self) -> dict[str, Any]:
        """Return the "pool" part of stats, in the shape of Celery's for threads."""
        return {
            "implementation": self.implementation,
            "max-concurrency": self._size,
            "coroutines": len(self._busy),
        }

    def stop(self, grace_s: float | None) -> None:
        """Wait for what runs, `grace_s` for all together; then cancel it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(
                lambda: self._loop.create_task(self._drain(grace_s), name="stop")
            )
            self._thread.join()

    # --- the loop's thread --------------------------------------------------------------------

    def _turn(self) -> None:
        asyncio.set_event_loop(self._loop)
        if self._options.on_child_start is not None:
            self._options.on_child_start()
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        if self._options.on_child_stop is not None:
            self._options.on_child_stop()
        self._loop.close()

    def _next(self, place: Place) -> None:
        """Begin a place's next job."""
        try:
            job = place.jobs.popleft()
        except IndexError:
            return
        steering = Steering()
        context = copy_context()
        context.run(set_steering, steering)
        is_awaited = self._awaits(job.payload)
        work = self._runner.run_awaited(job.payload) if is_awaited else self._in_thread(job.payload)
        steering.task = self._loop.create_task(work, context=context)
        run = self._runs[job.job_id] = _Run(job.job_id, steering, is_awaited=is_awaited)
        if is_awaited:
            self._limit(job, run)
        self._outbox.put(JobStarted(job.job_id, os.getpid(), self._outbox.clock.mono()))
        steering.task.add_done_callback(partial(self._ended, place, run))

    def _limit(self, job: Job, run: _Run) -> None:
        if job.soft_limit_s:
            run.timers.append(self._loop.call_later(job.soft_limit_s, run.steering.strike))
        if job.hard_limit_s:
            cut = partial(self._cut, run, is_time_limit=True)
            run.timers.append(self._loop.call_later(job.hard_limit_s, cut))

    def _ended(self, place: Place, run: _Run, task: asyncio.Task[Any]) -> None:
        for timer in run.timers:
            timer.cancel()
        if self._runs.pop(run.job_id, None) is not None:
            self._outbox.put(_end_of(run.job_id, task))
        elif not task.cancelled():
            task.exception()  # its loss was told when it was cut off; nobody else asks
        self._next(place)

    def _terminate(self, job_id: int, signal: int) -> bool:
        run = self._runs.get(job_id)
        if run is None or not run.is_awaited:
            return False
        if signal == signals.SIGUSR1:
            run.steering.strike()
        else:
            self._cut(run, is_terminated=True)
        return True

    def _cut(self, run: _Run, **why: bool) -> None:
        """Cancel a run and tell so at once: a coroutine may take its time to believe it."""
        if self._runs.pop(run.job_id, None) is not None and run.steering.task is not None:
            run.steering.task.cancel()
            self._outbox.put(
                JobLost(run.job_id, True, os.getpid(), None, None, **why)  # noqa: FBT003 - was_started
            )

    async def _in_thread(self, payload: Any) -> Any:
        """Run what does not await. The thread is a daemon: it cannot be ended, and must not keep
        the process from ending.
        """
        done: asyncio.Future[Any] = self._loop.create_future()

        def work() -> None:
            try:
                tell = partial(_resolve, done, self._runner(payload))
            except BaseException as error:  # noqa: BLE001 - told in the loop's thread
                tell = partial(_reject, done, error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
                self._loop.call_soon_threadsafe(tell)

        threading.Thread(target=work, name="asyncio-thread", daemon=True).start()
        return await done

    async def _drain(self, grace_s: float | None) -> None:
        me = asyncio.current_task()
        deadline = None if grace_s is None else self._loop.time() + grace_s
        while running := {task for task in asyncio.all_tasks() if task is not me} & self._tasks():
            left_s = None if deadline is None else max(0.0, deadline - self._loop.time())
            done, _ = await asyncio.wait(running, timeout=left_s)
            if not done:
                break
            await asyncio.sleep(0)  # what is next in a place begins now
        left = [task for task in asyncio.all_tasks() if task is not me]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CLEAN_UP_S)
        self._loop.stop()

    def _tasks(self) -> set[asyncio.Task[Any]]:
        return {run.steering.task for run in self._runs.values() if run.steering.task is not None}


class _Run:
    """A job that has begun."""

    __slots__ = ("is_awaited", "job_id", "steering", "timers")

    def __init__(self, job_id: int, steering: Steering, *, is_awaited: bool) -> None:
        self.job_id = job_id
        self.steering = steering
        self.is_awaited = is_awaited
        self.timers: list[asyncio.TimerHandle] = []


def _end_of(job_id: int, task: asyncio.Task[Any]) -> PoolNews:
    if task.cancelled():
        return JobLost(job_id, True, os.getpid(), None, None)  # noqa: FBT003 - was_started
    error = task.exception()
    if error is not None:  # a runner must not raise; the job is reported as lost
        logger.critical("The runner raised at job %s", job_id, exc_info=error)
        return JobLost(job_id, True, os.getpid(), None, None)  # noqa: FBT003 - was_started
    return JobEnded(job_id, task.result())


def _resolve(done: asyncio.Future[Any], outcome: Any) -> None:
    if not done.done():
        done.set_result(outcome)


def _reject(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))

"""What pools have in common whose slots are only counted: they come with a run and go with it.

Coroutines and greenlets. The worker's thread keeps the book of who is told of and who is not; what
runs shares its memory, and tells by the outbox.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from tqconsole.engine.clock import Clock
from tqconsole.engine.pools.base import Job, JobStarted, Pool, PoolNews, PoolOptions
from tqconsole.engine.pools.outbox import Outbox


class Place:
    """Jobs that run one after another. `left_count` of them are not told of yet."""

    __slots__ = ("jobs", "left_count")

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = deque(jobs)
        self.left_count = len(jobs)

    def take_back(self) -> list[int]:
        """Return the ids of those not begun, which then never begin: one `pop` decides, also
        between threads.
        """
        ids: list[int] = []
        with contextlib.suppress(IndexError):
            while True:
                ids.append(self.jobs.pop().job_id)
        return ids[::-1]


AnyPlace = TypeVar("AnyPlace", bound=Place)


class PlacesPool(Pool, Generic[AnyPlace]):
    """A number of places, and who has one."""

    can_terminate = True
    can_limit_time = True
    can_resize = True
    shares_memory = True

    def __init__(self, slot_count: int, options: PoolOptions | None, clock: Clock) -> None:
        """Nothing runs before `start`."""
        self._size = max(1, slot_count)
        self._options = options or PoolOptions()
        self._outbox = Outbox(clock)
        #: Job id -> place, of all that are not told of yet.
        self._places: dict[int, AnyPlace] = {}
        self._busy: set[AnyPlace] = set()

    @property
    def slot_count(self) -> int:
        """How many jobs may run at once."""
        return self._size

    def free_slots(self) -> int:
        """How many more may begin."""
        return max(0, self._size - len(self._busy))

    def occupy(self, place: AnyPlace) -> None:
        """Write a place and its jobs into the book. Raises: RuntimeError when there is none."""
        if len(self._busy) >= self._size:
            raise RuntimeError("no free slot")
        self._busy.add(place)
        for job in place.jobs:
            self._places[job.job_id] = place

    def poll(self) -> list[PoolNews]:
        """Return what was told; never blocks."""
        news = self._outbox.take()
        for item in news:
            if not isinstance(item, JobStarted):
                self._leave(item.job_id)
        return news

    def withdraw(self) -> list[int]:
        """Take back what has not begun."""
        taken: list[int] = []
        for place in [place for place in self._busy if place.left_count > 1]:
            taken += place.take_back()
        for job_id in taken:
            self._leave(job_id)
        return taken

    def _leave(self, job_id: int) -> None:
        place = self._places.pop(job_id)
        place.left_count -= 1
        if not place.left_count:
            self._busy.discard(place)

    def filenos(self) -> list[int]:
        """Return the bell of the news."""
        return [self._outbox.fileno()]

    def next_deadline_mono(self) -> float | None:
        """Return None: whoever runs them has timers of its own."""
        return None

    def grow(self, count: int) -> None:
        """Let more run."""
        self._size += count

    def shrink(self, count: int) -> None:
        """Let fewer begin; one at least."""
        self._size = max(1, self._size - count)

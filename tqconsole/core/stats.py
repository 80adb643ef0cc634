"""Rates and run times over time: how many tasks ended how, a second, altogether and by type.

Seconds are counted by this console's clock at arrival: other hosts' clocks may be wrong. Owned by
the UI's thread, like the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import ceil, isnan, nan
from typing import TypeVar

from tqconsole.core.error_groups import ErrorGroups
from tqconsole.core.sketch import RecentSketch, Sketch, bucket_of, merged
from tqconsole.core.type_views import TypeView
from tqconsole.core.views import Charts

#: Seconds the charts go back.
CHART_S = 600
#: Seconds over which the "now" rates are means.
RATE_S = 10
#: Seconds whose run times make one point of the quantile charts.
QUANTILE_S = 10
#: Seconds of one column in the small histories of types, and how many there are.
COLUMN_S, COLUMN_COUNT = 2, 300
#: Task types and queues kept; names are a stranger's to make up.
NAME_LIMIT = 2000
#: Seconds over which a type's failure ratio and quantiles reach at least.
TYPE_WINDOW_S = 300

_RATIOS = (0.5, 0.95, 0.99)


class Ring:
    """Sums of `width_s` seconds each, the last `count` of them.

    `empty` is what a cell holds before anything came: 0 for counts, `nan` for what is measured.
    """

    __slots__ = ("_at", "_cells", "_count", "_empty", "_width_s")

    def __init__(self, count: int, width_s: int = 1, *, empty: float = 0.0) -> None:
        self._count = count
        self._width_s = width_s
        self._empty = empty
        self._cells = [empty] * count
        self._at = 0

    def add(self, now_at: float, value: float = 1.0) -> None:
        """Add to the present cell."""
        cell = int(now_at // self._width_s)
        # Nearly always the same as the last time, ten thousand times a second.
        at = self._at % self._count if cell == self._at else self._turn(now_at)
        self._cells[at] += value

    def put(self, now_at: float, value: float) -> None:
        """Set the present cell."""
        self._cells[self._turn(now_at)] = value

    def values(self, now_at: float) -> tuple[float, ...]:
        """Return all cells, oldest first, the present one last."""
        at = self._turn(now_at) + 1
        return tuple(self._cells[at:] + self._cells[:at])

    def rate(self, now_at: float, cells: int) -> float:
        """Return the sum per second of the last `cells` whole cells."""
        return sum(self.values(now_at)[-cells - 1 : -1]) / (cells * self._width_s)

    def total(self, now_at: float, cells: int) -> float:
        """Return the sum of the last `cells`, the present one included."""
        return sum(self.values(now_at)[-cells:])

    def _turn(self, now_at: float) -> int:
        """Empty what has come round; a clock that steps back goes on in the newest cell."""
        cell = int(now_at // self._width_s)
        if cell > self._at:
            for number in range(max(self._at + 1, cell - self._count + 1), cell + 1):
                self._cells[number % self._count] = self._empty
            self._at = cell
        return self._at % self._count


class Runs:
    """Runs of one type that ended together, as what they add to the counts."""

    __slots__ = ("count", "failed_count", "runtime_buckets", "wait_buckets")

    def __init__(self) -> None:
        self.count = 0
        self.failed_count = 0
        #: Where the run times and the waits that are known belong in a sketch.
        self.runtime_buckets: list[int] = []
        self.wait_buckets: list[int] = []

    def add(self, runtime_s: float | None, wait_s: float | None, *, is_failure: bool) -> None:
        """Add one run; None where a time is not known."""
        self.count += 1
        self.failed_count += is_failure
        if runtime_s is not None:
            self.runtime_buckets.append(bucket_of(runtime_s))
        if wait_s is not None:
            self.wait_buckets.append(bucket_of(wait_s))


class TypeStats:
    """What is counted of one task type."""

    __slots__ = ("_done", "_failed", "_times", "_waits", "count", "errors", "name", "retried_count")

    def __init__(self, name: str, now_at: float) -> None:
        self.name = name
        self.count = 0
        self.retried_count = 0
        self.errors = ErrorGroups()
        self._done = Ring(COLUMN_COUNT, COLUMN_S)
        self._failed = Ring(COLUMN_COUNT, COLUMN_S)
        self._times = RecentSketch(now_at, TYPE_WINDOW_S)
        self._waits = RecentSketch(now_at, TYPE_WINDOW_S)

    def note_runs(self, now_at: float, runs: Runs) -> None:
        """Count runs that ended."""
        self.count += runs.count
        self._done.add(now_at, runs.count)
        self._failed.add(now_at, runs.failed_count)
        self._times.add_to(now_at, runs.runtime_buckets)
        self._waits.add_to(now_at, runs.wait_buckets)

    def recent(self, now_at: float) -> tuple[float, float]:
        """Return how many ended and how many failed within the window."""
        cells = TYPE_WINDOW_S // COLUMN_S
        return self._done.total(now_at, cells), self._failed.total(now_at, cells)

    def quantiles(self) -> tuple[float | None, ...]:
        """Return p50, p95 and p99 of the run times of the window, in seconds."""
        return self._times.quantiles(_RATIOS)

    def sample_count(self) -> int:
        """Return how many run times the quantiles stand on."""
        return self._times.count

    def view(self, now_at: float, column_count: int) -> TypeView:
        """Return what the screens show; `column_count` columns of the history are known whole."""
        done, failed = self.recent(now_at)
        p50_s, p95_s, p99_s = self.quantiles()
        wait_p50_s, wait_p95_s = self._waits.quantiles(_RATIOS[:2])
        return TypeView(
            name=self.name,
            rate_per_s=self._done.rate(now_at, max(1, min(RATE_S // COLUMN_S, column_count))),
            count=self.count,
            failed_ratio=failed / done if done else 0.0,
            retried_count=self.retried_count,
            wait_p50_s=wait_p50_s,
            wait_p95_s=wait_p95_s,
            p50_s=p50_s,
            p95_s=p95_s,
            p99_s=p99_s,
            history=newest(self._done.values(now_at)[:-1], column_count),
            errors=self.errors.views(),
        )


class Stats:
    """All counts. `tick` once a second keeps the charts going."""

    def __init__(self, now_at: float) -> None:
        self.types: OrderedDict[str, TypeStats] = OrderedDict()
        self._done = Ring(CHART_S)
        self._failed = Ring(CHART_S)
        self._retried = Ring(CHART_S)
        self._events = Ring(RATE_S + 1)
        self._quantiles = tuple(Ring(CHART_S, empty=nan) for _ in _RATIOS)
        self._seconds = [Sketch() for _ in range(QUANTILE_S)]
        self._second_at = int(now_at)
        #: Since when this console hears of everything; None: it has not begun to listen.
        self._known_since_at: float | None = None
        self._p99: dict[str, float | None] = {}

    def begin(self, now_at: float) -> None:
        """Say that from now on everything is heard: what was before is not known, and not 0."""
        if self._known_since_at is None:
            self._known_since_at = now_at

    def note_events(self, now_at: float, count: int) -> None:
        """Count raw events."""
        self.begin(now_at)
        self._events.add(now_at, count)

    def note_end(
        self,
        now_at: float,
        name: str,
        runtime_s: float | None,
        *,
        wait_s: float | None = None,
        is_failure: bool,
    ) -> None:
        """Count a run that succeeded or failed."""
        runs = Runs()
        runs.add(runtime_s, wait_s, is_failure=is_failure)
        self.note_runs(now_at, name, runs)

    def note_runs(self, now_at: float, name: str, runs: Runs) -> None:
        """Count runs of one type that ended together."""
        self.tick(now_at)
        self._done.add(now_at, runs.count - runs.failed_count)
        self._failed.add(now_at, runs.failed_count)
        self._seconds[self._second_at % QUANTILE_S].add_to(runs.runtime_buckets)
        if name:
            self._type(name, now_at).note_runs(now_at, runs)

    def note_retry(self, now_at: float, name: str) -> None:
        """Count a retry."""
        self._retried.add(now_at)
        if name:
            self._type(name, now_at).retried_count += 1

    def note_error(self, now_at: float, name: str, text: str, task_id: str) -> None:
        """Count an exception under its type and class."""
        if name:
            self._type(name, now_at).errors.note(text, task_id, now_at)

    def tick(self, now_at: float) -> None:
        """Begin a new second when one is due."""
        second = int(now_at)
        if second <= self._second_at:
            return
        for ring, value in zip(
            self._quantiles, merged(self._seconds).quantiles(_RATIOS), strict=True
        ):
            ring.put(self._second_at, nan if value is None else value)
        for number in range(max(self._second_at + 1, second - QUANTILE_S + 1), second + 1):
            self._seconds[number % QUANTILE_S] = Sketch()
        self._second_at = second
        self._p99.clear()

    def events_per_s(self, now_at: float) -> float:
        """Return the rate of raw events."""
        return self._mean(self._events, now_at)

    def rates(self, now_at: float) -> tuple[float, float, float]:
        """Return succeeded, failed and retried per second, now."""
        return (
            self._mean(self._done, now_at),
            self._mean(self._failed, now_at),
            self._mean(self._retried, now_at),
        )

    def p95_s(self) -> float | None:
        """Return the p95 of the run times of the last seconds."""
        return merged(self._seconds).quantiles((0.95,))[0]

    def p99_of(self, name: str) -> float | None:
        """Return a type's p99, remembered for the present second; None while it is guesswork."""
        if name not in self._p99:
            found = self.types.get(name)
            is_known = found is not None and found.sample_count() >= 20
            self._p99[name] = found.quantiles()[2] if found is not None and is_known else None
        return self._p99[name]

    def columns(self, now_at: float) -> int:
        """Return how many columns of the small histories are known whole."""
        if self._known_since_at is None:
            return 0
        return max(0, int(now_at) // COLUMN_S - ceil(self._known_since_at / COLUMN_S))

    def charts(self, now_at: float) -> Charts:
        """Return the series up to the last whole second, from where knowledge begins."""
        since_at = self._known_since_at
        count = 0 if since_at is None else max(0, int(now_at) - ceil(since_at))
        p50, p95, p99 = (_measured(ring.values(now_at - 1), count) for ring in self._quantiles)
        return Charts(
            done_per_s=newest(self._done.values(now_at)[:-1], count),
            failed_per_s=newest(self._failed.values(now_at)[:-1], count),
            retries_per_s=newest(self._retried.values(now_at)[:-1], count),
            p50_s=p50,
            p95_s=p95,
            p99_s=p99,
        )

    def _type(self, name: str, now_at: float) -> TypeStats:
        known = self.types.get(name)
        if known is None:
            return named(self.types, name, lambda: TypeStats(name, now_at))
        self.types.move_to_end(name)
        return known

    def _mean(self, ring: Ring, now_at: float) -> float:
        since_at = now_at if self._known_since_at is None else self._known_since_at
        return ring.rate(now_at, int(min(RATE_S, max(1.0, now_at - since_at))))


def newest(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    """Return the last `count` values."""
    return values[max(0, len(values) - count) :]


def _measured(values: tuple[float, ...], count: int) -> tuple[float | None, ...]:
    """Return the last values of the charts' length, None where nothing was measured."""
    return tuple(None if isnan(value) else value for value in newest(values[1:], count))


Kept = TypeVar("Kept")


def named(table: OrderedDict[str, Kept], name: str, make: Callable[[], Kept]) -> Kept:
    """Return the entry of `name`, a new one when there is none; the longest unused one goes."""
    entry = table.get(name)
    if entry is None:
        entry = table[name] = make()
        if len(table) > NAME_LIMIT:
            table.popitem(last=False)
    else:
        table.move_to_end(name)
    return entry

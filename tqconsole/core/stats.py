"""Rates and run times over time: how many tasks ended how, a second, altogether and by type.

Seconds are counted by this console's clock at arrival: other hosts' clocks may be wrong. Owned by
the UI's thread, like the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from tqconsole.core.sketch import Sketch, merged
from tqconsole.core.views import Charts, TypeView

#: Seconds the charts go back.
CHART_S = 600
#: Seconds over which the "now" rates are means.
RATE_S = 10
#: Seconds whose run times make one point of the quantile charts.
QUANTILE_S = 10
#: Seconds of one column in the small histories of types and queues, and how many there are.
COLUMN_S, COLUMN_COUNT = 10, 60
#: Task types and queues kept; names are a stranger's to make up.
NAME_LIMIT = 2000
#: Seconds over which a type's failure ratio and quantiles reach at least.
TYPE_WINDOW_S = 300

_RATIOS = (0.5, 0.95, 0.99)


class Ring:
    """Sums of `width_s` seconds each, the last `count` of them."""

    __slots__ = ("_at", "_cells", "_count", "_width_s")

    def __init__(self, count: int, width_s: int = 1) -> None:
        self._count = count
        self._width_s = width_s
        self._cells = [0.0] * count
        self._at = 0

    def add(self, now_at: float, value: float = 1.0) -> None:
        """Add to the present cell."""
        self._cells[self._turn(now_at)] += value

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
                self._cells[number % self._count] = 0.0
            self._at = cell
        return self._at % self._count


class TypeStats:
    """What is counted of one task type."""

    __slots__ = ("_done", "_failed", "_older", "_since_at", "_times", "count", "name")

    def __init__(self, name: str, now_at: float) -> None:
        self.name = name
        self.count = 0
        self._done = Ring(COLUMN_COUNT, COLUMN_S)
        self._failed = Ring(COLUMN_COUNT, COLUMN_S)
        self._times = Sketch()
        self._older = Sketch()
        self._since_at = now_at

    def note_end(self, now_at: float, runtime_s: float | None, *, is_failure: bool) -> None:
        """Count a run that ended."""
        self.count += 1
        self._done.add(now_at)
        if is_failure:
            self._failed.add(now_at)
        if now_at - self._since_at > TYPE_WINDOW_S:
            self._older, self._times, self._since_at = self._times, Sketch(), now_at
        if runtime_s is not None:
            self._times.add(runtime_s)

    def recent(self, now_at: float) -> tuple[float, float]:
        """Return how many ended and how many failed within the window."""
        cells = TYPE_WINDOW_S // COLUMN_S
        return self._done.total(now_at, cells), self._failed.total(now_at, cells)

    def quantiles(self) -> tuple[float | None, ...]:
        """Return p50, p95 and p99 of the window, in seconds."""
        return merged((self._older, self._times)).quantiles(_RATIOS)

    def sample_count(self) -> int:
        """Return how many run times the quantiles stand on."""
        return self._older.count + self._times.count

    def view(self, now_at: float) -> TypeView:
        """Return what the screens show."""
        done, failed = self.recent(now_at)
        p50_s, p95_s, p99_s = self.quantiles()
        return TypeView(
            name=self.name,
            rate_per_s=self._done.rate(now_at, 1),
            count=self.count,
            failed_ratio=failed / done if done else 0.0,
            p50_s=p50_s,
            p95_s=p95_s,
            p99_s=p99_s,
            history=self._done.values(now_at),
        )


class Stats:
    """All counts. `tick` once a second keeps the charts going."""

    def __init__(self, now_at: float) -> None:
        self.types: OrderedDict[str, TypeStats] = OrderedDict()
        self._done = Ring(CHART_S)
        self._failed = Ring(CHART_S)
        self._retried = Ring(CHART_S)
        self._events = Ring(RATE_S + 1)
        self._quantiles = tuple(Ring(CHART_S) for _ in _RATIOS)
        self._seconds = [Sketch() for _ in range(QUANTILE_S)]
        self._second_at = int(now_at)
        self._started_at = now_at
        self._p99: dict[str, float | None] = {}

    def note_events(self, now_at: float, count: int) -> None:
        """Count raw events."""
        self._events.add(now_at, count)

    def note_end(
        self, now_at: float, name: str, runtime_s: float | None, *, is_failure: bool
    ) -> None:
        """Count a run that succeeded or failed."""
        self.tick(now_at)
        (self._failed if is_failure else self._done).add(now_at)
        if runtime_s is not None:
            self._seconds[self._second_at % QUANTILE_S].add(runtime_s)
        if name:
            named(self.types, name, lambda: TypeStats(name, now_at)).note_end(
                now_at, runtime_s, is_failure=is_failure
            )

    def note_retry(self, now_at: float) -> None:
        """Count a retry."""
        self._retried.add(now_at)

    def tick(self, now_at: float) -> bool:
        """Begin a new second when one is due; returns whether it did."""
        second = int(now_at)
        if second <= self._second_at:
            return False
        for ring, value in zip(
            self._quantiles, merged(self._seconds).quantiles(_RATIOS), strict=True
        ):
            ring.put(self._second_at, value or 0.0)
        for number in range(max(self._second_at + 1, second - QUANTILE_S + 1), second + 1):
            self._seconds[number % QUANTILE_S] = Sketch()
        self._second_at = second
        self._p99.clear()
        return True

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

    def charts(self, now_at: float) -> Charts:
        """Return the series up to the last whole second."""
        last_at = now_at - 1
        p50, p95, p99 = (ring.values(last_at) for ring in self._quantiles)
        return Charts(
            done_per_s=self._done.values(now_at)[:-1],
            failed_per_s=self._failed.values(now_at)[:-1],
            retries_per_s=self._retried.values(now_at)[:-1],
            p50_s=p50[1:],
            p95_s=p95[1:],
            p99_s=p99[1:],
        )

    def _mean(self, ring: Ring, now_at: float) -> float:
        seconds = int(min(RATE_S, max(1.0, now_at - self._started_at)))
        return ring.rate(now_at, seconds)


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

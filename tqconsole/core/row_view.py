"""A filtered, sorted, live view on the store's rows: what the tasks table scrolls over.

In order of age (the usual one) it is kept up to date row by row. In any other order it is made
anew, but not sooner than a multiple of what that cost the last time: between two renewals rows
are live, only their places are a moment old. Rows that the store let go leave at once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from math import inf
from operator import attrgetter

from tqconsole.core.filter import Filter
from tqconsole.core.sorting import SORT_KEYS, sort_rows
from tqconsole.core.store import EVICTED, Store
from tqconsole.core.views import TaskRow
from tqconsole.engine.clock import Clock

#: A renewal that took d seconds is followed by at least this many d without one.
REST_FACTOR = 8.0
#: Seconds between two renewals of a view whose filter asks the time.
TIMED_S = 1.0

_sequence = attrgetter("sequence")


class RowView:
    """Implements `views.TaskList`. Owned by the UI's thread."""

    def __init__(
        self, store: Store, filter_: Filter, sort_key: str, *, is_descending: bool, clock: Clock
    ) -> None:
        if sort_key not in SORT_KEYS:
            raise ValueError(f"no such sort key: {sort_key!r}; there are {', '.join(SORT_KEYS)}")
        self._store = store
        self._filter = filter_
        self._sort_key = sort_key
        self._clock = clock
        self._is_by_age = sort_key == "age"
        #: By age the list is kept oldest first and read from its end: a new row is appended.
        self._is_reversed = self._is_by_age and not is_descending
        self._is_descending = is_descending
        self._rows: list[TaskRow] = []
        self._is_stale = False
        self._renewed_mono = 0.0
        self._rest_s = 0.0
        self._generation = store.generation
        self.renew()

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[TaskRow]:
        return reversed(self._rows) if self._is_reversed else iter(self._rows)

    def row(self, index: int) -> TaskRow:
        """Return the row at `index`. Raises: IndexError, also below 0."""
        if index < 0:
            raise IndexError(index)
        if self._is_reversed:
            index = len(self._rows) - 1 - index
            if index < 0:
                raise IndexError(index)
        return self._rows[index]

    def index_of(self, task_id: str) -> int | None:
        """Return where a row stands now, None when it is not in this view."""
        row = self._store.get(task_id)
        if row is None:
            return None
        at = self._find(row)
        if at is None:
            return None
        return len(self._rows) - 1 - at if self._is_reversed else at

    def renew(self) -> None:
        """Filter and sort everything anew."""
        began_mono = self._clock.mono()
        rows = self._store.rows()
        if not self._filter.is_everything:
            rows = self._filter.select(rows)
        if not self._is_by_age:
            # Newest first among equals, as the table of ages has it.
            rows.reverse()
            rows = sort_rows(rows, self._sort_key, is_descending=self._is_descending)
        self._rows = rows
        self._is_stale = False
        self._generation = self._store.generation
        self._renewed_mono = self._clock.mono()
        self._rest_s = (self._renewed_mono - began_mono) * REST_FACTOR

    def update(self, changed: Iterable[TaskRow], *, has_evicted: bool) -> None:
        """Take note of rows that changed since the last call."""
        if self._generation != self._store.generation:
            self.renew()
            return
        if has_evicted:
            self._let_go()
        if self._is_by_age:
            self._place(changed)
        else:
            self._is_stale = self._is_stale or any(True for _ in changed)
        rested_s = self._clock.mono() - self._renewed_mono
        is_due = self._filter.is_timed and rested_s >= TIMED_S
        if is_due or (self._is_stale and rested_s >= self._rest_s):
            self.renew()

    def _let_go(self) -> None:
        """Take out what the store let go: by age that is at the old end."""
        rows = self._rows
        if not self._is_by_age:
            self._rows = [row for row in rows if row.revision != EVICTED]
            return
        end = bisect_right(rows, self._store.evicted_to, key=_sequence)
        rows[:end] = [row for row in rows[:end] if row.revision != EVICTED]

    def _place(self, changed: Iterable[TaskRow]) -> None:
        """Put rows in or out where the filter says so; their order never changes."""
        rows, matches = self._rows, self._filter.matches
        if self._filter.is_everything:
            # What is not newer than the newest here is here.
            newest = rows[-1].sequence if rows else -inf
            fresh = [row for row in changed if row.sequence > newest and row.revision != EVICTED]
            rows += sorted(fresh, key=_sequence)
            return
        for row in sorted(changed, key=_sequence):
            if matches(row) and row.revision != EVICTED:
                if not rows or rows[-1].sequence < row.sequence:
                    rows.append(row)
                elif self._find(row) is None:
                    insort(rows, row, key=_sequence)
            else:
                at = self._find(row)
                if at is not None:
                    del rows[at]

    def _find(self, row: TaskRow) -> int | None:
        if self._is_by_age:
            at = bisect_left(self._rows, row.sequence, key=_sequence)
            return at if at < len(self._rows) and self._rows[at] is row else None
        try:
            return self._rows.index(row)
        except ValueError:
            return None

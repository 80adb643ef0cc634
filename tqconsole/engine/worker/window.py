"""How much to fetch and how much to hand over at once, from what was measured a moment ago.

Fetching: what ran in the last 10 ms, never less than prefetch multiplier x slots, at most a few
hundred (performance.md §6: a window of 4 gives away more than half of the rate, 1,000 is slower
than 100). It falls by half in 10 ms: a worker that got no processor for a moment goes on as before.
Handing over: as many tasks as are expected to start within the next millisecond, which
is one for every task of a millisecond or more, so that no task waits behind a slow one.
"""

from __future__ import annotations

from collections import deque

#: Deliveries in hand at most, unless multiplier x slots is more.
MAX_WINDOW = 200
#: Seconds looked back for what ran.
_LOOK_BACK_S = 0.010
#: Seconds of work in one batch: the unit of every promise of early ack (design §3).
BATCH_S = 0.001
#: Jobs in one batch at most: each one more is one more that a death can touch, and each batch costs
#: this process and a child a turn. Of tasks that take no time these are half a millisecond.
MAX_BATCH = 20
#: Jobs that a slot has at most: of short tasks, a batch that it runs and one behind it, which lets
#: it go on while this process sees to the first.
MAX_HANDED = 2 * MAX_BATCH
#: The same where one slot is all there is (solo), which has them in one batch: a millisecond of
#: tasks that take no time. Half as many would cost a fifth of the no-op rate.
MAX_INLINE_BATCH = MAX_HANDED
#: Seconds a run costs beside the task's own time: decoding, request, encoding the outcome.
_OVERHEAD_S = 0.000_025


class Window:
    """How many deliveries may be in hand."""

    __slots__ = ("_ended", "_ended_count", "_multiplier", "_size", "_sized_mono")

    def __init__(self, prefetch_multiplier: int) -> None:
        self._multiplier = prefetch_multiplier
        self._ended: deque[list[float]] = deque()
        self._ended_count = 0
        #: How many were fit, and when that was.
        self._size = 0.0
        self._sized_mono = 0.0

    def note_ended(self, count: int, now_mono: float) -> None:
        """Count runs that just ended."""
        ended = self._ended
        if ended and ended[-1][0] == now_mono:
            ended[-1][1] += count
        else:
            ended.append([now_mono, count])
        self._ended_count += count

    def size(self, slot_count: int, now_mono: float) -> int:
        """Return the window now. A multiplier of 0 means "no limit of the user's": the cap."""
        ended = self._ended
        while ended and ended[0][0] < now_mono - _LOOK_BACK_S:
            self._ended_count -= int(ended.popleft()[1])
        if self._multiplier == 0:
            return max(MAX_WINDOW, slot_count)
        faded = self._size * 0.5 ** ((now_mono - self._sized_mono) / _LOOK_BACK_S)
        self._size, self._sized_mono = max(faded, min(self._ended_count, MAX_WINDOW)), now_mono
        return max(self._multiplier * slot_count, int(self._size))


class RunTimes:
    """What a run of each task name costs, as seen lately."""

    __slots__ = ("_means_s",)

    def __init__(self) -> None:
        self._means_s: dict[str, float] = {}

    def note(self, task_name: str, runtime_s: float) -> None:
        """Take note of one run: a slow one counts at once, a fast one slowly, since the mistake of
        putting tasks behind a slow one is the dearer one.
        """
        mean_s = self._means_s.get(task_name)
        if mean_s is None:
            self._means_s[task_name] = runtime_s
        elif runtime_s > mean_s:
            self._means_s[task_name] = mean_s + (runtime_s - mean_s) * 0.5
        else:
            self._means_s[task_name] = mean_s + (runtime_s - mean_s) * 0.1

    def cost_s(self, task_name: str) -> float:
        """Return what one run is expected to cost; a whole batch's worth when nothing is known."""
        mean_s = self._means_s.get(task_name)
        return BATCH_S if mean_s is None else mean_s + _OVERHEAD_S

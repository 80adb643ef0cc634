"""The queues as the console knows them: how deep, how fast in and out, who consumes.

Depths come from the broker, rates from events where they tell the queue, else from the change of
the depth. What is not known stays None. Owned by the UI's thread.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from math import isnan, nan
from typing import Any

from tqconsole.core.sanitize import clean_name
from tqconsole.core.stats import RATE_S, Ring, named
from tqconsole.core.views import QueueView
from tqconsole.engine.protocol.transfer import QueueDepth

#: Seconds of one column in the history of depths, and how many there are.
COLUMN_S, COLUMN_COUNT = 10, 60
#: Seconds of depth samples that a trend stands on.
TREND_S = 60.0
#: Messages a second below which a queue counts as standing still.
STILL_PER_S = 0.05
#: Seconds of waiting that are no backlog: a busy queue is never quite empty.
BRIEF_S = 10.0
#: Seconds after which a depth that could not be asked again is no longer shown, and what workers
#: said they hold.
DEPTH_AGE_S, HELD_AGE_S = 60.0, 40.0


class Queue:
    """One queue."""

    __slots__ = (
        "_head",
        "_incoming",
        "_outgoing",
        "_ready",
        "_samples",
        "_told_since_at",
        "dead_count",
        "depth",
        "depth_at",
        "has_incoming",
        "has_outgoing",
        "held",
        "name",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.depth: QueueDepth | None = None
        self.depth_at = 0.0
        self.dead_count: int | None = None
        #: Unacknowledged by the workers' own word, and when they said so.
        self.held: tuple[int, float] | None = None
        self.has_incoming = False
        self.has_outgoing = False
        self._incoming = Ring(RATE_S + 1)
        self._outgoing = Ring(RATE_S + 1)
        #: When the first event told of this queue: rates reach back no further.
        self._told_since_at: float | None = None
        self._ready = Ring(COLUMN_COUNT, COLUMN_S, empty=nan)
        self._samples: deque[tuple[float, int]] = deque(maxlen=64)
        #: The next message: its id, since when it waits, and whether that is when it was sent.
        self._head: tuple[str, float, bool] | None = None

    def note_depth(self, depth: QueueDepth, now_at: float) -> None:
        """Take in a depth."""
        self.depth = depth
        self.depth_at = now_at
        if depth.dead_count is not None:
            self.dead_count = depth.dead_count
        if depth.ready_count is not None:
            self._ready.put(now_at, depth.ready_count)
            self._samples.append((now_at, depth.ready_count))
            while self._samples and now_at - self._samples[0][0] > TREND_S:
                self._samples.popleft()

    def note_head(self, task_id: str, sent_at: float | None, now_at: float) -> None:
        """Take in which message is the next, and when it was sent where that is known."""
        if sent_at is not None:
            self._head = (task_id, sent_at, True)
        elif self._head is None or self._head[0] != task_id:
            self._head = (task_id, now_at, False)

    def note_sent(self, now_at: float, count: int) -> None:
        """Count calls sent into it."""
        self.has_incoming = True
        self._note_told(now_at)
        self._incoming.add(now_at, count)

    def note_taken(self, now_at: float, count: int) -> None:
        """Count messages that workers received from it."""
        self.has_outgoing = True
        self._note_told(now_at)
        self._outgoing.add(now_at, count)

    def trend_per_s(self) -> float | None:
        """Return how fast the ready messages grow (less than 0: shrink), None without samples."""
        if len(self._samples) < 2:
            return None
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_at - first_at) if last_at - first_at >= 1.0 else None

    def ready_count(self, now_at: float) -> int | None:
        """Return how many wait, None when that was not told lately."""
        return self._fresh(now_at).ready_count

    def view(self, now_at: float, consumer_count: int | None) -> QueueView:
        """Return what the screens show; `consumer_count` counts those the workers told of."""
        depth = self._fresh(now_at)
        trend = self.trend_per_s()
        out_per_s = self._rate(self._outgoing, now_at) if self.has_outgoing else None
        drains_in_s = _drains_in_s(depth.ready_count, trend, out_per_s or 0.0)
        in_per_s = self._rate(self._incoming, now_at) if self.has_incoming else None
        if in_per_s is None and out_per_s is not None and trend is not None:
            in_per_s = max(0.0, out_per_s + trend)
        if out_per_s is None and in_per_s is not None and trend is not None:
            out_per_s = max(0.0, in_per_s - trend)
        told = depth.consumer_count
        unacked_count, is_told_by_workers = self._unacked(depth, now_at)
        oldest_at, is_least = self._oldest(depth)
        return QueueView(
            name=self.name,
            ready_count=depth.ready_count,
            unacked_count=unacked_count,
            is_unacked_told=is_told_by_workers,
            parked_count=depth.parked_count,
            dead_count=self.dead_count,
            consumer_count=told if told is not None else consumer_count,
            by_priority=depth.by_priority,
            in_per_s=in_per_s,
            out_per_s=out_per_s,
            oldest_s=None if oldest_at is None else max(0.0, now_at - oldest_at),
            is_oldest_least=is_least,
            drains_in_s=drains_in_s,
            history=_held(self._ready.values(now_at)),
        )

    def _unacked(self, depth: QueueDepth, now_at: float) -> tuple[int | None, bool]:
        """Return what is in hand, and whether that is only what the workers say."""
        if depth.unacked_count is not None:
            return depth.unacked_count, False
        if self.held is None or now_at - self.held[1] > HELD_AGE_S:
            return None, False
        return self.held[0], True

    def _fresh(self, now_at: float) -> QueueDepth:
        """Return the depth told lately; one of which nothing is known when that is too long ago."""
        if self.depth is None or now_at - self.depth_at > DEPTH_AGE_S:
            return QueueDepth(None)
        return self.depth

    def _oldest(self, depth: QueueDepth) -> tuple[float | None, bool]:
        """Return since when the oldest message waits, and whether it may be longer."""
        if depth.oldest_at is not None or self._head is None or not depth.ready_count:
            return depth.oldest_at, False
        return self._head[1], not self._head[2]

    def _note_told(self, now_at: float) -> None:
        if self._told_since_at is None:
            self._told_since_at = now_at

    def _rate(self, ring: Ring, now_at: float) -> float:
        since_at = now_at if self._told_since_at is None else self._told_since_at
        return ring.rate(now_at, int(min(RATE_S, max(1.0, now_at - since_at))))


def _drains_in_s(ready: int | None, trend: float | None, out_per_s: float) -> float | None:
    """Return in how many seconds it is empty at this pace; inf when never, None unknown."""
    if ready == 0:
        return 0.0
    if ready is None or trend is None:
        return None
    if ready < out_per_s * BRIEF_S:
        return ready / out_per_s
    return ready / -trend if trend < -STILL_PER_S else float("inf")


def _held(values: tuple[float, ...]) -> tuple[float, ...]:
    """Return a depth's history from its first sample; between two the earlier one holds."""
    told = tuple([value for value in values if not isnan(value)])
    if not told or not isnan(sum(values[-len(told) :])):
        # Nearly always, for a thousand queues a second: no sample has failed to come.
        return told
    held: list[float] = []
    for value in values:
        if not isnan(value):
            held.append(value)
        elif held:
            held.append(held[-1])
    return tuple(held)


class Queues:
    """All queues by name, whoever told of them."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, Queue] = OrderedDict()
        #: Ids that workers hold unacknowledged, by queue, while they are being asked.
        self._holding: dict[str, set[str]] = {}
        #: In hand of all queues together, where the broker tells no more; None: it does not.
        self.unacked_count: int | None = None

    def __iter__(self) -> Iterator[Queue]:
        return iter(self._queues.values())

    def queue(self, name: str) -> Queue:
        """Return a queue, a new one when it was not known."""
        known = self._queues.get(name)
        if known is not None:
            # The keys are clean: a name that is one of them need not be looked at.
            self._queues.move_to_end(name)
            return known
        name = clean_name(name)
        return named(self._queues, name, lambda: Queue(name))

    def note_holding(self, requests: Iterable[Mapping[str, Any]]) -> None:
        """Take in what a worker has in hand: Celery's request infos, of whatever state."""
        for request in requests:
            delivery = request.get("delivery_info")
            key = delivery.get("routing_key") if isinstance(delivery, Mapping) else None
            name, task_id = clean_name(key), request.get("id")
            is_open = request.get("acknowledged") is not True
            if is_open and isinstance(task_id, str) and name in self._queues:
                self._holding.setdefault(name, set()).add(task_id)

    def note_holding_told(self, now_at: float) -> None:
        """Take note that all workers have been asked: what was told since the last time holds."""
        for queue in self:
            queue.held = (len(self._holding.get(queue.name, ())), now_at)
        self._holding = {}

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(sorted(self._queues))

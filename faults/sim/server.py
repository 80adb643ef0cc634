"""A broker as it ought to be, in plain Python: what the port promises, and nothing clever.

T-SIM runs workers against it, T-MODEL holds every adapter to it. It knows no fault of its own: who
uses it decides what gets lost on the way.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Delivery,
    GivenBack,
    Handover,
    Publication,
    ResultWrite,
    Settlement,
    Verdict,
)


class Place(Enum):
    """Where a message is. It is in one place at any time."""

    READY = "ready"
    HELD = "held"
    PARKED = "parked"
    DEAD = "dead"
    GONE = "gone"


@dataclass(slots=True, eq=False)
class Item:
    """A message and what becomes of it. `number` is its age."""

    number: int
    message: Message
    queue: str
    priority: int
    place: Place = Place.READY
    deaths: int = 0
    is_redelivered: bool = False
    owner: Holder | None = None
    tag: str = ""
    is_started: bool = False
    #: Acknowledged early: it does not come back.
    is_acked: bool = False
    due_at: float = 0.0
    reason: str = ""

    @property
    def task_id(self) -> str:
        """The id in its header, or what stands there."""
        return str(self.message.headers.get("id"))

    def delivery(self) -> Delivery:
        """Return it as its holder sees it."""
        return Delivery(
            tag=self.tag,
            message=self.message,
            queue=self.queue,
            routing_key=self.queue,
            is_redelivered=self.is_redelivered,
            deaths=self.deaths,
        )


@dataclass(slots=True, eq=False)
class Holder:
    """A consumer as the broker sees it. `lease_until` is infinite where death is seen at once."""

    worker_name: str
    queues: list[str]
    lease_until: float = float("inf")
    is_dead: bool = False
    held: dict[str, Item] = field(default_factory=dict)
    #: What it acknowledged early where no record of that is kept.
    unrecorded: list[Item] = field(default_factory=list)
    turn: int = -1


class Server:
    """Queues, holders, dead letters and results."""

    def __init__(
        self,
        now: Callable[[], float],
        *,
        on_left: Callable[[Item, Verdict], None] = lambda item, verdict: None,
        on_ready: Callable[[str], None] = lambda queue: None,
        records_early: bool = True,
    ) -> None:
        """`records_early`: what was acknowledged early stays on record until it is settled."""
        self._now = now
        self._on_left = on_left
        self._on_ready = on_ready
        self._records_early = records_early
        self._numbers = itertools.count(1)
        self._tags = itertools.count(1)
        self._ready: dict[str, list[tuple[int, int, Item]]] = {}
        self._parked: list[tuple[float, int, Item]] = []
        self.items: list[Item] = []
        self.holders: list[Holder] = []
        #: Task id -> state of its record.
        self.results: dict[str, str] = {}

    def publish(self, publications: Iterable[Publication]) -> list[Item]:
        """Put all in their queues."""
        return [self._put_new(each.message, each.routing_key) for each in publications]

    def store(self, writes: Iterable[ResultWrite]) -> None:
        """Write records; a SUCCESS stays."""
        for write in writes:
            if self.results.get(write.task_id) != "SUCCESS":
                self.results[write.task_id] = write.state

    def join(self, holder: Holder) -> None:
        """A consumer comes."""
        self.holders.append(holder)

    def leave(self, holder: Holder) -> None:
        """A consumer goes and leaves nothing in its hands but what had started."""
        for item in list(holder.held.values()):
            if not item.is_started:
                self._put_back(item, death_count=0)
        if not holder.held and holder in self.holders:
            self.holders.remove(holder)
        holder.is_dead = True
        holder.lease_until = self._now()

    def fetch(self, holder: Holder, wanted: int) -> list[Delivery]:
        """Hand out what is ready, the queues in turns, by priority, then age."""
        self._wake()
        taken: list[Delivery] = []
        names = holder.queues
        holder.turn += 1
        first = holder.turn % max(1, len(names))
        for name in names[first:] + names[:first]:
            ready = self._ready.get(name, [])
            while ready and len(taken) < wanted:
                item = heapq.heappop(ready)[2]
                self._give(holder, item)
                taken.append(item.delivery())
        return taken

    def hand_out(self, holder: Holder, item: Item) -> None:
        """Hand out this one, which is ready: somebody else has chosen."""
        ready = self._ready[item.queue]
        ready.remove((-item.priority, item.number, item))
        heapq.heapify(ready)
        self._give(holder, item)

    def settle(self, holder: Holder, settled: Iterable[Settlement]) -> None:
        """End deliveries; those that are not this holder's stay as they are."""
        for settlement in settled:
            item = holder.held.get(settlement.tag)
            if item is None:
                continue
            match settlement.verdict:
                case Verdict.ACK:
                    self._end(item, Place.GONE, settlement.verdict)
                case Verdict.DEAD:
                    item.reason = settlement.reason
                    self._end(item, Place.DEAD, settlement.verdict)
                case Verdict.RETURN:
                    self._put_back(item, death_count=0)
                case Verdict.DIED:
                    self._put_back(item, death_count=1)

    def start(self, holder: Holder, started: Iterable[Handover]) -> None:
        """Note what is handed over to run."""
        for handover in started:
            item = holder.held.get(handover.tag)
            if item is None:
                continue
            item.is_started = True
            item.is_acked = handover.is_acked
            if handover.is_acked and not self._records_early:
                self._release(item)
                item.place = Place.GONE
                holder.unrecorded.append(item)

    def park(self, holder: Holder, due: Iterable[tuple[str, float]]) -> None:
        """Keep these until they are due."""
        for tag, due_at in due:
            item = holder.held.get(tag)
            if item is not None:
                self._release(item)
                item.place, item.due_at = Place.PARKED, due_at
                heapq.heappush(self._parked, (due_at, item.number, item))

    def next_due_at(self, queues: Sequence[str]) -> float | None:
        """Return when the next parked one of these queues is due."""
        times = [due_at for due_at, _, item in self._parked if item.queue in queues]
        return min(times, default=None)

    def renew(self, holder: Holder, lease_s: float) -> None:
        """It lives; who was given up while it was stopped is here again."""
        if not holder.is_dead:
            if holder not in self.holders:
                self.holders.append(holder)
            if holder.lease_until != float("inf"):
                holder.lease_until = self._now() + lease_s

    def give_back(self, by: Holder, max_deaths: int) -> GivenBack:
        """Give back what dead holders had."""
        returned_count = 0
        lost: list[Delivery] = []
        dead: list[Delivery] = []
        names: list[str] = []
        for holder in [it for it in self.holders if it is not by and self._is_over(it)]:
            names.append(holder.worker_name)
            for item in list(holder.held.values()):
                if item.is_acked:
                    self._take_over(item, by)
                    lost.append(item.delivery())
                elif item.is_started and item.deaths + 1 >= max_deaths:
                    item.deaths += 1
                    dead.append(item.delivery())
                    item.reason = "worker-lost"
                    self._end(item, Place.DEAD, Verdict.DEAD)
                else:
                    returned_count += 1
                    self._put_back(item, death_count=int(item.is_started))
            self.holders.remove(holder)
        return GivenBack(returned_count, tuple(lost), tuple(dead), tuple(names))

    def cut(self, holder: Holder) -> list[str]:
        """Its connection is lost: what it had goes back. Returns the tags."""
        tags = list(holder.held)
        for item in list(holder.held.values()):
            self._put_back(item, death_count=0)
        return tags

    def replay(self, item: Item) -> None:
        """Put a dead letter back, as new."""
        item.deaths = 0
        item.is_started = item.is_acked = item.is_redelivered = False
        item.number = next(self._numbers)
        self._make_ready(item)

    def drop(self, item: Item) -> None:
        """Delete a dead letter."""
        item.place = Place.GONE

    def purge(self, queue: str) -> int:
        """Drop what waits and what is parked."""
        gone = [it for it in self.items if it.queue == queue and it.place in _WAITING]
        for item in gone:
            item.place = Place.GONE
        self._ready.pop(queue, None)
        self._parked = [each for each in self._parked if each[2].queue != queue]
        heapq.heapify(self._parked)
        return len(gone)

    def ready_count(self, queues: Sequence[str]) -> int:
        """Return how many could be fetched now."""
        self._wake()
        return sum(len(self._ready.get(name, ())) for name in queues)

    def in_place(self, place: Place, queue: str | None = None) -> list[Item]:
        """Return all that are in a place, oldest first."""
        found = [it for it in self.items if it.place is place and queue in (None, it.queue)]
        return sorted(found, key=lambda it: it.number)

    # --- inside -------------------------------------------------------------------------------

    def _put_new(self, message: Message, queue: str) -> Item:
        priority = message.properties.get("priority")
        rank = priority if isinstance(priority, int) else 0
        item = Item(next(self._numbers), message, queue, min(9, max(0, rank)))
        self.items.append(item)
        self._make_ready(item)
        return item

    def _make_ready(self, item: Item) -> None:
        item.place = Place.READY
        heapq.heappush(self._ready.setdefault(item.queue, []), (-item.priority, item.number, item))
        self._on_ready(item.queue)

    def _give(self, holder: Holder, item: Item) -> None:
        item.place, item.owner = Place.HELD, holder
        item.tag = f"t{next(self._tags)}"
        holder.held[item.tag] = item

    def _put_back(self, item: Item, death_count: int) -> None:
        self._release(item)
        item.deaths += death_count
        item.is_redelivered = True
        item.is_started = item.is_acked = False
        self._make_ready(item)

    def _release(self, item: Item) -> None:
        if item.owner is not None:
            del item.owner.held[item.tag]
        item.owner, item.tag = None, ""

    def _take_over(self, item: Item, by: Holder) -> None:
        self._release(item)
        item.owner, item.tag = by, f"t{next(self._tags)}"
        by.held[item.tag] = item

    def _end(self, item: Item, place: Place, verdict: Verdict) -> None:
        self._on_left(item, verdict)
        self._release(item)
        item.place = place

    def _is_over(self, holder: Holder) -> bool:
        return holder.lease_until <= self._now()

    def _wake(self) -> None:
        while self._parked and self._parked[0][0] <= self._now():
            self._make_ready(heapq.heappop(self._parked)[2])


_WAITING = (Place.READY, Place.PARKED)

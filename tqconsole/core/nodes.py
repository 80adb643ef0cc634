"""The workers as the console knows them: from their heartbeats and from what they answer.

Other hosts' clocks are not believed: how long a worker is silent is counted from when its last
sign of life arrived here, and how far its clock is off is worked out so that its tasks' times can
be put right. Owned by the UI's thread.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tqconsole.core.merge import number
from tqconsole.core.sanitize import clean, clean_name
from tqconsole.core.stats import RATE_S, Ring
from tqconsole.core.views import WorkerView

#: Workers kept: names on the wire are anybody's to make up.
NODE_LIMIT = 5000
#: Heartbeats late by this factor of their interval mean silence (wire.md §5.3: 200 %).
SILENT_FACTOR = 2.0
#: Seconds of grace on top: one slow batch is no silence.
SILENT_GRACE_S = 1.0
#: Seconds of silence after which a worker counts as lost where the broker cannot tell.
LOST_S = 60.0
#: Seconds after which a worker that is lost or gone is forgotten.
FORGET_S = 3600.0
#: Seconds a clock may be off before its times are put right: less is travel time.
SKEW_S = 2.0
#: Heartbeats by which it is judged whether events are missing.
OFFSET_COUNT = 5
#: Seconds an event may be old on arrival: workers keep some while their broker is away.
OLDEST_S = 86400.0
#: The latest time stamp that is one: the year 5138.
LATEST_AT = 1e11
#: Seconds between heartbeats when none was told.
HEARTBEAT_S = 2.0


class Node:
    """One worker, or a client that sends events."""

    __slots__ = (
        "active_count",
        "base_offset",
        "delay_s",
        "failed_count",
        "first_at",
        "freq_s",
        "gone_at",
        "has_task_events",
        "heartbeat_at",
        "is_dead",
        "is_worker",
        "load",
        "missed_count",
        "name",
        "offsets",
        "pid",
        "pool",
        "prefetch_count",
        "processed_count",
        "queues",
        "rate",
        "replied_at",
        "reply_s",
        "seen_count",
        "skew_s",
        "slot_count",
        "software",
        "untold_since",
        "up_s",
        "was_live",
    )

    def __init__(self, name: str, now_at: float) -> None:
        self.name = name
        self.first_at = now_at
        #: False for clients: they send task-sent and never a heartbeat.
        self.is_worker = False
        self.heartbeat_at: float | None = None
        self.replied_at: float | None = None
        self.reply_s: float | None = None
        #: It said goodbye at that time.
        self.gone_at: float | None = None
        #: The broker says that it is dead; `was_live` when the broker had said that it lives.
        self.is_dead = False
        self.was_live = False
        self.freq_s = HEARTBEAT_S
        #: Arrival less time stamp, the smallest seen: travel time plus what its clock is off.
        self.delay_s: float | None = None
        #: Seconds to add to its time stamps, 0 while its clock is about right.
        self.skew_s = 0.0
        self.pid: int | None = None
        self.pool = ""
        self.software = ""
        self.queues: tuple[str, ...] = ()
        self.slot_count: int | None = None
        self.active_count: int | None = None
        self.processed_count: int | None = None
        self.prefetch_count: int | None = None
        self.up_s: float | None = None
        self.load: tuple[float, float, float] | None = None
        self.has_task_events = False
        self.failed_count = 0
        self.rate = Ring(RATE_S + 1)
        #: Starts seen here. `offsets` are the last differences between what the worker says it
        #: processed and this; when they grow, events never came.
        self.seen_count = 0
        self.base_offset: int | None = None
        self.offsets: deque[int] = deque(maxlen=OFFSET_COUNT)
        self.missed_count: int | None = None
        #: What it had processed when it was first heard, while it tells of no task.
        self.untold_since: int | None = None

    @property
    def untold_count(self) -> int:
        """How many tasks it ran since it was first heard and told nothing of, 0 once it tells."""
        if self.has_task_events or self.untold_since is None or self.processed_count is None:
            return 0
        return max(0, self.processed_count - self.untold_since)

    def forget_offsets(self) -> None:
        """Begin to count anew what is missed: it restarted, or its events were just switched on."""
        self.offsets.clear()
        self.base_offset = None

    def signed_at(self) -> float:
        """Return when the last sign of life arrived."""
        return max(self.heartbeat_at or 0.0, self.replied_at or 0.0) or self.first_at

    def status(self, now_at: float) -> str:
        """Return online, silent, lost or gone."""
        if self.gone_at is not None:
            return "gone"
        if self.is_dead:
            return "lost"
        silent_s = now_at - self.signed_at()
        if silent_s <= self.freq_s * SILENT_FACTOR + SILENT_GRACE_S:
            return "online"
        # Found by asking only: it lives as long as it answers, and it is not asked every second.
        if self.heartbeat_at is None and self.replied_at is not None and silent_s < LOST_S:
            return "online"
        return "lost" if silent_s > max(LOST_S, 10 * self.freq_s) else "silent"

    def view(self, now_at: float) -> WorkerView:
        """Return what the screens show."""
        status = self.status(now_at)
        return WorkerView(
            name=self.name,
            status=status,
            pid=self.pid,
            pool=self.pool,
            slot_count=self.slot_count,
            active_count=None if status in ("lost", "gone") else self.active_count,
            processed_count=self.processed_count,
            failed_count=self.failed_count,
            rate_per_s=self.rate.rate(now_at, RATE_S) if self.has_task_events else None,
            load=self.load,
            prefetch_count=self.prefetch_count,
            queues=self.queues,
            last_heartbeat_at=self.heartbeat_at,
            last_reply_at=self.replied_at,
            reply_s=self.reply_s,
            up_s=self.up_s,
            software=self.software,
            missed_count=self.missed_count,
            skew_s=self.skew_s,
        )


class Nodes:
    """All workers by name; the longest silent one goes when there are too many."""

    def __init__(self) -> None:
        self._nodes: OrderedDict[str, Node] = OrderedDict()

    def __iter__(self) -> Iterator[Node]:
        return (node for node in self._nodes.values() if node.is_worker)

    def get(self, name: str) -> Node | None:
        """Return a worker by its whole name."""
        node = self._nodes.get(name)
        return node if node is not None and node.is_worker else None

    def workers(self) -> list[Node]:
        """Return the workers by name."""
        return sorted(self, key=lambda node: node.name)

    def names(self, now_at: float) -> tuple[str, ...]:
        """Return the names of those that are not gone, sorted."""
        return tuple(
            node.name for node in self.workers() if node.status(now_at) in ("online", "silent")
        )

    def origin(self, event: Mapping[str, Any], now_at: float) -> Node:
        """Return who sent the event, its clock's error brought up to date."""
        hostname = event.get("hostname")
        # The keys are clean: a name that is one of them need not be looked at.
        node = self._nodes.get(hostname) if isinstance(hostname, str) else None
        if node is None:
            node = self._node(sys.intern(clean_name(hostname)), now_at)
        # Heartbeats are enough to know a worker's clock; clients send none.
        if node.heartbeat_at is None or event["type"] in _HEARTBEATS:
            stamp_at = _stamp(event)
            if stamp_at is not None:
                self._note_delay(node, now_at - stamp_at)
        return node

    def time_of(self, node: Node, event: Mapping[str, Any], now_at: float) -> float:
        """Return when the event happened by this console's clock; never later than now."""
        stamp_at = _stamp(event)
        if stamp_at is None:
            return now_at
        happened_at = stamp_at + node.skew_s
        return happened_at if now_at - OLDEST_S < happened_at < now_at else now_at

    def apply(self, event: Mapping[str, Any], now_at: float) -> None:
        """Take in a worker-online, -heartbeat or -offline event."""
        node = self.origin(event, now_at)
        node.is_worker = True
        is_restart = event["type"] == "worker-online" or event.get("pid") != node.pid
        node.heartbeat_at = now_at
        node.is_dead = False
        node.gone_at = now_at if event["type"] == "worker-offline" else None
        if is_restart:
            node.forget_offsets()
            node.untold_since = None
        freq_s = number(event.get("freq"))
        if freq_s:
            node.freq_s = min(freq_s, 600.0)
        node.pid = _count(event.get("pid"), node.pid)
        node.active_count = _count(event.get("active"), node.active_count)
        if node.gone_at is not None:
            node.active_count = 0
        node.load = _load(event.get("loadavg"), node.load)
        words = (event.get("sw_ident"), event.get("sw_ver"))
        if any(words):
            node.software = clean(" ".join(clean_name(word) for word in words), 80)
        self._note_processed(node, _count(event.get("processed"), None))

    def note_tasks(self, node: Node, told: Mapping[str, int], now_at: float) -> None:
        """Count task events of a node, event type -> how many: from a worker each is a sign of
        life too, and tells what was missed.
        """
        if _OF_WORKERS.isdisjoint(told):
            return
        node.is_worker = True
        node.heartbeat_at = now_at
        if node.name in self._nodes:
            self._nodes.move_to_end(node.name)
        if "task-received" in told:
            node.gone_at = None
        if not node.has_task_events:
            node.has_task_events = True
            node.forget_offsets()
        failed_count = told.get("task-failed", 0)
        node.seen_count += told.get("task-started", 0)
        node.failed_count += failed_count
        node.rate.add(now_at, told.get("task-succeeded", 0) + failed_count)

    def note_reply(self, name: str, now_at: float, reply_s: float | None) -> Node:
        """Take note that a worker answered a command."""
        node = self._node(clean_name(name), now_at)
        node.is_worker = True
        node.replied_at = now_at
        node.reply_s = reply_s
        node.is_dead = False
        return node

    def note_stats(self, node: Node, stats: Mapping[str, Any]) -> None:
        """Take in a reply of `stats` (wire.md §6.4)."""
        pool = stats.get("pool")
        if isinstance(pool, Mapping):
            node.pool = _pool_name(pool.get("implementation"))
            node.slot_count = _count(pool.get("max-concurrency"), node.slot_count)
        node.pid = _count(stats.get("pid"), node.pid)
        node.prefetch_count = _count(stats.get("prefetch_count"), node.prefetch_count)
        node.up_s = number(stats.get("uptime"))
        total = stats.get("total")
        if node.processed_count is None and isinstance(total, Mapping):
            node.processed_count = sum(_count(value, 0) or 0 for value in total.values())

    def note_live(self, names: Collection[str], now_at: float) -> None:
        """Take in which workers the broker itself knows to live: the others it knew are dead."""
        for name in names:
            node = self._node(clean_name(name), now_at)
            node.is_worker = node.was_live = True
            node.is_dead = False
        for node in self:
            if node.was_live and node.name not in names and node.gone_at is None:
                node.is_dead = True
                node.was_live = False

    def forget_old(self, now_at: float) -> None:
        """Drop those that are gone or lost for long."""
        for node in list(self._nodes.values()):
            is_over = not node.is_worker or node.status(now_at) in ("gone", "lost")
            if is_over and now_at - node.signed_at() > FORGET_S:
                del self._nodes[node.name]

    def missed_count(self) -> int:
        """Return how many task starts of all workers were never told here."""
        return sum(node.missed_count or 0 for node in self)

    def _node(self, name: str, now_at: float) -> Node:
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = Node(name, now_at)
            if len(self._nodes) > NODE_LIMIT:
                self._nodes.popitem(last=False)
        else:
            self._nodes.move_to_end(name)
        return node

    def _note_delay(self, node: Node, delay_s: float) -> None:
        """Keep the smallest delay, and forget it slowly: clocks are set and drift."""
        known_s = node.delay_s
        if known_s is None or delay_s < known_s or abs(delay_s - known_s) > 60:
            node.delay_s = delay_s
        else:
            node.delay_s = known_s + 0.01 * (delay_s - known_s)
        node.skew_s = node.delay_s if abs(node.delay_s) > SKEW_S else 0.0

    def _note_processed(self, node: Node, processed: int | None) -> None:
        if processed is None:
            return
        node.processed_count = processed
        if not node.has_task_events:
            if node.untold_since is None:
                node.untold_since = processed
            return
        # A task that runs is counted by one side already and not by the other: the difference
        # swings by what is in hand. The lowest of the last against the highest of the first is
        # what is missing for certain.
        node.offsets.append(processed - node.seen_count)
        if len(node.offsets) < OFFSET_COUNT:
            return
        if node.base_offset is None:
            node.base_offset = max(node.offsets)
        node.missed_count = max(0, min(node.offsets) - node.base_offset)


def _stamp(event: Mapping[str, Any]) -> float | None:
    """Return the time stamp of an event, None when it is no time."""
    stamp = event.get("timestamp")
    if type(stamp) is float:
        return stamp if 0 < stamp < LATEST_AT else None
    if type(stamp) is int:
        return float(stamp) if 0 < stamp < LATEST_AT else None
    return None


def _count(value: object, otherwise: int | None) -> int | None:
    """Return a whole number that can be one, else what was known."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        return otherwise
    return value


def _load(value: object, otherwise: tuple[float, float, float] | None) -> Any:
    if isinstance(value, list | tuple) and len(value) == 3:
        one, five, fifteen = (number(part) for part in value)
        if one is not None and five is not None and fifteen is not None:
            return one, five, fifteen
    return otherwise


_HEARTBEATS = frozenset({"worker-online", "worker-heartbeat"})
#: Task events that only workers send.
_OF_WORKERS = frozenset(
    f"task-{kind}"
    for kind in ("received", "started", "succeeded", "failed", "retried", "revoked", "rejected")
)

#: Word in a pool's import path -> the name people give on the command line.
_POOLS = ("prefork", "threads", "thread", "solo", "eventlet", "gevent", "asyncio")


def _pool_name(implementation: object) -> str:
    path = clean_name(implementation)
    for word in _POOLS:
        if word in path.lower():
            return "threads" if word == "thread" else word
    return path.rpartition(":")[2]

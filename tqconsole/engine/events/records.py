"""What `events.State` keeps of a worker and of a task; attributes are Celery's.

Events may come late and out of order: a task's state moves by rank, not by arrival (wire.md §5.4).
Attributes are open: every field of an event, also of a user's own, becomes one.
"""

from __future__ import annotations

import bisect
import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from tqconsole.engine import states
from tqconsole.engine.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from tqconsole.engine.events.state import State

logger = logging.getLogger(__name__)

#: A worker counts as gone this many of its heartbeat intervals after the last one.
HEARTBEAT_WINDOW = 2.0
#: Heartbeats kept of a worker.
HEARTBEATS_KEPT = 4
#: Seconds between a node's clock and ours from which we say so.
DRIFT_S = 16

EVENT_STATES = {
    "sent": states.PENDING,
    "received": states.RECEIVED,
    "started": states.STARTED,
    "failed": states.FAILURE,
    "retried": states.RETRY,
    "succeeded": states.SUCCESS,
    "revoked": states.REVOKED,
    "rejected": states.REJECTED,
}
#: What an event that comes too late to change the state may still tell.
LATE_FIELDS = {
    states.RECEIVED: frozenset(
        {"name", "args", "kwargs", "parent_id", "root_id", "retries", "eta", "expires"}
    )
}


class Worker:
    """One node, as its events describe it."""

    def __init__(self, hostname: str = "", **fields: Any) -> None:
        self.hostname = hostname
        self.pid: int | None = None
        self.freq: float = 60.0
        self.heartbeats: list[float] = []
        self.clock = 0
        self.active: int | None = None
        self.processed: int | None = None
        self.loadavg: list[float] | None = None
        self.sw_ident: str | None = None
        self.sw_ver: str | None = None
        self.sw_sys: str | None = None
        self._has_warned = False
        self.update(fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Worker) and self.hostname == other.hostname

    def __hash__(self) -> int:
        return hash(self.hostname)

    def __repr__(self) -> str:
        return f"<Worker: {self.hostname} ({self.status_string} clock:{self.clock})"

    @property
    def id(self) -> str:
        """`host.pid`: one life of the node."""
        return f"{self.hostname}.{self.pid}"

    @property
    def heartbeat_expires(self) -> float:
        """When it counts as gone if no heartbeat comes. Raises: IndexError before the first."""
        return self.heartbeats[-1] + float(self.freq) * HEARTBEAT_WINDOW

    @property
    def alive(self) -> bool:
        """True while its last heartbeat is young enough."""
        return bool(self.heartbeats) and SYSTEM_CLOCK.now() < self.heartbeat_expires

    @property
    def status_string(self) -> str:
        """ONLINE or OFFLINE."""
        return "ONLINE" if self.alive else "OFFLINE"

    def update(self, fields: Mapping[str, Any]) -> None:
        """Take over fields."""
        for name, value in fields.items():
            if name not in _WORKER_COMPUTED:
                setattr(self, name, value)

    def event(
        self,
        subject: str | None,
        timestamp: float | None = None,
        local_received: float | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Take note of an event of this node; any but `offline` is a sign of life."""
        self.update(fields or {})
        if subject == "offline":
            self.heartbeats.clear()
            return
        if not timestamp or not local_received:
            return
        self._warn_of_drift(timestamp, local_received)
        bisect.insort(self.heartbeats, local_received)
        del self.heartbeats[:-HEARTBEATS_KEPT]

    def _warn_of_drift(self, timestamp: float, local_received: float) -> None:
        drift_s = abs(int(local_received) - int(timestamp))
        if drift_s > DRIFT_S and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "The clock of %s differs from ours by about %s seconds", self.hostname, drift_s
            )


#: Computed or our own: an event that carries such a field cannot set it.
_WORKER_COMPUTED = frozenset(
    {"id", "alive", "heartbeats", "heartbeat_expires", "status_string", "event", "update"}
)


class Task:
    """One task, as its events describe it. Fields nobody told are None."""

    _info_fields = (
        "args", "kwargs", "retries", "result", "eta", "runtime", "expires", "exception",
        "exchange", "routing_key", "root_id", "parent_id",
    )  # fmt: skip
    _fields = (
        "uuid", "name", "state", "received", "sent", "started", "rejected", "succeeded", "failed",
        "retried", "revoked", "args", "kwargs", "eta", "expires", "retries", "worker", "result",
        "exception", "timestamp", "runtime", "traceback", "exchange", "routing_key", "clock",
        "client", "root", "root_id", "parent", "parent_id", "children",
    )  # fmt: skip

    #: What events of tasks tell has a place of its own, anything else goes into a dict: one for
    #: each task would weigh as much as all that is in it.
    __slots__ = (
        "__dict__", "__weakref__", "_children", "args", "client", "clock", "cluster_state", "eta",
        "exception", "exchange", "expires", "failed", "hostname", "kwargs", "local_received",
        "name", "parent_id", "pid", "queue", "received", "rejected", "result", "retried", "retries",
        "revoked", "root_id", "routing_key", "runtime", "sent", "started", "state", "succeeded",
        "timestamp", "traceback", "utcoffset", "uuid", "worker",
    )  # fmt: skip

    name: str | None
    received: float | None
    sent: float | None
    started: float | None
    rejected: float | None
    succeeded: float | None
    failed: float | None
    retried: float | None
    revoked: float | None
    args: str | None
    kwargs: str | None
    eta: str | None
    expires: str | None
    retries: int | None
    worker: Worker | None
    result: str | None
    exception: str | None
    timestamp: float | None
    runtime: float | None
    traceback: str | None
    exchange: str | None
    routing_key: str | None
    queue: str | None
    client: str | None
    root_id: str | None
    parent_id: str | None
    state: str
    clock: int

    def __init__(self, uuid: str = "", cluster_state: State | None = None, **fields: Any) -> None:
        self.uuid = uuid
        self.cluster_state = cluster_state
        self._children: WeakSet[Task] | None = None
        self._take(fields)

    def __getattr__(self, name: str) -> Any:
        # Reached only for what was never told.
        try:
            return _TASK_DEFAULTS[name]
        except KeyError:
            raise AttributeError(f"a task has no {name!r}") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self.uuid == other.uuid

    def __hash__(self) -> int:
        return hash(self.uuid)

    def __repr__(self) -> str:
        return f"<Task: {self.name}({self.uuid}) {self.state} clock:{self.clock}>"

    @property
    def id(self) -> str:
        """The task's id (`uuid` in events)."""
        return self.uuid

    @property
    def origin(self) -> str | None:
        """Who told: the worker's life, else the client."""
        return self.client if self.worker is None else self.worker.id

    @property
    def children(self) -> WeakSet[Task]:
        """The tasks it sent, as far as they are known."""
        if self._children is None:
            self._children = WeakSet()
        return self._children

    @property
    def ready(self) -> bool:
        """True when it has ended."""
        return self.state in states.READY_STATES

    @property
    def parent(self) -> Task | None:
        """The task that sent it, if known."""
        return self._known(self.parent_id)

    @property
    def root(self) -> Task | None:
        """The first task of its workflow, if known."""
        return self._known(self.root_id)

    def event(
        self,
        subject: str,
        timestamp: float | None = None,
        local_received: float | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Take note of an event; one of lower rank than the state only adds what it may tell.

        `local_received` is part of Celery's signature and of the fields.
        """
        told = dict(fields or {})
        if local_received is not None:
            told.setdefault("local_received", local_received)
        state = EVENT_STATES.get(subject)
        if state is None:
            state = subject.upper()
        else:
            setattr(self, subject, timestamp)
        if self._is_late(state):
            keep = LATE_FIELDS.get(state)
            if keep is not None:
                told = {name: value for name, value in told.items() if name in keep}
        else:
            told.update(state=state, timestamp=timestamp)
        self._take(told)

    def info(
        self, fields: list[str] | None = None, extra: list[str] | None = None
    ) -> dict[str, Any]:
        """Return what is known of `fields` (default: what a human asks for) and `extra`."""
        names = [*(self._info_fields if fields is None else fields), *(extra or [])]
        pairs = ((name, getattr(self, name, None)) for name in names)
        return {name: value for name, value in pairs if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """Return all fields; relatives as their ids."""
        relatives = {
            "root": self.root_id,
            "parent": self.parent_id,
            "children": sorted(child.uuid for child in self._children or ()),
        }
        own = (name for name in self._fields if name not in relatives)
        told = {name: getattr(self, name) for name in own} | relatives
        return {name: told[name] for name in (*self._fields, *relatives)}

    def _is_late(self, state: str) -> bool:
        if states.RETRY in (state, self.state):
            return False
        return states.precedence(state) > states.precedence(self.state)

    def _take(self, fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            if name in _TASK_TOLD:
                # Few values are many tasks' own: an id that is told twice, a name, "{}".
                setattr(self, name, self._shared(name, value))
            elif name not in _TASK_COMPUTED:
                self.__dict__[name] = value

    def _shared(self, name: str, value: Any) -> Any:
        """Return a text that others have too as one object, any other value as it is."""
        if type(value) is not str:
            return value
        if name in _TASK_ALIKE or value == "{}":
            return sys.intern(value)
        return self.uuid if value == self.uuid else value

    def _known(self, task_id: str | None) -> Task | None:
        if not task_id or self.cluster_state is None:
            return None
        return self.cluster_state.tasks.peek(task_id)


#: Computed or our own: an event that carries such a field cannot set it.
_TASK_COMPUTED = frozenset(
    {"id", "origin", "ready", "parent", "root", "worker", "children", "cluster_state", "event",
     "info", "as_dict", "type"}
)  # fmt: skip
#: What a task's events may set; "state" and "clock" have values before any event.
_TASK_TOLD = frozenset(Task.__slots__) - _TASK_COMPUTED - {"__dict__", "__weakref__", "_children"}
_TASK_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(Task.__annotations__),
    "state": states.PENDING,
    "clock": 0,
}
#: Texts that many tasks have alike.
_TASK_ALIKE = frozenset({"name", "hostname", "state", "queue", "exchange", "routing_key", "client"})

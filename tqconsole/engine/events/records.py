"""What `events.State` keeps of a worker and of a task; attributes are Celery's.

Events may come late and out of order: a task's state moves by rank, not by arrival (wire.md §5.4).
Attributes are open: every field of an event, also of a user's own, becomes one.
"""

from __future__ import annotations

import bisect
import logging
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

    name: str | None = None
    received: float | None = None
    sent: float | None = None
    started: float | None = None
    rejected: float | None = None
    succeeded: float | None = None
    failed: float | None = None
    retried: float | None = None
    revoked: float | None = None
    args: str | None = None
    kwargs: str | None = None
    eta: str | None = None
    expires: str | None = None
    retries: int | None = None
    worker: Worker | None = None
    result: str | None = None
    exception: str | None = None
    timestamp: float | None = None
    runtime: float | None = None
    traceback: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    queue: str | None = None
    client: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    state: str = states.PENDING
    clock: int = 0

    def __init__(self, uuid: str = "", cluster_state: State | None = None, **fields: Any) -> None:
        self.uuid = uuid
        self.cluster_state = cluster_state
        self.children: WeakSet[Task] = WeakSet()
        self._take(fields)

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
            "children": sorted(child.uuid for child in self.children),
        }
        return {name: relatives.get(name, getattr(self, name)) for name in self._fields} | relatives

    def _is_late(self, state: str) -> bool:
        if states.RETRY in (state, self.state):
            return False
        return states.precedence(state) > states.precedence(self.state)

    def _take(self, fields: Mapping[str, Any]) -> None:
        self.__dict__.update(
            (name, value) for name, value in fields.items() if name not in _TASK_COMPUTED
        )

    def _known(self, task_id: str | None) -> Task | None:
        if not task_id or self.cluster_state is None:
            return None
        return self.cluster_state.tasks.peek(task_id)


#: Computed or our own: an event that carries such a field cannot set it.
_TASK_COMPUTED = frozenset(
    {"id", "origin", "ready", "parent", "root", "worker", "children", "cluster_state", "event",
     "info", "as_dict", "type"}
)  # fmt: skip

"""The values that pass between the parts. They carry no verbs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

#: Metric name -> figure of one run.
Reading = dict[str, float]


class RunFailedError(Exception):
    """A run that gave no figure, and why: shown in the figure's place."""


class NotOfferedError(RunFailedError):
    """The peer has no such thing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one run happens: an empty broker, a result store beside it, a folder of its own."""

    broker: str
    url: str
    store_url: str
    folder: Path
    #: The broker's server, for its CPU time; None when there is none (SQLite).
    server_pid: int | None = None
    redis_port: int | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """How a peer's worker is started for a run."""

    #: `one`: its best single process. `prefork`: children. `threads`: threads. `machine`: all it
    #: has.
    shape: str = "one"
    #: How many children or threads, for those that have Celery's pools.
    slot_count: int = 2
    are_results_on: bool = False
    #: Send task events, where it is not for the listener to decide.
    has_events: bool = False
    #: Answer `status` and its like.
    is_controlled: bool = False
    #: Tasks registered beside the one that is run.
    registered_count: int = 1


@dataclass(frozen=True, slots=True)
class Key:
    """What was measured where and of whom."""

    workload: str
    broker: str
    peer: str


@dataclass(slots=True)
class Series:
    """The runs of one key so far."""

    readings: list[Reading] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

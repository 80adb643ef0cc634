"""What a fault test is: a scenario, one case of it, and the report a case ends with.

A scenario says what it does and what must hold; it prints nothing and decides no exit code, which
is the runner's business. `faults/table.py` lists them all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TypeVar

from faults.account import Account
from faults.places import Places

ENGINES = ("tqconsole", "celery")
#: The three volumes: each commit, each night, once per release.
DEPTHS = ("ci", "night", "release")
#: What a scenario that needs no broker names as its only one.
IN_PROCESS = "in-process"


class Beside(Enum):
    """What may happen on the machine at the same time without spoiling what a scenario holds."""

    NOTHING = "nothing"
    #: The same scenario on its other brokers: it waits most of the time.
    ITS_BROKERS = "its brokers"
    #: Whatever there is: it holds no times.
    ANYTHING = "anything"


Amount = TypeVar("Amount")


@dataclass(frozen=True, slots=True)
class Case:
    """One run of a scenario. `folder` is an empty one; it is kept when a promise was broken."""

    fault_id: str
    engine: str
    broker: str
    depth: str
    seed: int
    folder: Path
    places: Places

    def of(self, by_depth: Mapping[str, Amount]) -> Amount:
        """Return this depth's entry of a table of volumes."""
        return by_depth[self.depth]

    def chance(self) -> random.Random:
        """Return a generator that begins at the seed."""
        return random.Random(self.seed)

    @property
    def replay(self) -> str:
        """The command that runs this case again."""
        return (
            f"python -m faults {self.fault_id} --engine {self.engine} --broker {self.broker}"
            f" --depth {self.depth} --seed {self.seed}"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """How a case ended.

    `figures` is what was counted beside the account, name -> figure, in the order to print it;
    times bear their unit in the name. `broken` says in words which promise did not hold.
    """

    account: Account | None = None
    figures: Mapping[str, float | str] = field(default_factory=dict)
    broken: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault, the promise it is held against, and the change in the engine it was seen to catch.

    `run` raises for what it did not expect; the runner reports that as a broken promise.
    """

    fault_id: str
    what: str
    goal: str
    fails_when: str
    run: Callable[[Case], Report]
    brokers: Sequence[str] = ("redis", "rabbitmq", "sqlite")
    engines: Sequence[str] = ("tqconsole",)
    beside: Beside = Beside.NOTHING

    def takes(self, engine: str, broker: str) -> bool:
        """Tell whether there is such a case: the embedded broker is ours, Celery has no part."""
        if (engine, broker) == ("celery", "sqlite"):
            return False
        return engine in self.engines and broker in self.brokers

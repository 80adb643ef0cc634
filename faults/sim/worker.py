"""One simulated worker: production's machine, carrier, reader and loop around simulated ends.

Its process may be stopped, killed between any two things it does, and started again under its name.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from random import Random
from types import SimpleNamespace
from typing import Any

from faults.sim.ends import SimConsumer, SimDispatcher, SimStore
from faults.sim.pool import SimPool
from tqconsole.engine.worker.carrier import Carrier, Rim
from tqconsole.engine.worker.loop import Loop
from tqconsole.engine.worker.loop_parts import LoopParts
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.machine_options import MachineOptions, TaskPolicy
from tqconsole.engine.worker.reading import Reader
from tqconsole.engine.worker.values import Happening, Stop

#: Deaths after which a task is a dead letter, as in production.
MAX_DEATHS = 5
ACCEPT = frozenset({"application/json"})


class CrashError(BaseException):
    """The process is killed at this very point. No `except Exception` may hold it up."""


class SimSelector:
    """The loop's selector: tells what is ready, and notes for how long the loop would sleep."""

    def __init__(self, is_ready: Callable[[Any], bool]) -> None:
        self._is_ready = is_ready
        self._keys: dict[Any, Callable[[], None]] = {}
        self.asked_s = 0.0

    def register(self, fileobj: Any, events: int, data: Any = None) -> None:
        """Watch it."""
        self._keys[fileobj] = data

    def unregister(self, fileobj: Any) -> None:
        """Watch it no longer."""
        del self._keys[fileobj]

    def has_ready(self) -> bool:
        """Whether a sleeping loop would be woken now."""
        return any(self._is_ready(fileobj) for fileobj in self._keys)

    def select(self, timeout_s: float | None = None) -> list[tuple[Any, int]]:
        """Return what is ready now; the world lets the time pass."""
        found = [
            (SimpleNamespace(data=data), selectors.EVENT_READ)
            for fileobj, data in self._keys.items()
            if self._is_ready(fileobj)
        ]
        self.asked_s = 0.0 if found else timeout_s or 0.0
        return found


class SimWaker:
    """The mailbox of other threads: there are none here, only the world."""

    def __init__(self) -> None:
        self.posted: list[Happening] = []

    def take(self) -> list[Happening]:
        """Return what was posted."""
        taken, self.posted = self.posted, []
        return taken


class NoSignals:
    """Signals come as happenings here."""

    def take(self) -> list[Any]:
        """Return none."""
        return []


@dataclass(frozen=True, slots=True)
class Setting:
    """How this worker was started."""

    name: str
    machine: MachineOptions
    policies: dict[str, TaskPolicy]
    can_give_back: bool


class SimWorker:
    """A process of a worker, from its start to its end."""

    def __init__(
        self,
        setting: Setting,
        consumer: SimConsumer,
        store: SimStore,
        dispatcher: SimDispatcher,
        pool: SimPool,
        clock: Any,
        random: Random,
    ) -> None:
        self.setting = setting
        self.consumer = consumer
        self.pool = pool
        self.clock = clock
        self.waker = SimWaker()
        self.machine = Machine(setting.machine, setting.policies, random)
        self.carrier = Carrier(
            Rim(
                setting.name,
                consumer,
                store,  # type: ignore[arg-type] # what the carrier asks of a store
                pool,
                Reader(ACCEPT, UTC),
                dispatcher,  # type: ignore[arg-type]
                lambda notify: None,
                store,  # type: ignore[arg-type]
            )
        )
        self.selector = SimSelector(self._is_ready)
        self.loop = Loop(
            LoopParts(
                self.machine,
                self.carrier,
                SimpleNamespace(  # type: ignore[arg-type]
                    capabilities=SimpleNamespace(can_give_back=setting.can_give_back),
                    give_back_interval_s=5.0,
                ),
                consumer,
                pool,
                Reader(ACCEPT, UTC),
                self.waker,  # type: ignore[arg-type]
                clock,
                lambda signum, is_cold: None,
                selector=self.selector,  # type: ignore[arg-type]
            ),
            None,
            MAX_DEATHS,
        )
        self.loop.begin()
        self.is_alive = True
        self.born_mono = clock.mono()
        self.rated_count = 0
        self.frozen_until = 0.0
        #: Task id -> when this process was told that it is revoked.
        self.heard: dict[str, float] = {}
        self.stopped_at: float | None = None
        #: Since when a slot was free while something could be fetched.
        self.starved_since: float | None = None
        self.next_turn_mono = 0.0
        #: Tags that it was told in an earlier turn that it has no more.
        self.known_gone: frozenset[str] = frozenset()

    def _is_ready(self, fileobj: Any) -> bool:
        if fileobj is self.waker:
            return bool(self.waker.posted)
        if fileobj == self.consumer.fileno():
            return self.consumer.is_ready
        return bool(self.pool.news)

    @property
    def is_rung(self) -> bool:
        """Something is there for which a sleeping loop wakes."""
        return self.selector.has_ready()

    @property
    def has_nothing(self) -> bool:
        """It runs nothing, and nothing is on its way into the pool."""
        hand = self.machine.hand
        return not (hand.running or hand.in_flight_count or hand.batches)

    def turn(self) -> float:
        """One turn of the loop; return how long it would have slept, 0 for "go on"."""
        self.selector.asked_s = 0.0
        self.known_gone = frozenset(self.consumer.told)
        self.loop.turn(NoSignals())  # type: ignore[arg-type]
        return self.selector.asked_s

    @property
    def has_exited(self) -> bool:
        """The machine said that all is done."""
        return self.carrier.exit_code is not None

    def stop(self, *, is_cold: bool, at: float) -> None:
        """Ask it to shut down."""
        self.stopped_at = at if self.stopped_at is None else self.stopped_at
        self.waker.posted.append(Stop(is_cold))

    def end(self) -> None:
        """What production does after the loop: the pool ends, the consumer closes."""
        self.carrier.stop_pool()
        self.consumer.close()
        self.is_alive = False

"""What kind of world a seed makes: its broker, its size, and how often things go wrong in it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

KINDS = ("redis", "sqlite", "amqp")


@dataclass(frozen=True, slots=True)
class Weather:
    """Chances per call or per second; lengths in seconds."""

    kind: str
    worker_count: int
    slot_count: int
    prefetch_multiplier: int
    fetches_ahead: bool
    #: Exchanges are answered later, and what starts is noted meanwhile.
    starts_beside: bool
    store_rides: bool
    grace_s: float | None
    storm_s: float
    task_count: int
    #: Of a call to the broker or the store.
    fail_ratio: float
    lost_ratio: float
    swallowed_ratio: float
    slow_ratio: float
    crash_ratio: float
    #: Of a ring of the bell.
    deaf_ratio: float
    #: Of what people and machines do to the workers, per second.
    kill_rate: float
    freeze_rate: float
    child_kill_rate: float
    outage_rate: float
    revoke_rate: float
    stop_rate: float
    skew_s: float

    @property
    def is_remote(self) -> bool:
        """True where a network lies between worker and broker."""
        return self.kind != "sqlite"


def draw(random: Random, kind: str | None = None) -> Weather:
    """Return the weather of a seed: some worlds are calm but for one thing."""
    kind = kind or random.choice(KINDS)
    is_remote = kind != "sqlite"
    chance = random.random

    def some(most: float) -> float:
        return chance() * most if chance() < 0.5 else 0.0

    return Weather(
        kind=kind,
        worker_count=random.choice([1, 2, 2, 3]),
        slot_count=random.choice([1, 2, 4]),
        prefetch_multiplier=random.choice([0, 1, 4, 4]),
        fetches_ahead=chance() < 0.9,
        starts_beside=kind == "redis",
        store_rides=kind != "amqp" and chance() < 0.7,
        grace_s=random.choice([None, None, 2.0]),
        storm_s=random.uniform(5.0, 25.0),
        task_count=random.choice([20, 60, 100]),
        fail_ratio=some(0.1),
        lost_ratio=some(0.1) if is_remote else 0.0,
        swallowed_ratio=some(0.05) if is_remote else 0.0,
        slow_ratio=some(0.1),
        crash_ratio=some(0.003),
        deaf_ratio=some(0.3),
        kill_rate=some(0.1),
        freeze_rate=some(0.06),
        child_kill_rate=some(0.5),
        outage_rate=some(0.05),
        revoke_rate=some(0.5),
        stop_rate=some(0.05),
        skew_s=random.choice([0.0, 0.0, 0.2]),
    )

"""Living one seed, or many."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from faults.sim.account import BrokenRuleError
from faults.sim.weather import draw
from faults.sim.world import World


@dataclass(frozen=True, slots=True)
class Lived:
    """What came of a seed. `broken` is the rule that did not hold, "" for none."""

    seed: int
    kind: str
    broken: str
    task_count: int
    check_count: int
    turn_count: int
    death_count: int
    extra_run_count: int


def live(seed: int, kind: str | None = None) -> Lived:
    """Live the history of a seed."""
    world = World(seed, draw(Random(f"weather {seed}"), kind))
    broken = ""
    try:
        world.run()
    except BrokenRuleError as error:
        broken = str(error)
    except Exception as error:
        logging.getLogger(__name__).debug("seed %s", seed, exc_info=error)
        broken = f"raised {error!r:.300}"
    account = world.account
    return Lived(
        seed,
        world.kind,
        broken,
        len(account.tasks),
        account.check_count,
        world.turn_count,
        world.death_count,
        account.dup_count,
    )


def live_all(seeds: Iterable[int]) -> list[Lived]:
    """Live many, and be silent about what workers log."""
    logging.disable(logging.CRITICAL)
    try:
        return [live(seed) for seed in seeds]
    finally:
        logging.disable(logging.NOTSET)

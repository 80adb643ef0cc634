"""A gate and pools that are stopped whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pool_driver import Driver, Gate, make_runner

from tqconsole.engine.pools import find_pool
from tqconsole.engine.pools.base import PoolOptions


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.close()


@pytest.fixture
def drive(gate: Gate) -> Iterator[Callable[..., Driver]]:
    drivers: list[Driver] = []

    def start(name: str, slot_count: int = 1, **options: object) -> Driver:
        pool = find_pool(name)(make_runner(gate), slot_count, PoolOptions(**options))
        pool.start()
        drivers.append(Driver(pool))
        return drivers[-1]

    yield start
    for driver in drivers:
        gate.open(100)
        is_killed = driver.pool.can_terminate and not driver.pool.shares_memory
        driver.pool.stop(0 if is_killed else None)

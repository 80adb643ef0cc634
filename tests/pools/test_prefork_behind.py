"""A batch behind the one that a child runs: the child goes on, and only what ran is ever lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable

import pytest
from pool_driver import Driver, Gate

from tqconsole.engine.pools.base import JobEnded, JobLost

Drive = Callable[..., Driver]


def test_short_jobs_may_be_followed_by_one_more_batch(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork")
    driver.submit(b"gate:", b"echo:b")

    assert (driver.pool.free_slots(), driver.pool.room_behind()) == (0, 1)
    driver.submit(b"echo:c", b"echo:d", first_id=3)
    assert driver.pool.room_behind() == 0
    with pytest.raises(RuntimeError, match="free slot"):
        driver.submit(b"echo:e", first_id=5)
    gate.open()

    assert driver.outcomes(1, 2, 3, 4) == [b"<>", b"<b>", b"<c>", b"<d>"]
    assert [item.job_id for item in driver.ends()] == [1, 2, 3, 4]


def test_nothing_follows_a_job_that_came_alone(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork")
    driver.submit(b"gate:")

    assert driver.pool.room_behind() == 0
    with pytest.raises(RuntimeError, match="free slot"):
        driver.submit(b"echo:b", b"echo:c", first_id=2)
    gate.open()

    assert driver.outcomes(1) == [b"<>"]


def test_a_free_child_comes_before_a_place_behind(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork", 2)
    driver.submit(b"gate:", b"echo:b")

    driver.submit(b"echo:c", b"echo:d", first_id=3)

    assert driver.outcomes(3, 4) == [b"<c>", b"<d>"]
    gate.open()
    assert driver.outcomes(1, 2) == [b"<>", b"<b>"]


def test_withdrawal_takes_both_batches_and_nothing_follows_until_the_child_is_free(
    drive: Drive, gate: Gate
) -> None:
    driver = drive("prefork")
    driver.submit(b"gate:", b"echo:b")
    driver.submit(b"echo:c", b"echo:d", first_id=3)
    gate.wait_for_visitor()

    assert driver.pool.withdraw() == [2, 3, 4]
    assert driver.pool.room_behind() == 0
    gate.open()
    assert driver.outcomes(1) == [b"<>"]
    driver.until(driver.pool.free_slots)
    driver.submit(b"echo:e", b"echo:f", first_id=5)

    assert driver.outcomes(5, 6) == [b"<e>", b"<f>"]
    assert [item.job_id for item in driver.ends()] == [1, 5, 6]


def test_a_death_takes_what_ran_and_leaves_both_batches(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork")
    driver.submit(b"gate:", b"echo:b")
    driver.submit(b"echo:c", b"echo:d", first_id=3)
    gate.wait_for_visitor()
    (pid,) = driver.pool.info()["processes"]

    os.kill(pid, signal.SIGKILL)

    assert driver.outcomes(2, 3, 4) == [b"<b>", b"<c>", b"<d>"]
    (loss,) = driver.finish(1)
    assert isinstance(loss, JobLost)
    assert loss.was_started


def test_a_child_that_died_before_it_read_has_begun_nothing(drive: Drive) -> None:
    driver = drive("prefork")
    (pid,) = driver.pool.info()["processes"]
    os.kill(pid, signal.SIGSTOP)
    driver.submit(b"echo:a", b"echo:b")
    driver.submit(b"echo:c", b"echo:d", first_id=3)

    os.kill(pid, signal.SIGKILL)

    (loss,) = driver.finish(1)
    assert isinstance(loss, JobLost)
    assert not loss.was_started
    assert driver.outcomes(2, 3, 4) == [b"<b>", b"<c>", b"<d>"]


def test_what_used_up_children_had_behind_runs_in_others(drive: Drive) -> None:
    driver = drive("prefork", max_jobs_per_child=3)
    driver.submit(b"pid", b"pid")
    driver.submit(b"pid", b"pid", first_id=3)

    pids = driver.outcomes(1, 2, 3, 4)

    assert pids[0] == pids[1] == pids[2] != pids[3]


def test_each_job_of_a_storm_ends_is_withdrawn_or_lost_once(drive: Drive) -> None:
    driver, rng = drive("prefork", 2), random.Random(3)
    withdrawn: list[int] = []
    next_id = 0
    while next_id < 6000:
        driver.until(lambda: driver.pool.free_slots() or driver.pool.room_behind())
        while driver.pool.free_slots() or driver.pool.room_behind():
            next_id = driver.submit(*[b"echo:"] * rng.randint(1, 10), first_id=next_id)[-1] + 1
        if rng.random() < 0.1:
            withdrawn += driver.pool.withdraw()
        if rng.random() < 0.05:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(rng.choice(driver.pool.info()["processes"]), signal.SIGKILL)
    driver.until(lambda: len(driver.ends()) + len(withdrawn) >= next_id)

    ended = [item.job_id for item in driver.ends()]
    assert sorted(ended + withdrawn) == list(range(next_id))
    assert any(isinstance(item, JobLost) for item in driver.ends())
    assert sum(isinstance(item, JobEnded) for item in driver.ends()) > next_id / 2
    assert withdrawn

"""What every pool does: one suite over all of them."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from pool_driver import Driver, Gate

from tqconsole.engine.exceptions import ImproperlyConfigured, NotSupportedError
from tqconsole.engine.pools import POOLS, find_pool
from tqconsole.engine.pools.base import JobEnded, JobLost, JobStarted

Drive = Callable[..., Driver]
#: A green pool needs a process of its own, patched before anything is imported: `green_contract.py`
#: runs this file there, and says which one it is.
GREEN = os.environ.get("GREEN_POOL", "")
NAMES = (GREEN,) if GREEN else ("solo", "threads", "prefork", "asyncio")
PARALLEL = (GREEN,) if GREEN else ("threads", "prefork", "asyncio")


@pytest.mark.parametrize("name", NAMES)
def test_pool_runs_a_job(drive: Drive, name: str) -> None:
    driver = drive(name)

    driver.submit(b"echo:hi")

    assert driver.finish(1) == [JobEnded(1, b"<hi>")]


@pytest.mark.parametrize("name", NAMES)
def test_pool_tells_start_before_end(drive: Drive, name: str) -> None:
    driver = drive(name)

    driver.submit(b"echo:a", b"echo:b", b"pid")

    (pid,) = driver.outcomes(3)
    told = [(item.job_id, type(item)) for item in driver.news]
    ends = [(1, JobEnded), (2, JobEnded), (3, JobEnded)]
    assert [item for item in told if item in ends] == ends
    starts = [(number, JobStarted) for number in (1, 2, 3)]
    # A start that is told stands before its own end and behind the end before it.
    assert told == [it for pair in zip(starts, ends, strict=True) for it in pair if it in told]
    assert told[0] == (1, JobStarted)
    assert {item.pid for item in driver.news if isinstance(item, JobStarted)} == {int(pid)}


@pytest.mark.parametrize("name", NAMES)
def test_pool_has_all_slots_free_after_start(drive: Drive, name: str) -> None:
    driver = drive(name, 3)

    assert driver.pool.free_slots() == driver.pool.slot_count == (1 if name == "solo" else 3)


@pytest.mark.parametrize("name", NAMES)
def test_poll_without_news_is_empty(drive: Drive, name: str) -> None:
    assert drive(name).pool.poll() == []


@pytest.mark.parametrize("name", NAMES)
def test_idle_pool_has_no_deadline(drive: Drive, name: str) -> None:
    driver = drive(name)
    driver.submit(b"echo:")
    driver.finish(1)

    assert driver.pool.next_deadline_mono() is None


@pytest.mark.parametrize("name", NAMES)
def test_raising_runner_is_a_loss_and_the_pool_goes_on(
    drive: Drive, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    driver = drive(name)
    driver.submit(b"raise")

    (end,) = driver.finish(1)
    driver.until(lambda: driver.pool.free_slots())
    driver.submit(b"echo:next", first_id=2)

    assert isinstance(end, JobLost)
    assert end.was_started
    assert driver.outcomes(2) == [b"<next>"]


@pytest.mark.parametrize("name", NAMES)
def test_large_payload_and_outcome_come_through(drive: Drive, name: str) -> None:
    driver = drive(name)
    large = os.urandom(5_000_000).replace(b":", b";")

    driver.submit(b"echo:" + large, b"echo:small")

    assert driver.outcomes(1, 2) == [b"<" + large + b">", b"<small>"]


@pytest.mark.parametrize("name", NAMES)
def test_hooks_surround_the_life_of_a_slot(drive: Drive, name: str, gate: Gate) -> None:
    # The gate is a pipe, so it also counts what happens in other processes.
    driver = drive(name, on_child_start=gate.open, on_child_stop=gate.open)

    driver.submit(b"gate:")
    assert driver.outcomes(1) == [b"<>"]
    driver.pool.stop(None)

    gate.pass_through()


@pytest.mark.parametrize("name", PARALLEL)
def test_slots_run_side_by_side(drive: Drive, name: str, gate: Gate) -> None:
    driver = drive(name, 2)

    driver.submit(b"gate:a")
    driver.submit(b"gate:b", first_id=2)
    gate.wait_for_visitor()
    gate.wait_for_visitor()
    gate.open(2)

    assert driver.outcomes(1, 2) == [b"<a>", b"<b>"]


@pytest.mark.parametrize("name", PARALLEL)
def test_submit_without_free_slot_is_a_mistake(drive: Drive, name: str) -> None:
    driver = drive(name)
    driver.submit(b"gate:")

    with pytest.raises(RuntimeError, match="no free slot"):
        driver.submit(b"echo:", first_id=2)


@pytest.mark.parametrize("name", PARALLEL)
def test_withdrawn_jobs_never_run(drive: Drive, name: str, gate: Gate) -> None:
    driver = drive(name)
    driver.submit(b"gate:", b"exit:1", b"exit:1")
    gate.wait_for_visitor()

    withdrawn = driver.pool.withdraw()
    gate.open()
    driver.finish(1)
    driver.submit(b"echo:after", first_id=4)

    assert withdrawn == [2, 3]
    assert driver.outcomes(4) == [b"<after>"]
    assert {item.job_id for item in driver.news} == {1, 4}


@pytest.mark.parametrize("name", PARALLEL)
def test_batches_after_a_withdrawal_run_whole(drive: Drive, name: str, gate: Gate) -> None:
    driver = drive(name)

    for first_id in range(0, 3000, 10):
        driver.submit(b"gate:", b"exit:1", b"exit:1", first_id=first_id)
        gate.wait_for_visitor()
        assert driver.pool.withdraw() == [first_id + 1, first_id + 2]
        gate.open()
        driver.finish(first_id)
        driver.submit(b"echo:", b"echo:", b"echo:", first_id=first_id + 3)
        driver.finish(first_id + 3, first_id + 4, first_id + 5)

    assert driver.pool.free_slots() == 1


@pytest.mark.parametrize("name", PARALLEL)
def test_job_is_run_or_withdrawn_exactly_once(drive: Drive, name: str) -> None:
    driver = drive(name)
    withdrawn_count = 0

    for first_id in range(0, 20_000, 20):
        ids = driver.submit(*[b"echo:"] * 20, first_id=first_id)
        withdrawn = driver.pool.withdraw()
        withdrawn_count += len(withdrawn)
        driver.news.clear()
        driver.finish(*[job_id for job_id in ids if job_id not in withdrawn])
        ran = [item.job_id for item in driver.ends()]
        assert sorted([*ran, *withdrawn]) == ids

    assert driver.pool.free_slots() == 1


@pytest.mark.parametrize("name", PARALLEL)
def test_pool_grows_and_shrinks(drive: Drive, name: str) -> None:
    driver = drive(name)

    driver.pool.grow(2)
    driver.until(lambda: driver.pool.free_slots() == 3)
    driver.pool.shrink(5)
    driver.until(lambda: driver.pool.free_slots() == 1)

    assert driver.pool.slot_count == 1


@pytest.mark.parametrize("name", PARALLEL)
def test_shrinking_waits_for_running_jobs(drive: Drive, name: str, gate: Gate) -> None:
    driver = drive(name, 2)
    driver.submit(b"gate:a")
    driver.submit(b"gate:b", first_id=2)

    driver.pool.shrink(1)
    gate.open(2)

    assert driver.outcomes(1, 2) == [b"<a>", b"<b>"]
    driver.until(lambda: driver.pool.free_slots() == 1)


@pytest.mark.parametrize("name", NAMES)
def test_stop_waits_for_what_runs(drive: Drive, name: str, gate: Gate) -> None:
    driver = drive(name)
    gate.open()
    driver.submit(b"gate:a")

    driver.pool.stop(None)

    assert driver.outcomes(1) == [b"<a>"]


@pytest.mark.parametrize("name", ["solo", "threads"])
def test_pools_without_processes_refuse_to_terminate(drive: Drive, name: str) -> None:
    driver = drive(name)

    assert not driver.pool.can_terminate
    with pytest.raises(NotSupportedError):
        driver.pool.terminate(1, 15)
    with pytest.raises(NotSupportedError):
        driver.pool.restart()


def test_solo_refuses_to_resize(drive: Drive) -> None:
    pool = drive("solo").pool

    with pytest.raises(NotSupportedError):
        pool.grow(1)
    with pytest.raises(NotSupportedError):
        pool.shrink(1)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("solo", {"processes", "max-tasks-per-child", "put-guarded-by-semaphore", "timeouts"}),
        ("threads", {"threads"}),
        ("asyncio", {"coroutines"}),
        (
            "prefork",
            {"processes", "max-tasks-per-child", "put-guarded-by-semaphore", "timeouts", "writes"},
        ),
    ],
)
def test_info_has_the_keys_of_celery(drive: Drive, name: str, keys: set[str]) -> None:
    info = drive(name).pool.info()

    assert set(info) == keys | {"implementation", "max-concurrency"}


def test_every_name_finds_its_class() -> None:
    assert {name: find_pool(name).__name__ for name in POOLS} == {
        "prefork": "PreforkPool",
        "processes": "PreforkPool",
        "threads": "ThreadsPool",
        "solo": "SoloPool",
        "gevent": "GeventPool",
        "eventlet": "EventletPool",
        "asyncio": "AsyncioPool",
    }


def test_unknown_pool_is_a_clear_error() -> None:
    with pytest.raises(ImproperlyConfigured, match="Did you mean threads"):
        find_pool("thread")


def test_custom_pool_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_CUSTOM_WORKER_POOL", "tqconsole.engine.pools.solo:SoloPool")

    assert find_pool("custom").__name__ == "SoloPool"


def test_fifty_threads_share_the_work(drive: Drive) -> None:
    driver = drive("threads", 50)
    for first_id in range(0, 5000, 5):
        driver.until(lambda: driver.pool.free_slots())
        driver.submit(*[b"echo:x"] * 5, first_id=first_id)

    assert driver.outcomes(*range(5000)) == [b"<x>"] * 5000
    driver.until(lambda: driver.pool.free_slots() == 50)

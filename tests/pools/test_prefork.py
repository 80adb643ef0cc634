"""What only a pool of processes does: limits, deaths, replacement."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import random
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pool_driver import Driver, Gate

from tqconsole.engine.exceptions import EngineError
from tqconsole.engine.pools.base import JobEnded, JobLost, JobStarted, PoolOptions
from tqconsole.engine.pools.prefork import PreforkPool
from tqconsole.engine.pools.slot import Slot

Drive = Callable[..., Driver]


def children(driver: Driver) -> list[int]:
    return list(driver.pool.info()["processes"])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def template_of(driver: Driver) -> int:
    stat = Path(f"/proc/{children(driver)[0]}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def kill(pid: int) -> None:
    # It may have died since it was seen.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def descriptor_count(pid: int | str) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def wait_until(condition: Callable[[], object]) -> None:
    end_mono = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_mono
        select.select([], [], [], 0.01)


def test_killed_child_is_told_with_its_signal(drive: Drive) -> None:
    driver = drive("prefork")
    driver.submit(b"kill")

    (loss,) = driver.finish(1)

    assert isinstance(loss, JobLost)
    assert (loss.was_started, loss.signal, loss.exit_code) == (True, signal.SIGKILL, None)
    assert not loss.is_time_limit
    assert not loss.is_terminated


def test_ended_child_is_told_with_its_exit_code(drive: Drive) -> None:
    driver = drive("prefork")
    driver.submit(b"exit:3")

    (loss,) = driver.finish(1)

    assert isinstance(loss, JobLost)
    assert (loss.signal, loss.exit_code) == (None, 3)


def test_jobs_behind_a_death_run_in_another_child(drive: Drive) -> None:
    driver = drive("prefork")
    driver.submit(b"echo:a", b"kill", b"echo:b", b"echo:c")

    assert driver.outcomes(1, 3, 4) == [b"<a>", b"<b>", b"<c>"]
    assert isinstance(driver.finish(2)[0], JobLost)


def test_child_that_dies_idle_is_replaced(drive: Drive) -> None:
    driver = drive("prefork", 2)
    before = children(driver)

    os.kill(before[0], signal.SIGKILL)
    driver.until(lambda: before[0] not in children(driver) and driver.pool.free_slots() == 2)

    assert driver.news == []


def test_job_sent_to_a_dead_child_was_not_started(drive: Drive) -> None:
    driver = drive("prefork")
    (pid,) = children(driver)
    os.kill(pid, signal.SIGSTOP)
    driver.submit(b"exit:1")
    os.kill(pid, signal.SIGKILL)

    (loss,) = driver.finish(1)

    assert isinstance(loss, JobLost)
    assert not loss.was_started


def test_hard_limit_kills_the_run_only(drive: Drive) -> None:
    driver = drive("prefork")
    driver.submit(b"echo:a", b"gate:", b"echo:b", hard_limit_s=0.2)

    a, killed, b = driver.finish(1, 2, 3)

    assert (a, b) == (JobEnded(1, b"<a>"), JobEnded(3, b"<b>"))
    assert isinstance(killed, JobLost)
    assert killed.is_time_limit
    assert killed.signal == signal.SIGKILL


def test_soft_limit_raises_in_armed_code(drive: Drive) -> None:
    driver = drive("prefork")
    driver.submit(b"soft", soft_limit_s=0.05)

    assert driver.outcomes(1) == [b"SoftTimeLimitExceeded()"]


def test_soft_limit_spares_code_that_is_not_armed(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork")
    driver.submit(b"gate:a", soft_limit_s=0.01)
    gate.wait_for_visitor()
    os.kill(children(driver)[0], signal.SIGUSR1)
    gate.open()

    assert driver.outcomes(1) == [b"<a>"]


def test_usr1_raises_in_armed_code(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork")
    driver.submit(b"soft")
    gate.wait_for_visitor()

    assert driver.pool.terminate(1, signal.SIGUSR1)

    assert driver.outcomes(1) == [b"SoftTimeLimitExceeded()"]


def test_soft_limit_of_a_run_does_not_reach_the_next(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork")
    gate.open()
    driver.submit(b"soft", soft_limit_s=0.1)
    driver.finish(1)
    driver.submit(b"soft", first_id=2)
    gate.wait_for_visitor()
    gate.wait_for_visitor()
    select.select([], [], [], 0.15)
    gate.open()

    assert driver.outcomes(1, 2) == [b"no limit", b"no limit"]


def test_terminate_kills_the_job_and_no_other(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork")
    driver.submit(b"gate:", b"echo:b")
    gate.wait_for_visitor()

    assert not driver.pool.terminate(2, signal.SIGTERM)
    assert driver.pool.terminate(1, signal.SIGTERM)

    loss, b = driver.finish(1, 2)
    assert isinstance(loss, JobLost)
    assert loss.is_terminated
    assert loss.signal == signal.SIGTERM
    assert b == JobEnded(2, b"<b>")


def test_terminate_of_an_ended_job_hurts_nobody(drive: Drive) -> None:
    driver = drive("prefork")
    driver.submit(b"echo:")
    driver.finish(1)

    assert not driver.pool.terminate(1, signal.SIGTERM)


def test_child_is_replaced_after_its_jobs(drive: Drive) -> None:
    driver = drive("prefork", max_jobs_per_child=2)
    driver.submit(b"pid", b"pid", b"pid", b"pid", b"pid")

    pids = driver.outcomes(1, 2, 3, 4, 5)

    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


def test_child_is_replaced_when_it_grew_too_big(drive: Drive) -> None:
    # A child begins with all that this process has by now.
    own_kib = psutil.Process().memory_info().rss // 1024
    driver = drive("prefork", max_memory_per_child_kib=own_kib + 100_000)
    driver.submit(b"pid", b"eat:%d" % 300_000_000, b"pid", b"pid")

    small, _, other, still_other = driver.outcomes(1, 2, 3, 4)

    assert small != other == still_other


def test_hook_runs_before_each_fork_and_its_error_stops_none(drive: Drive, gate: Gate) -> None:
    def note_and_fail() -> None:
        gate.open()
        raise ValueError("in the hook")

    driver = drive("prefork", 2, before_fork=note_and_fail)

    gate.pass_through()
    gate.pass_through()
    assert driver.pool.free_slots() == 2


def test_restart_replaces_idle_and_busy_children(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork", 2)
    before = set(children(driver))
    driver.submit(b"gate:a")
    gate.wait_for_visitor()

    driver.pool.restart()
    gate.open()

    assert driver.outcomes(1) == [b"<a>"]
    driver.until(lambda: driver.pool.free_slots() == 2 and not before & set(children(driver)))


def test_stop_at_once_kills_what_runs(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork", 2)
    pids = children(driver)
    driver.submit(b"gate:", b"exit:1")
    gate.wait_for_visitor()

    driver.pool.stop(0)

    running, waiting = driver.finish(1, 2)
    assert isinstance(running, JobLost)
    assert isinstance(waiting, JobLost)
    assert (running.was_started, waiting.was_started) == (True, False)
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_pool_survives_the_death_of_its_template(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork", 2)
    driver.submit(b"gate:")
    gate.wait_for_visitor()

    os.kill(template_of(driver), signal.SIGKILL)
    (loss,) = driver.finish(1)
    driver.until(lambda: driver.pool.free_slots() == 2)
    driver.submit(b"echo:again", first_id=2)

    assert isinstance(loss, JobLost)
    assert driver.outcomes(2) == [b"<again>"]


def test_children_that_outlive_their_template_a_moment_take_no_jobs(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = drive("prefork", 2)
    with monkeypatch.context() as patch:
        # They are silent: what the kernel does to them has not come through yet.
        patch.setattr(Slot, "receive", lambda slot: [])

        os.kill(template_of(driver), signal.SIGKILL)
        driver.until(lambda: not driver.pool.free_slots(), longest_s=10)

    driver.until(lambda: driver.pool.free_slots())
    assert driver.pool.free_slots() <= 2


def test_children_that_cannot_start_are_a_clear_error(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("no set-up")

    pool = PreforkPool(bytes, 1, PoolOptions(start_timeout_s=0.5, on_child_start=fail))

    with pytest.raises(EngineError, match=r"ready within 0\.5 s: worker_proc_alive_timeout"):
        pool.start()


def test_random_kills_lose_only_what_ran(drive: Drive) -> None:
    driver = drive("prefork", 3)
    rng = random.Random(7)
    next_id = 0
    while next_id < 2000:
        driver.until(lambda: driver.pool.free_slots())
        ids = driver.submit(*[b"echo:"] * rng.randint(1, 20), first_id=next_id)
        next_id = ids[-1] + 1
        if rng.random() < 0.1:
            kill(rng.choice(children(driver)))
    driver.until(lambda: len(driver.ends()) >= next_id)

    ended = [item.job_id for item in driver.ends()]
    lost = [item for item in driver.ends() if isinstance(item, JobLost)]
    assert sorted(ended) == list(range(next_id))
    assert len(lost) < 200


def test_one_job_per_child_is_a_fork_storm_that_ends(drive: Drive) -> None:
    driver = drive("prefork", 2, max_jobs_per_child=1)
    for job_id in range(100):
        driver.until(lambda: driver.pool.free_slots())
        driver.submit(b"pid", first_id=job_id)

    pids = driver.outcomes(*range(100))

    assert len(set(pids)) == 100


def test_withdrawal_leaves_started_jobs_alone(drive: Drive) -> None:
    driver = drive("prefork", 2)
    for first_id in range(0, 4000, 20):
        driver.until(lambda: driver.pool.free_slots())
        driver.submit(*[b"echo:"] * 20, first_id=first_id)
        driver.news += driver.pool.poll()
        withdrawn = set(driver.pool.withdraw())
        started = {item.job_id for item in driver.news if isinstance(item, JobStarted)}
        assert not withdrawn & started


def test_end_is_told_while_the_next_job_is_slow(drive: Drive, gate: Gate) -> None:
    driver = drive("prefork")
    driver.submit(b"echo:a", b"gate:", b"echo:b")
    gate.wait_for_visitor()

    withdrawn = driver.pool.withdraw()
    due_mono = driver.pool.next_deadline_mono()
    driver.news += driver.pool.poll()

    assert withdrawn == [3]
    assert due_mono == -math.inf
    assert driver.ends() == [JobEnded(1, b"<a>")]
    gate.open()
    assert driver.outcomes(2) == [b"<>"]


def test_outcomes_that_fill_the_pipe_come_before_the_end_of_the_batch(
    drive: Drive, gate: Gate
) -> None:
    driver = drive("prefork")
    large = b"echo:" + b"x" * 3_000_000

    driver.submit(large, large, b"gate:")

    assert [len(outcome) for outcome in driver.outcomes(1)] == [3_000_002]
    gate.open()
    assert driver.outcomes(3) == [b"<>"]


def test_large_batch_does_not_block_on_a_stopped_child(drive: Drive) -> None:
    driver = drive("prefork")
    (pid,) = children(driver)
    large = b"echo:" + b"x" * 3_000_000
    os.kill(pid, signal.SIGSTOP)

    driver.submit(large, large)
    driver.news += driver.pool.poll()
    os.kill(pid, signal.SIGCONT)

    assert [len(outcome) for outcome in driver.outcomes(1, 2)] == [3_000_002, 3_000_002]


def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(
        textwrap.dedent("""
            import os, signal, sys
            from tqconsole.engine.pools.base import Job, PoolOptions
            from tqconsole.engine.pools.prefork import PreforkPool
            pool = PreforkPool(lambda payload: signal.pause(), 2, PoolOptions())
            pool.start()
            pool.submit([Job(1, b"")])
            print(*pool.info()["processes"], flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """)
    )

    # The children hold the pipe: its end comes with the last of them, just before they are gone.
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE) as process:
        pids = process.communicate(timeout=20)[0].split()

    assert len(pids) == 2
    wait_until(lambda: not any(is_alive(int(pid)) for pid in pids))


def test_children_hold_no_descriptor_of_their_siblings(drive: Drive) -> None:
    driver = drive("prefork", 8)
    counts = {descriptor_count(pid) for pid in children(driver)}

    driver.pool.restart()
    # Those that leave are still listed until they are gone.
    driver.until(lambda: driver.pool.free_slots() == len(children(driver)) == 8)

    assert counts == {descriptor_count(pid) for pid in children(driver)}
    assert len(counts) == 1


def test_pool_gives_back_all_descriptors(drive: Drive) -> None:
    before = descriptor_count("self")
    driver = drive("prefork", 4, max_jobs_per_child=1)
    for job_id in range(20):
        driver.until(lambda: driver.pool.free_slots())
        driver.submit(b"echo:", first_id=job_id)
    driver.finish(*range(20))

    driver.pool.stop(None)

    # The selector's own is closed with the pool.
    assert descriptor_count("self") <= before + 1


def test_children_are_forked_clean_beside_busy_threads(drive: Drive) -> None:
    # Fifty threads hold and release the logging lock all the time; a child forked from a process
    # with threads would inherit it held, sooner or later, and hang at its first line.
    log = logging.getLogger("tests.noise")
    log.propagate = False
    handler = logging.StreamHandler(io.StringIO())
    log.addHandler(handler)
    driver = drive("prefork", 4, max_jobs_per_child=1, on_child_start=lambda: log.warning("up"))
    is_over = threading.Event()

    def make_noise() -> None:
        while not is_over.wait(0.001):
            log.warning("noise")

    threads = [threading.Thread(target=make_noise) for _ in range(50)]
    for thread in threads:
        thread.start()
    try:
        for job_id in range(60):
            driver.until(lambda: driver.pool.free_slots())
            driver.submit(b"echo:", first_id=job_id)
        driver.finish(*range(60))
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        log.removeHandler(handler)


def test_idle_pool_burns_nothing_after_many_deaths(drive: Drive) -> None:
    driver = drive("prefork", 2)
    for _ in range(50):
        driver.until(lambda: driver.pool.free_slots() == 2)
        kill(children(driver)[0])

    def is_quiet() -> bool:
        readable, _, _ = select.select(driver.pool.filenos(), [], [], 0.2)
        return not readable and driver.pool.next_deadline_mono() is None

    driver.until(is_quiet)

    assert driver.pool.free_slots() == 2

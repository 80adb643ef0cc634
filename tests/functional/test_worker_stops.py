"""How a real worker stops, and what it leaves behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from worker_process import POOLS, Site, eventually

from tqconsole.engine.exceptions import WorkerLostError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("pool", POOLS)
def test_idle_worker_stops_at_once(site: Site, pool: str) -> None:
    worker = site.worker(pool=pool)

    worker.signal(signal.SIGTERM)

    assert worker.wait() == 0


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_term_returns_what_is_reserved_and_finishes_what_runs(site: Site, pool: str) -> None:
    gate = site.folder / "gate"
    worker = site.worker(pool=pool)
    running = site.call("hold", str(site.ledger), str(gate))
    waiting = [site.call("add", n, 1) for n in range(3)]
    assert eventually(lambda: site.lines() and len(site.ask("reserved")) == 3)

    worker.signal(signal.SIGTERM)

    assert eventually(lambda: site.app.broker.depth("celery").ready_count == 3)
    assert worker.process.poll() is None
    gate.touch()
    assert worker.wait() == 0
    assert running.get(timeout=20) == "released"
    site.worker(pool=pool, hostname="w2@test")
    assert [result.get(timeout=20) for result in waiting] == [1, 2, 3]


def test_second_interrupt_is_cold(site: Site) -> None:
    worker = site.worker(pool="prefork")
    result = site.call("hold_late", str(site.ledger), "/nonexistent/gate")
    assert eventually(site.lines)

    worker.signal(signal.SIGINT)
    assert worker.says("Warm shutdown")
    worker.signal(signal.SIGINT)

    assert worker.wait() == 1
    assert site.app.broker.depth("celery").ready_count == 1
    assert result.state == "PENDING"


def test_quit_reports_early_ack_tasks(site: Site) -> None:
    worker = site.worker(pool="prefork")
    result = site.call("hold", str(site.ledger), "/nonexistent/gate")
    assert eventually(site.lines)

    worker.signal(signal.SIGQUIT)

    assert worker.wait() == 1
    with pytest.raises(WorkerLostError, match="shut down"):
        result.get(timeout=20)


def test_grace_ends_a_warm_stop(site: Site) -> None:
    worker = site.worker(pool="prefork", grace=0.2)
    site.call("hold_late", str(site.ledger), "/nonexistent/gate")
    assert eventually(site.lines)

    worker.signal(signal.SIGTERM)

    assert worker.wait() == 1
    assert site.app.broker.depth("celery").ready_count == 1


def test_cold_stop_asked_twice_ends_even_a_busy_solo(site: Site) -> None:
    worker = site.worker(pool="solo")
    site.call("hold_late", str(site.ledger), "/nonexistent/gate")
    assert eventually(site.lines)

    # The system may make one of two that come close together.
    eventually(lambda: worker.signal(signal.SIGQUIT) or worker.process.poll() is not None)

    assert worker.wait() == 1


def test_remapped_term_is_cold(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMAP_SIGTERM", "SIGQUIT")
    worker = site.worker(pool="prefork")
    site.call("hold_late", str(site.ledger), "/nonexistent/gate")
    assert eventually(site.lines)

    worker.signal(signal.SIGTERM)

    assert worker.wait() == 1


def test_shutdown_command_is_warm(site: Site) -> None:
    worker = site.worker(pool="prefork")

    site.app.control.shutdown()

    assert worker.wait() == 0


def test_usr1_shows_the_stacks_and_the_worker_goes_on(site: Site) -> None:
    worker = site.worker(pool="solo")

    worker.signal(signal.SIGUSR1)

    assert worker.says("most recent call first")
    assert site.call("add", 1, 1).get(timeout=20) == 2


def test_children_end_with_their_worker(site: Site) -> None:
    worker = site.worker(pool="prefork", concurrency=2)
    pids = site.ask("stats")["pool"]["processes"]

    os.kill(worker.process.pid, signal.SIGKILL)

    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_second_worker_with_the_pidfile_is_refused(site: Site) -> None:
    pidfile = str(site.folder / "%n.pid")
    site.worker(pool="solo", pidfile=pidfile)

    second = site.starting_worker(pool="solo", pidfile=pidfile)

    assert second.wait() != 0
    assert "is held by process" in second.log

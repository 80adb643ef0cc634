"""A real worker runs what it is sent, on every pool."""

from __future__ import annotations

import pytest
from worker_process import POOLS, Site, eventually

from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.exceptions import NotRegistered, TaskRevokedError

pytestmark = pytest.mark.slow


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_worker_adds_two_and_two(site: Site, pool: str) -> None:
    site.worker(pool=pool)

    assert site.call("add", 2, 2).get(timeout=20) == 4


def test_worker_runs_what_waited_for_it(site: Site, pool: str) -> None:
    results = site.app.send_many([("add", (number, 1), {}, {}) for number in range(300)])

    site.worker(pool=pool, concurrency=2)

    assert [result.get(timeout=20) for result in results] == [n + 1 for n in range(300)]


def test_worker_retries_with_the_same_id(site: Site, pool: str) -> None:
    site.worker(pool=pool)

    result = site.call("retry", str(site.ledger))

    assert result.get(timeout=20) == "at last"
    assert site.lines() == ["run 0", "run 1", "run 2"]


def test_failure_reaches_the_caller_and_the_log(site: Site, pool: str) -> None:
    worker = site.worker(pool=pool)
    result = site.call("fail", "of all things")

    with pytest.raises(ValueError, match="of all things"):
        result.get(timeout=20)

    assert worker.says(f"Task fail[{result.id}] raised unexpected: ValueError('of all things')")
    assert worker.says("Traceback (most recent call last)")


def test_expected_error_is_told_without_traceback(site: Site) -> None:
    worker = site.worker(pool="solo")

    site.call("expected")

    assert worker.says("raised expected: KeyError('x')")
    assert "Traceback" not in worker.log


def test_log_tells_received_and_succeeded(site: Site, pool: str) -> None:
    worker = site.worker(pool=pool)

    result = site.call("add", 2, 2)

    assert worker.says(f"INFO/MainProcess] Task add[{result.id}] received")
    assert worker.says(f"Task add[{result.id}] succeeded in 0.")


def test_print_in_a_task_is_a_warning(site: Site, pool: str) -> None:
    worker = site.worker(pool=pool)

    site.call("shout", "hear me")

    assert worker.says("hear me")
    line = next(line for line in worker.log.splitlines() if line.endswith("hear me"))
    assert ": WARNING/" in line


def test_link_runs_after_success(site: Site) -> None:
    site.worker(pool="solo")
    link = site.app.signature("mark", args=(str(site.ledger),))

    site.call("add", 2, 3, link=link)

    assert eventually(lambda: site.lines() == ["mark 5"])


def test_unknown_task_fails_and_the_next_one_runs(site: Site) -> None:
    site.worker(pool="solo")

    unknown = site.call("nosuch")

    with pytest.raises(NotRegistered):
        unknown.get(timeout=20)
    assert site.call("add", 1, 1).get(timeout=20) == 2
    assert [letter.reason for letter in site.app.broker.dead_letters()] == ["unknown-task"]


def test_rejected_task_is_a_dead_letter(site: Site) -> None:
    site.worker(pool="solo")

    site.call("reject")

    letters = eventually(site.app.broker.dead_letters)
    assert [letter.reason for letter in letters] == ["rejected"]


def test_ignored_task_is_done_without_a_record(site: Site) -> None:
    worker = site.worker(pool="solo")

    result = site.call("ignore")

    assert worker.says(f"Task ignore[{result.id}] ignored")
    assert result.state == "PENDING"


def test_countdown_delays_the_start(site: Site) -> None:
    site.worker(pool="solo")

    due_at = SYSTEM_CLOCK.now() + 0.5

    soon, late = (site.call("add", 1, 1, countdown=delay_s) for delay_s in (0.5, 60))

    assert soon.get(timeout=20) == 2
    assert soon.record().date_done_at >= due_at
    scheduled = eventually(lambda: site.ask("scheduled"))
    assert [item["request"]["id"] for item in scheduled] == [late.id]
    assert late.state == "PENDING"


@pytest.mark.parametrize(("pool", "answer"), [("prefork", "yes"), ("solo", None)])
def test_before_each_fork_a_signal_is_sent(site: Site, pool: str, answer: str | None) -> None:
    site.worker(pool=pool)

    assert site.call("fork_was_told").get(timeout=20) == answer


def test_expired_task_is_revoked(site: Site) -> None:
    gate = site.folder / "gate"
    site.worker(pool="threads")
    site.call("hold", str(site.ledger), str(gate))
    assert eventually(site.lines)
    expires_at = SYSTEM_CLOCK.now() + 0.2
    late = site.call("add", 1, 1, expires=0.2)

    eventually(lambda: SYSTEM_CLOCK.now() > expires_at + 0.1)
    gate.touch()

    with pytest.raises(TaskRevokedError, match="expired"):
        late.get(timeout=20)


def test_rate_limited_tasks_take_their_time(site: Site) -> None:
    site.worker(pool="solo", prefetch_multiplier=1)
    sent_at = SYSTEM_CLOCK.now()

    results = [site.call("limited") for _ in range(6)]

    for result in results:
        result.get(timeout=20)
    ended_at = sorted(result.record().date_done_at for result in results)
    # One may be late for its turn, never early.
    assert [at for turn, at in enumerate(ended_at) if at < sent_at + turn * 0.2 - 0.01] == []


def test_rate_limited_tasks_hold_up_no_other(site: Site) -> None:
    site.worker(pool="solo", prefetch_multiplier=1)

    first, second = (site.call("rare") for _ in range(2))
    other = site.call("add", 1, 1)

    assert first.get(timeout=20) is None
    assert other.get(timeout=20) == 2
    assert second.state == "PENDING"


def test_large_prefetch_of_mixed_tasks_loses_nothing(site: Site) -> None:
    site.worker(pool="prefork", concurrency=2, prefetch_multiplier=0)
    calls = [("add", (n, n), {}, {}) if n % 7 else ("fail", (str(n),), {}, {}) for n in range(500)]

    results = site.app.send_many(calls)

    states = [eventually(lambda each=each: each.ready() and each.state) for each in results]
    assert states.count("FAILURE") == len([n for n in range(500) if n % 7 == 0])
    assert states.count("SUCCESS") == 500 - states.count("FAILURE")

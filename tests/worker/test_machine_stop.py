"""How the state machine shuts down: warm, with a limit, cold, and without a broker."""

from __future__ import annotations

from worker_rig import Rig, policies

from tqconsole.engine.protocol.transfer import ResultWrite
from tqconsole.engine.worker.machine_options import TaskPolicy
from tqconsole.engine.worker.values import KillAll, RevokeAsked, Stop


def test_idle_worker_exits_at_once() -> None:
    rig = Rig()

    rig.step(Stop())

    assert rig.exit_code() == 0


def test_warm_stop_returns_what_has_not_started() -> None:
    rig = Rig(slots=1)
    running, reserved = rig.put("late", "late")
    rig.advance(1)

    rig.step(Stop())

    assert rig.verdict(reserved) == "return"
    assert rig.running() == [running]
    assert rig.exit_code() is None


def test_warm_stop_ends_when_the_last_run_is_settled() -> None:
    rig = Rig()
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.step(Stop())

    rig.end(task_id, results=(ResultWrite(task_id, "SUCCESS", b"{}"),))

    assert rig.verdict(task_id) == "ack"
    assert rig.exit_code() == 0


def test_warm_stop_fetches_nothing_more() -> None:
    rig = Rig(slots=1)
    (task_id,) = rig.put("add")
    rig.advance(1)
    rig.put("add")

    rig.step(Stop())
    rig.end(task_id)

    assert rig.exchanges[-1].wanted == 0
    assert len(rig.queue) == 1


def test_warm_stop_returns_held_and_waiting_tasks() -> None:
    rig = Rig(slots=1, tasks=policies(t=TaskPolicy("t", rate_per_s=0.1)))
    (soon,) = rig.put("add", eta_at=rig.now.at + 1.9)
    first, held = rig.put("t", "t")
    rig.advance(1)
    assert rig.running() == [first]

    rig.step(Stop())

    assert {rig.verdict(soon), rig.verdict(held)} == {"return"}


def test_grace_ends_in_a_cold_stop() -> None:
    rig = Rig(grace_s=5.0)
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.step(Stop())
    assert rig.machine.next_mono() == rig.now.mono + 5.0

    actions = rig.advance(5)

    assert KillAll() in actions
    assert rig.verdict(task_id) == "return"
    assert rig.exit_code() == 1


def test_cold_stop_returns_late_and_reports_early_ones() -> None:
    rig = Rig(slots=2)
    early, late = rig.put("add", "late")
    rig.advance(1)

    rig.step(Stop(is_cold=True))

    assert rig.verdict(late) == "return"
    assert rig.verdict(early) == "ack"
    assert "shut down" in str(rig.record(early).result)
    assert rig.exit_code() == 1


def test_second_stop_makes_a_warm_one_cold() -> None:
    rig = Rig()
    rig.put("late")
    rig.advance(1)
    rig.step(Stop())

    rig.step(Stop(is_cold=True))

    assert rig.exit_code() == 1


def test_early_ack_task_taken_back_at_the_stop_still_runs() -> None:
    rig = Rig(slots=1, prefetch_multiplier=0)
    (warm_up,) = rig.put("add")
    rig.advance(6)
    rig.end(warm_up, runtime_s=0.00001)
    first, second = rig.put("add", "add")
    rig.advance(6)
    rig.withdraw(second)

    rig.step(Stop())
    rig.end(first)

    assert rig.running() == [second]
    rig.end(second)
    assert rig.exit_code() == 0


def test_stop_waits_for_a_broker_that_comes_back() -> None:
    rig = Rig()
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.is_broker_down = True
    rig.end(task_id)
    rig.step(Stop())
    rig.advance(1)
    assert rig.exit_code() is None

    rig.is_broker_down = False
    rig.advance(2)

    assert rig.verdict(task_id) == "ack"
    assert rig.exit_code() == 0


def test_stop_gives_up_on_a_broker_that_stays_away() -> None:
    rig = Rig()
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.is_broker_down = True
    rig.end(task_id)
    rig.step(Stop())

    for _ in range(10):
        rig.advance(2)

    assert rig.exit_code() == 1


def test_commands_during_a_stop_change_nothing_for_the_worse() -> None:
    rig = Rig()
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.step(Stop())

    rig.step(RevokeAsked([task_id]))
    rig.end(task_id)

    assert rig.exit_code() == 0

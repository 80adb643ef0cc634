"""The worker's state machine: what waits for its time or its turn."""

from __future__ import annotations

import pytest
from worker_rig import Rig, policies

from tqconsole.engine.worker.machine_options import TaskPolicy
from tqconsole.engine.worker.values import Exchange, ExchangeDone, Rang, RateSet


def test_bell_that_rings_during_a_fetch_is_not_forgotten() -> None:
    rig = Rig()
    (fetch,) = rig.machine.step(rig.now, [Rang()])
    assert isinstance(fetch, Exchange)
    assert rig.machine.step(rig.now, [Rang()]) == []

    actions = rig.machine.step(rig.now, [ExchangeDone([])])

    assert [type(it) for it in actions] == [Exchange]
    assert rig.machine.step(rig.now, [ExchangeDone([])]) == []


def test_task_of_the_far_future_is_parked() -> None:
    rig = Rig()
    due_at = rig.now.at + 60
    (task_id,) = rig.put("add", eta_at=due_at)

    rig.advance(1)

    assert [each for made in rig.exchanges for each in made.parked] == [(f"tag-{task_id}", due_at)]
    assert rig.running() == []


def test_task_due_within_a_second_waits_here() -> None:
    rig = Rig()
    (task_id,) = rig.put("add", eta_at=rig.now.at + 1.5)
    rig.advance(1)
    assert rig.running() == []
    assert rig.machine.next_mono() == pytest.approx(rig.now.mono + 0.5)

    rig.advance(0.5)

    assert rig.running() == [task_id]


def test_waiting_task_is_held_where_the_broker_cannot_park() -> None:
    rig = Rig(can_park=False)
    (task_id,) = rig.put("add", eta_at=rig.now.at + 600)
    rig.advance(1)

    rig.advance(600)

    assert rig.running() == [task_id]


def test_rate_limited_task_starts_at_its_rate() -> None:
    rig = Rig(slots=4, tasks=policies(t=TaskPolicy("t", rate_per_s=10.0)))
    ids = rig.put("t", "t", "t")
    rig.advance(1)
    assert rig.running() == ids[:1]

    rig.advance(0.1)

    assert rig.running() == ids[:2]


def test_rate_limited_tasks_leave_the_window_to_others() -> None:
    rig = Rig(slots=1, prefetch_multiplier=1, tasks=policies(t=TaskPolicy("t", rate_per_s=0.1)))
    rig.put(*["t"] * 20)
    (other,) = rig.put("add")
    rig.advance(1)
    rig.end(rig.running()[0])
    for _ in range(30):
        rig.advance(0.01)

    assert rig.running() == [other]
    assert sum(len(made.parked) for made in rig.exchanges) > 10


def test_parked_turns_follow_each_other_at_the_rate() -> None:
    rig = Rig(slots=1, tasks=policies(t=TaskPolicy("t", rate_per_s=2.0)))
    rig.put(*["t"] * 8)

    rig.advance(1)

    turns = [due_at - rig.now.at for made in rig.exchanges for _, due_at in made.parked]
    assert turns == pytest.approx([2.5, 3.0, 3.5])


def test_rate_of_zero_lets_the_held_ones_go() -> None:
    rig = Rig(slots=4, tasks=policies(t=TaskPolicy("t", rate_per_s=0.01)))
    ids = rig.put("t", "t")
    rig.advance(1)

    rig.step(RateSet("t", None))

    assert rig.running() == ids

"""Short tasks are handed to a slot while it runs others: it need not wait for the loop."""

from __future__ import annotations

from worker_rig import Rig

from tqconsole.engine.worker.values import Exchange, Withdraw


def warm_rig(slots: int = 1) -> Rig:
    """A rig that knows what the tasks cost: `add` nothing, `late` half a second."""
    rig = Rig(slots=slots, prefetch_multiplier=0, follows_batches=True, max_batch=3)
    for name, runtime_s in (("add", 0.000_01), ("late", 0.5)):
        (task_id,) = rig.put(name)
        rig.advance(6)
        rig.end(task_id, runtime_s=runtime_s)
    return rig


def test_a_slot_gets_a_batch_and_one_behind_it() -> None:
    rig = warm_rig()
    rig.put(*["add"] * 10)

    actions = rig.advance(6)

    assert [len(batch) for batch in rig.submitted(actions)] == [3, 3]
    assert len(rig.machine.hand.ready) == 4


def test_every_free_slot_comes_before_a_place_behind() -> None:
    rig = warm_rig(slots=2)
    rig.put(*["add"] * 8)

    actions = rig.advance(6)

    assert [len(batch) for batch in rig.submitted(actions)] == [3, 3, 1, 1]


def test_what_ended_makes_room_for_one_more() -> None:
    rig = warm_rig()
    ids = rig.put(*["add"] * 12)
    rig.advance(6)
    assert rig.running() == ids[:6]

    for task_id in ids[:2]:
        assert rig.submitted(rig.end(task_id, runtime_s=0.000_01)) == []
    # The first batch has ended, the second one runs.
    actions = rig.end(ids[2], runtime_s=0.000_01)

    assert rig.submitted(actions) == [ids[6:9]]
    assert rig.running() == ids[3:9]


def test_a_slow_task_waits_behind_nothing() -> None:
    rig = warm_rig()
    rig.put("add", "add", "late")

    actions = rig.advance(6)

    assert [len(batch) for batch in rig.submitted(actions)] == [2]
    assert len(rig.machine.hand.ready) == 1


def test_nothing_is_put_behind_a_task_that_came_alone() -> None:
    rig = warm_rig()
    slow, *_ = rig.put("late", "add", "add")

    rig.advance(6)

    assert rig.running() == [slow]


def test_both_batches_behind_a_task_that_turned_slow_are_taken_back() -> None:
    rig = warm_rig()
    ids = rig.put(*["add"] * 6)
    rig.advance(6)
    rig.start(ids[0])

    actions = rig.advance(0.01)

    assert Withdraw() in actions
    rig.withdraw(*ids[1:])
    assert rig.running() == ids[:1]
    assert [entry.header.task_id for entry in rig.machine.hand.ready] == ids[1:]


def test_one_task_behind_a_slow_one_is_taken_back_too() -> None:
    rig = warm_rig()
    ids = rig.put(*["add"] * 4)
    rig.advance(6)
    rig.start(ids[0])
    rig.pass_time(0.01)
    rig.withdraw(*ids[1:3])
    # The last of the four came behind, alone.
    assert rig.running() == [ids[0], ids[3]]

    assert Withdraw() in rig.actions


def test_pools_that_take_nothing_behind_get_a_batch_for_each_free_slot() -> None:
    rig = Rig(slots=1, prefetch_multiplier=0, max_batch=3)
    (task_id,) = rig.put("add")
    rig.advance(6)
    rig.end(task_id, runtime_s=0.000_01)
    rig.put(*["add"] * 10)

    actions = rig.advance(6)

    assert [len(batch) for batch in rig.submitted(actions)] == [3]
    assert any(isinstance(action, Exchange) for action in actions)

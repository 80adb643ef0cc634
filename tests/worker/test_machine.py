"""The worker's state machine: arrival, handing over, and the trips between."""

from __future__ import annotations

from random import Random

from worker_rig import Rig, policies

from tqconsole.engine.protocol.transfer import ResultWrite
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.machine_options import MachineOptions
from tqconsole.engine.worker.values import (
    Exchange,
    ExchangeDone,
    NoteHanded,
    Now,
    Rang,
    SlotsChanged,
    Store,
    Submit,
    Tick,
    Withdraw,
)


def test_machine_runs_and_settles_a_task() -> None:
    rig = Rig()
    (task_id,) = rig.put("add")

    rig.advance(1)
    rig.end(task_id, text="4", results=(ResultWrite(task_id, "SUCCESS", b"{}"),))

    assert rig.verdict(task_id) == "ack"
    assert [write.state for write in rig.results] == ["SUCCESS"]


def test_machine_records_the_handover_before_it_submits() -> None:
    rig = Rig()
    rig.put("add", "late")

    actions = rig.advance(1)

    first_submit = next(i for i, each in enumerate(actions) if isinstance(each, Submit))
    before = [each for each in actions[:first_submit] if isinstance(each, Exchange)]
    assert [(each.tag.split("-")[1], each.is_acked) for each in before[-1].started] == [
        ("add", True),
        ("late", False),
    ]


def test_machine_settles_and_fetches_in_one_exchange() -> None:
    rig = Rig(slots=1)
    (task_id,) = rig.put("add")
    rig.advance(1)
    made_count = len(rig.exchanges)

    rig.end(task_id)

    assert len(rig.exchanges) == made_count + 1
    assert rig.exchanges[-1].settled
    assert rig.exchanges[-1].wanted


def test_machine_stores_first_where_the_store_does_not_ride() -> None:
    rig = Rig(store_rides=False)
    (task_id,) = rig.put("late")
    rig.advance(1)

    actions = rig.end(task_id, results=(ResultWrite(task_id, "SUCCESS", b"{}"),))

    kinds = [type(each) for each in actions if isinstance(each, Store | Exchange)]
    assert kinds == [Store, Exchange]
    assert not any(each.results for each in rig.exchanges)


def test_machine_keeps_outcomes_until_the_broker_takes_them() -> None:
    rig = Rig()
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.is_broker_down = True
    rig.end(task_id)
    assert rig.machine.is_failing
    assert rig.settled == []

    rig.is_broker_down = False
    rig.advance(3)

    assert rig.verdict(task_id) == "ack"
    assert not rig.machine.is_failing


def test_machine_backs_off_between_tries() -> None:
    rig = Rig()
    rig.is_broker_down = True
    rig.advance(1)
    made_count = len(rig.exchanges)

    rig.advance(0.01)

    assert len(rig.exchanges) == made_count
    wait_s = (rig.machine.next_mono() or 0.0) - rig.now.mono
    assert 0 < wait_s <= 0.1


def test_store_that_is_away_keeps_nobody_from_the_broker() -> None:
    rig = Rig(slots=1, store_rides=False)
    first, second = rig.put("late", "late")
    rig.advance(1)
    rig.is_store_down = True

    rig.end(first, results=(ResultWrite(first, "SUCCESS", b"{}"),))

    assert rig.running() == [second]
    assert rig.settled == []
    rig.is_store_down = False
    rig.advance(1)
    assert rig.verdict(first) == "ack"


def test_store_that_is_owed_too_much_stops_the_fetching() -> None:
    rig = Rig(slots=1, store_rides=False)
    first, second = rig.put("late", "late")
    rig.advance(1)
    rig.is_store_down = True
    rig.end(first, results=(ResultWrite(first, "SUCCESS", bytes(2**26 + 1)),))
    rig.end(second)
    rig.put("late")

    rig.advance(0.01)

    assert rig.running() == []
    rig.is_store_down = False
    rig.advance(1)
    assert len(rig.running()) == 1


def test_machine_waits_a_second_at_most() -> None:
    rig = Rig()
    rig.is_broker_down = True
    for _ in range(20):
        rig.advance(2)

    wait_s = (rig.machine.next_mono() or 0.0) - rig.now.mono

    assert wait_s <= 1.0


def test_handover_is_repeated_after_a_failed_exchange() -> None:
    rig = Rig(slots=1)
    first, second = rig.put("late", "late")
    rig.advance(1)
    rig.is_broker_down = True
    rig.end(first)
    assert rig.running() == []

    rig.is_broker_down = False
    rig.advance(3)

    assert rig.running() == [second]
    assert [each.tag for each in rig.handovers] == [f"tag-{first}", f"tag-{second}"]


def test_slow_or_unknown_tasks_go_one_by_one() -> None:
    rig = Rig(slots=1)
    ids = rig.put("add", "add", "add")

    actions = rig.advance(1)

    assert rig.submitted(actions) == [[ids[0]]]


def test_fast_tasks_go_in_batches() -> None:
    rig = Rig(slots=1, prefetch_multiplier=0)
    warm_up = rig.put("add")
    rig.advance(1)
    rig.end(warm_up[0], runtime_s=0.00001)
    ids = rig.put(*["add"] * 100)

    actions = rig.advance(6)

    assert rig.submitted(actions)[0] == ids[:20]


def test_fast_task_does_not_go_with_a_slow_one() -> None:
    rig = Rig(slots=1, prefetch_multiplier=0)
    for name, runtime_s in (("add", 0.00001), ("late", 0.5)):
        (task_id,) = rig.put(name)
        rig.advance(6)
        rig.end(task_id, runtime_s=runtime_s)
    fast, slow = rig.put("add", "late")
    rig.advance(6)

    assert rig.running() == [fast]
    rig.end(fast, runtime_s=0.00001)
    assert rig.running() == [slow]


def test_free_slots_share_what_is_ready() -> None:
    rig = Rig(slots=2, prefetch_multiplier=0)
    (warm_up,) = rig.put("add")
    rig.advance(6)
    rig.end(warm_up, runtime_s=0.00001)
    rig.put(*["add"] * 10)

    actions = rig.advance(6)

    assert [len(batch) for batch in rig.submitted(actions)] == [5, 5]


def test_batch_behind_a_slow_task_is_taken_back() -> None:
    rig = Rig(slots=1, prefetch_multiplier=0)
    (warm_up,) = rig.put("add")
    rig.advance(6)
    rig.end(warm_up, runtime_s=0.00001)
    ids = rig.put("add", "add", "add")
    rig.advance(6)
    rig.start(ids[0])

    actions = rig.advance(0.01)

    assert Withdraw() in actions
    rig.withdraw(ids[1], ids[2])
    assert rig.running() == ids[:1]
    assert [entry.header.task_id for entry in rig.machine.hand.ready] == ids[1:]


def test_window_grows_with_what_ran_just_now() -> None:
    rig = Rig(slots=1, prefetch_multiplier=1)
    for _ in range(30):
        rig.put("add")
        rig.advance(0.0001)
        for task_id in rig.running():
            rig.end(task_id, runtime_s=0.00001)

    assert rig.exchanges[-1].wanted > 10


def test_window_of_slow_tasks_is_multiplier_times_slots() -> None:
    rig = Rig(slots=2, prefetch_multiplier=4)
    rig.put(*["late"] * 20)

    rig.advance(1)

    assert rig.machine.hand.in_window_count() == 8


def test_one_by_one_reserves_nothing() -> None:
    rig = Rig(slots=1, prefetch_multiplier=1)
    first, _ = rig.put("late", "late")

    rig.advance(1)

    assert rig.running() == [first]
    assert not rig.machine.hand.ready


def test_tick_without_work_does_nothing() -> None:
    rig = Rig()
    rig.advance(1)

    assert rig.step(Tick()) == []


def test_what_is_acknowledged_early_is_noted_before_where_the_broker_forgets_it() -> None:
    rig = Rig(slots=1, store_rides=False, notes_handed=True)
    early, late, second = rig.put("add", "late", "add")

    actions = rig.advance(1)
    kinds = [type(it) for it in actions if isinstance(it, NoteHanded | Submit)]
    assert kinds == [NoteHanded, Submit]
    assert _noted(rig) == [early]

    rig.is_store_down = True
    rig.end(early, results=(ResultWrite(early, "SUCCESS", b"{}"),))
    rig.end(late, results=(ResultWrite(late, "SUCCESS", b"{}"),))
    # Its result is not stored yet: the next note still has it.
    assert _noted(rig) == [early, second]
    rig.is_store_down = False
    rig.advance(1)
    rig.put("add")
    rig.end(second, results=(ResultWrite(second, "SUCCESS", b"{}"),))
    assert early not in _noted(rig)


def _noted(rig: Rig) -> list[str]:
    return [
        [task_id for task_id, _ in it.handed] for it in rig.actions if isinstance(it, NoteHanded)
    ][-1]


def test_bell_during_a_trip_asks_for_another() -> None:
    machine = Machine(MachineOptions("w1@here"), policies(), Random(1))
    now = Now(1_800_000_000.0, 1000.0)
    (first,) = machine.step(now, [SlotsChanged(2, 2)])
    assert isinstance(first, Exchange)

    # What rang may have come after the fetch of the trip that is still under way.
    machine.step(now, [Rang()])
    again = machine.step(now, [ExchangeDone()])

    assert [action.wanted for action in again if isinstance(action, Exchange)] == [first.wanted]


def test_task_that_expires_while_the_broker_is_away_does_not_start() -> None:
    rig = Rig(slots=1)
    running, waiting = rig.put("add", "add", expires_at=rig.now.at + 5)
    rig.advance(1)
    rig.is_broker_down = True
    rig.end(running)

    rig.advance(10)
    rig.is_broker_down = False
    rig.advance(3)

    assert rig.running() == []
    assert rig.record(waiting).state == "REVOKED"

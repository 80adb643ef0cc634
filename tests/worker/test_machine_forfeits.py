"""What the state machine does when the broker takes deliveries from it: a lost connection."""

from __future__ import annotations

from worker_rig import Rig

from tqconsole.engine.protocol.transfer import ResultWrite, Verdict


def test_forfeited_task_does_not_start() -> None:
    rig = Rig(slots=1)
    running, ready = rig.put("late", "late")
    rig.advance(1)
    rig.forfeited = [f"tag-{ready}"]

    rig.advance(1)
    rig.end(running)

    assert rig.running() == []
    assert [it.tag for it in rig.settled] == [f"tag-{running}"]


def test_forfeited_handover_does_not_start() -> None:
    rig = Rig(slots=1)
    running, next_one = rig.put("add", "add")
    rig.advance(1)
    rig.forfeited = [f"tag-{next_one}"]

    rig.end(running)

    assert [it.tag for it in rig.handovers] == [f"tag-{running}", f"tag-{next_one}"]
    assert rig.running() == []


def test_failed_handover_of_a_forfeited_task_is_not_tried_again() -> None:
    rig = Rig(slots=1)
    running, next_one = rig.put("add", "add")
    rig.advance(1)
    rig.is_broker_down = True
    rig.forfeited = [f"tag-{next_one}"]
    rig.end(running)
    rig.is_broker_down = False

    rig.advance(5)

    assert rig.running() == []


def test_forfeited_task_that_comes_back_unbegun_does_not_start() -> None:
    rig = Rig(slots=1)
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.forfeited = [f"tag-{task_id}"]
    rig.advance(1)

    rig.withdraw(task_id)
    rig.advance(1)

    assert rig.running() == []
    assert [it.tag for it in rig.handovers] == [f"tag-{task_id}"]


def test_message_of_a_run_that_was_given_up_starts_when_it_comes_back() -> None:
    rig = Rig(slots=1)
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.forfeited = [f"tag-{task_id}"]
    rig.advance(1)
    rig.withdraw(task_id)

    rig.put("late", task_id=task_id, delivery={"tag": "tag-again", "is_redelivered": True})
    rig.advance(1)

    assert rig.running() == [task_id]
    assert rig.handovers[-1].tag == "tag-again"


def test_message_that_comes_back_settles_the_run_that_is_there() -> None:
    rig = Rig(slots=2)
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.forfeited = [f"tag-{task_id}"]
    rig.advance(1)

    rig.put("late", task_id=task_id, delivery={"tag": "tag-again", "is_redelivered": True})
    rig.advance(1)
    assert rig.running() == [task_id]
    rig.end(task_id, results=(ResultWrite(task_id, "SUCCESS", b"{}"),))

    assert [(it.tag, it.verdict) for it in rig.settled] == [("tag-again", Verdict.ACK)]
    assert len(rig.handovers) == 1


def test_message_that_comes_back_late_is_settled_as_its_run_was() -> None:
    rig = Rig(slots=2)
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.forfeited = [f"tag-{task_id}"]
    rig.advance(1)
    rig.end(task_id)

    rig.put("late", task_id=task_id, delivery={"tag": "tag-again", "is_redelivered": True})
    rig.advance(1)

    assert rig.running() == []
    assert [it.tag for it in rig.settled] == [f"tag-{task_id}", "tag-again"]
    assert rig.settled[-1].verdict is Verdict.ACK


def test_next_attempt_of_a_forfeited_run_is_another_one() -> None:
    rig = Rig(slots=2)
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.forfeited = [f"tag-{task_id}"]
    rig.advance(1)
    rig.end(task_id, "RETRY")

    rig.put("late", task_id=task_id, retries=1, delivery={"tag": "tag-retry"})
    rig.advance(1)

    assert rig.running() == [task_id]


def test_task_that_has_killed_often_enough_is_a_dead_letter() -> None:
    rig = Rig()

    (task_id,) = rig.put("late", delivery={"deaths": 5})
    rig.advance(1)

    assert rig.verdict(task_id) == "dead"
    assert rig.running() == []
    record = rig.record(task_id)
    assert (record.state, str(record.result)) == (
        "FAILURE",
        "the process that ran it died 5 times",
    )


def test_task_may_try_once_more_before_that() -> None:
    rig = Rig()

    (task_id,) = rig.put("late", delivery={"deaths": 4})
    rig.advance(1)

    assert rig.running() == [task_id]


def test_dead_letter_of_a_forfeited_message_keeps_its_reason() -> None:
    rig = Rig(slots=1, max_deaths=1)
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.forfeited = [f"tag-{task_id}"]
    rig.advance(1)
    rig.lose(task_id)

    rig.put("late", task_id=task_id, delivery={"tag": "tag-again", "is_redelivered": True})
    rig.advance(1)

    again = rig.settled[-1]
    assert (again.tag, again.verdict, again.reason) == ("tag-again", Verdict.DEAD, "worker-lost")


def test_message_that_comes_back_does_not_overtake_its_record() -> None:
    rig = Rig(slots=1, store_rides=False)
    (task_id,) = rig.put("late")
    rig.advance(1)
    rig.forfeited = [f"tag-{task_id}"]
    rig.advance(1)
    rig.is_store_down = True
    rig.end(task_id, results=(ResultWrite(task_id, "SUCCESS", b"{}"),))

    rig.put("late", task_id=task_id, delivery={"tag": "tag-again", "is_redelivered": True})
    rig.advance(3)
    assert rig.settled == []
    rig.is_store_down = False
    rig.advance(3)

    assert [it.task_id for it in rig.results] == [task_id]
    assert "tag-again" in [it.tag for it in rig.settled]

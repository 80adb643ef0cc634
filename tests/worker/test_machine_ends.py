"""The worker's state machine: how a task ends, and what becomes of its message."""

from __future__ import annotations

import pytest
from worker_rig import Rig, policies

from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication
from tqconsole.engine.worker.machine_options import TaskPolicy
from tqconsole.engine.worker.values import EventsSwitched, Submit, TimeLimitSet


def test_unknown_task_fails_and_is_a_dead_letter() -> None:
    rig = Rig()
    rig.step(EventsSwitched(is_on=True))
    (task_id,) = rig.put("nosuch")

    rig.advance(6)

    assert rig.verdict(task_id) == "dead"
    assert rig.settled[0].reason == "unknown-task"
    assert rig.record(task_id).state == "FAILURE"
    assert (
        "task-failed",
        {"uuid": task_id, "exception": "NotRegistered('nosuch')"},
    ) in rig.events()


def test_refused_message_is_a_dead_letter_and_the_next_one_runs() -> None:
    rig = Rig()
    rig.put_refused("bad-header", "task is a list")
    (task_id,) = rig.put("add")

    rig.advance(1)

    assert [(each.verdict.value, each.reason) for each in rig.settled] == [("dead", "bad-header")]
    assert rig.running() == [task_id]


def test_expired_task_is_revoked_on_arrival() -> None:
    rig = Rig()
    rig.step(EventsSwitched(is_on=True))
    (task_id,) = rig.put("add", expires_at=rig.now.at - 1)

    rig.advance(1)

    assert rig.record(task_id).result.args == ("expired",)
    assert rig.events() == [
        ("task-revoked", {"uuid": task_id, "terminated": False, "signum": None, "expired": True})
    ]


def test_task_that_expires_while_it_waits_does_not_start() -> None:
    rig = Rig(slots=1)
    (first,) = rig.put("add")
    (second,) = rig.put("add", expires_at=rig.now.at + 5)
    rig.advance(1)

    rig.advance(10)
    rig.end(first)

    assert rig.record(second).state == "REVOKED"
    assert rig.running() == []


def test_ignored_result_leaves_no_record_of_a_revocation() -> None:
    rig = Rig()
    rig.put("add", expires_at=rig.now.at - 1, ignore_result=True)

    rig.advance(1)

    assert rig.results == []


@pytest.mark.parametrize(
    ("state", "outcome", "task", "verdict"),
    [
        ("SUCCESS", {}, {}, "ack"),
        ("FAILURE", {}, {}, "ack"),
        ("FAILURE", {}, {"acks_on_failure": False}, "dead"),
        ("FAILURE", {"is_timeout": True}, {"acks_on_failure": False}, "ack"),
        ("FAILURE", {"is_timeout": True}, {"acks_on_timeout": False}, "dead"),
        ("RETRY", {}, {}, "ack"),
        ("IGNORED", {}, {}, "ack"),
        ("REJECTED", {"is_requeued": True}, {}, "return"),
        ("REJECTED", {}, {}, "dead"),
    ],
)
def test_late_ack_settles_by_outcome(
    state: str, outcome: dict[str, bool], task: dict[str, bool], verdict: str
) -> None:
    rig = Rig(tasks={"t": TaskPolicy("t", acks_late=True, **task)})
    (task_id,) = rig.put("t")
    rig.advance(1)

    rig.end(task_id, state, **outcome)

    assert rig.verdict(task_id) == verdict


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REJECTED"])
def test_early_ack_is_settled_as_done_whatever_comes(state: str) -> None:
    rig = Rig(tasks={"t": TaskPolicy("t", acks_on_failure=False)})
    (task_id,) = rig.put("t")
    rig.advance(1)

    rig.end(task_id, state)

    assert rig.verdict(task_id) == "ack"


def test_retry_publication_rides_with_the_settlement() -> None:
    rig = Rig()
    (task_id,) = rig.put("late")
    rig.advance(1)

    rig.end(task_id, "RETRY", publications=(Publication(Message(b"again"), "celery"),))

    assert rig.exchanges[-1].publications[0].message.body == b"again"
    assert rig.exchanges[-1].settled


def test_lost_early_ack_task_fails() -> None:
    rig = Rig()
    (task_id,) = rig.put("add")
    rig.advance(1)

    rig.lose(task_id)

    assert rig.verdict(task_id) == "ack"
    assert "signal 9 (SIGKILL)" in str(rig.record(task_id).result)


def test_lost_late_ack_task_comes_back() -> None:
    rig = Rig()
    rig.step(EventsSwitched(is_on=True))
    (task_id,) = rig.put("late")
    rig.advance(1)

    rig.lose(task_id)

    assert rig.verdict(task_id) == "died"
    assert rig.results == []
    assert ("task-rejected", {"uuid": task_id, "requeue": True}) in rig.events()


def test_late_ack_task_of_a_queue_without_acknowledging_is_lost() -> None:
    rig = Rig(no_ack_queues=frozenset({"celery"}))
    (task_id,) = rig.put("late")
    rig.advance(1)

    rig.lose(task_id)

    assert rig.verdict(task_id) == "ack"
    assert rig.record(task_id).state == "FAILURE"


def test_fifth_death_is_a_dead_letter() -> None:
    rig = Rig()
    (task_id,) = rig.put("late", delivery={"deaths": 4})
    rig.advance(1)

    rig.lose(task_id)

    assert rig.verdict(task_id) == "dead"
    assert rig.settled[-1].reason == "worker-lost"
    assert rig.record(task_id).state == "FAILURE"


def test_lost_late_ack_task_fails_where_the_task_says_so() -> None:
    rig = Rig(tasks={"t": TaskPolicy("t", acks_late=True, returns_lost=False)})
    (task_id,) = rig.put("t")
    rig.advance(1)

    rig.lose(task_id)

    assert rig.verdict(task_id) == "ack"
    assert rig.record(task_id).state == "FAILURE"


def test_job_that_never_began_is_submitted_again() -> None:
    rig = Rig()
    (task_id,) = rig.put("late")
    rig.advance(1)

    actions = rig.lose(task_id, was_started=False)

    assert rig.submitted(actions) == [[task_id]]
    assert len(rig.handovers) == 1
    assert rig.settled == []


def test_hard_limit_fails_the_task() -> None:
    rig = Rig(tasks=policies(t=TaskPolicy("t", hard_limit_s=3.0)))
    (task_id,) = rig.put("t")
    rig.advance(1)

    rig.lose(task_id, is_time_limit=True)

    assert rig.verdict(task_id) == "ack"
    assert repr(rig.record(task_id).result) == "TimeLimitExceeded(3.0)"


def test_message_limits_win_over_the_task() -> None:
    rig = Rig(tasks=policies(t=TaskPolicy("t", hard_limit_s=3.0, soft_limit_s=2.0)))
    rig.put("t", hard_limit_s=30.0)

    actions = rig.advance(1)

    (order,) = next(each for each in actions if isinstance(each, Submit)).orders
    assert (order.soft_limit_s, order.hard_limit_s) == (2.0, 30.0)


def test_time_limit_command_holds_for_later_runs() -> None:
    rig = Rig()
    rig.step(TimeLimitSet("add", 9.0, 8.0))
    rig.put("add")

    actions = rig.advance(1)

    (order,) = next(each for each in actions if isinstance(each, Submit)).orders
    assert (order.soft_limit_s, order.hard_limit_s) == (8.0, 9.0)

"""The worker's state machine: arrival, handing over, ends, and the trips between."""

from __future__ import annotations

import pytest
from worker_rig import Rig, policies

from tqconsole.engine.pools.base import JobStarted
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, ResultWrite
from tqconsole.engine.worker.outcome import Outcome
from tqconsole.engine.worker.values import (
    EventsSwitched,
    Exchange,
    LossReported,
    Now,
    RateSet,
    RecordRevoked,
    RecordsLeft,
    RevokeAsked,
    RunEnded,
    StampsRevoked,
    Store,
    Submit,
    TaskPolicy,
    Terminate,
    Tick,
    TimeLimitSet,
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


def test_machine_waits_two_seconds_at_most() -> None:
    rig = Rig()
    rig.is_broker_down = True
    for _ in range(20):
        rig.advance(2)

    wait_s = (rig.machine.next_mono() or 0.0) - rig.now.mono

    assert wait_s <= 2.0


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


def test_revoked_id_does_not_start() -> None:
    rig = Rig()
    rig.step(RevokeAsked(["x"]))
    rig.put("add", task_id="x")

    rig.advance(1)

    assert rig.verdict("x") == "ack"
    assert rig.record("x").result.args == ("revoked",)
    assert rig.running() == []


def test_revoke_ends_what_is_reserved_at_once() -> None:
    rig = Rig(slots=1)
    first, second = rig.put("late", "late")
    rig.advance(1)

    rig.step(RevokeAsked([first, second]))

    assert rig.verdict(second) == "ack"
    assert rig.running() == [first]


def test_commanded_revoke_has_what_waits_elsewhere_recorded() -> None:
    rig = Rig(slots=1)
    running, reserved = rig.put("late", "late")
    rig.advance(1)

    actions = rig.step(RevokeAsked([running, "parked", reserved], is_recorded=True))

    assert RecordRevoked(["parked"]) in actions


def test_revoke_leaves_alone_what_has_just_ended() -> None:
    rig = Rig()
    (task_id,) = rig.put("add")
    rig.advance(1)
    write = ResultWrite(task_id, "SUCCESS", b"{}")
    outcome = RunEnded(rig.job_id(task_id), Outcome("SUCCESS", 0.1, results=(write,)))

    actions = rig.step(outcome, RevokeAsked([task_id, "parked"], is_recorded=True))

    assert RecordRevoked(["parked"]) in actions


def test_remembered_revoke_is_not_recorded() -> None:
    rig = Rig()

    actions = rig.step(RevokeAsked(["x"]))

    assert not any(isinstance(action, RecordRevoked) for action in actions)


def test_revoke_is_not_recorded_without_a_store() -> None:
    rig = Rig(stores_results=False)

    actions = rig.step(RevokeAsked(["x"], is_recorded=True))

    assert not any(isinstance(action, RecordRevoked) for action in actions)


def test_what_was_left_of_a_large_revoke_is_recorded_next() -> None:
    assert Rig().step(RecordsLeft(["x"])) == [RecordRevoked(["x"])]


def test_stamped_task_does_not_start() -> None:
    rig = Rig()
    rig.step(StampsRevoked({"customer": [7, 8]}))
    rig.put("add", task_id="x", stamps={"customer": "7"})
    rig.put("add", task_id="y", stamps={"customer": "9"})

    rig.advance(1)

    assert rig.verdict("x") == "ack"
    assert rig.running() == ["y"]


def test_terminate_kills_and_revokes() -> None:
    rig = Rig()
    rig.step(EventsSwitched(is_on=True))
    (task_id,) = rig.put("late")
    rig.advance(1)
    job_id = rig.job_id(task_id)

    actions = rig.step(RevokeAsked([task_id], 15))
    rig.lose(task_id, signal=15, is_terminated=True)

    assert Terminate(job_id, 15) in actions
    assert rig.record(task_id).result.args == ("terminated",)
    assert rig.events()[-1] == (
        "task-revoked",
        {"uuid": task_id, "terminated": True, "signum": 15, "expired": False},
    )


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

    assert rig.submitted(actions)[0] == ids[:10]


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


def test_events_are_made_only_for_listeners() -> None:
    rig = Rig()
    (task_id,) = rig.put("add")
    rig.advance(1)
    rig.end(task_id)
    assert rig.events() == []

    rig.step(EventsSwitched(is_on=True))
    (task_id,) = rig.put("add")
    rig.advance(6)
    rig.start(task_id)
    rig.end(task_id, text="4", runtime_s=0.5)

    assert [kind for kind, _ in rig.events()] == ["task-received", "task-started", "task-succeeded"]


def test_events_bear_the_time_when_it_happened() -> None:
    rig = Rig()
    rig.step(EventsSwitched(is_on=True))
    (task_id,) = rig.put("add")
    rig.advance(1)
    rig.now = Now(rig.now.at + 9, rig.now.mono + 9)

    # As solo tells it: all at once, when the run is over.
    rig.step(JobStarted(rig.job_id(task_id), 7, rig.now.mono - 6))
    rig.end(task_id, runtime_s=2.0)

    assert rig.event_times() == {"task-received": 1, "task-started": 4, "task-succeeded": 6}


def test_silent_task_sends_no_events() -> None:
    rig = Rig(tasks={"t": TaskPolicy("t", sends_events=False)})
    rig.step(EventsSwitched(is_on=True))
    (task_id,) = rig.put("t")
    rig.advance(1)
    rig.end(task_id)

    assert rig.events() == []


def test_losses_of_dead_workers_are_reported() -> None:
    rig = Rig()
    rig.step(EventsSwitched(is_on=True))
    (task_id,) = rig.put("add")
    arrivals, rig.queue = rig.queue, []

    rig.step(LossReported(lost=arrivals))

    assert rig.record(task_id).state == "FAILURE"
    assert rig.events()[0][0] == "task-failed"
    assert rig.settled == []


@pytest.mark.parametrize(
    ("state", "outcome", "line"),
    [
        ("SUCCESS", {"text": "4", "runtime_s": 0.0012}, "succeeded in 0.0012s: 4"),
        ("FAILURE", {"text": "ValueError('x')"}, "raised unexpected: ValueError('x')"),
        ("FAILURE", {"text": "KeyError()", "is_expected": True}, "raised expected: KeyError()"),
        ("RETRY", {"note": "Retry in 3s: OSError()"}, "retry: Retry in 3s: OSError()"),
        ("IGNORED", {}, "ignored"),
    ],
)
def test_outcome_is_told_in_celerys_words(
    state: str, outcome: dict[str, object], line: str
) -> None:
    rig = Rig()
    (task_id,) = rig.put("add")
    rig.advance(1)

    rig.end(task_id, state, **outcome)

    assert rig.lines()[-2:] == [f"Task add[{task_id}] received", f"Task add[{task_id}] {line}"]


def test_nothing_is_logged_of_successes_when_nobody_reads_them() -> None:
    rig = Rig(logs_info=False)
    (task_id,) = rig.put("add")
    rig.advance(1)

    rig.end(task_id)

    assert rig.lines() == []


def test_tick_without_work_does_nothing() -> None:
    rig = Rig()
    rig.advance(1)

    assert rig.step(Tick()) == []

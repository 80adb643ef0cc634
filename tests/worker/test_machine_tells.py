"""The worker's state machine: events, reports of losses, and log lines."""

from __future__ import annotations

import pytest
from worker_rig import Rig

from tqconsole.engine.pools.base import JobStarted
from tqconsole.engine.worker.machine_options import TaskPolicy
from tqconsole.engine.worker.values import EventsSwitched, LossReported, Now


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
    # It is in our hands from the moment it is told, and must leave them with its record.
    assert rig.verdict(task_id) == "ack"


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

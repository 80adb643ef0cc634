"""The worker's state machine: what was revoked does not start."""

from __future__ import annotations

from worker_rig import Rig

from tqconsole.engine.protocol.transfer import ResultWrite
from tqconsole.engine.worker.outcome import Outcome
from tqconsole.engine.worker.values import (
    EventsSwitched,
    RecordRevoked,
    RecordsLeft,
    RevokeAsked,
    RunEnded,
    StampsRevoked,
    Terminate,
)


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

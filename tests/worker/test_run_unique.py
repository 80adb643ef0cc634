"""Unique tasks, from the runner's side: what was sent without a claim needs the key to run."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from run_rig import RunRig, record

from tqconsole.engine import states
from tqconsole.engine.backends import open_backend
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.exceptions import OperationalError, TaskRevokedError
from tqconsole.engine.protocol.result import ResultRecord, encode_record
from tqconsole.engine.protocol.transfer import ResultWrite

Ship = Callable[..., Any]


@pytest.fixture
def rig() -> RunRig:
    rig = RunRig()
    # Of its own: a key that one test has must be free in the next.
    rig.app.broker = open_broker(f"memory://{uuid.uuid4()}")
    rig.app.backend = open_backend(f"cache+memory://{uuid.uuid4()}")
    return rig


def shipping(rig: RunRig, **options: Any) -> Any:
    @rig.app.task(name="ship", unique_key="{0}", **options)
    def ship(order: str, *, fails: bool = False) -> str:
        if fails:
            raise KeyError(order)
        return f"shipped {order}"

    rig.app.finalize()
    return rig.app.tasks["ship"]


def ended(rig: RunRig, task_id: str, value: Any, state: str = states.SUCCESS) -> None:
    write = ResultWrite(task_id, state, encode_record(ResultRecord(task_id, state, value)))
    rig.app.backend.store([write])


def test_a_run_claims_its_key_and_lets_it_go(rig: RunRig) -> None:
    ship = shipping(rig)

    assert record(rig.run(ship, "a")).result == "shipped a"
    assert record(rig.run(ship, "a")).result == "shipped a"


def test_the_call_that_has_the_key_runs(rig: RunRig) -> None:
    ship = shipping(rig)
    first = ship.delay("a")
    (message,) = rig.app.broker.peek("celery", 9)

    outcome = rig.run_message(message)

    assert (outcome.state, record(outcome).task_id) == (states.SUCCESS, first.id)
    assert ship.delay("a").id != first.id


def test_a_second_one_is_refused_with_the_first_ones_id(rig: RunRig) -> None:
    ship = shipping(rig)
    first = ship.delay("a")

    outcome = rig.run(ship, "a")

    assert outcome.state == states.FAILURE
    assert f"is on its way as {first.id}" in outcome.text
    assert rig.run(ship, "b").state == states.SUCCESS
    assert rig.run(ship, "a").state == states.FAILURE, "the first one has its key still"


def test_a_second_one_waits_and_takes_the_first_ones_value(rig: RunRig) -> None:
    ship = shipping(rig, unique_policy="join", max_retries=0)
    first = ship.delay("a")

    waiting = rig.run(ship, "a", task_id="second")
    assert (waiting.state, waiting.note) == (states.RETRY, f"Waits: {first.id} has the key")
    still = rig.run_again(waiting)
    assert still.state == states.RETRY
    ended(rig, first.id, "by the first")
    done = rig.run_again(still)

    assert (record(done).task_id, record(done).result) == ("second", "by the first")


@pytest.mark.parametrize(
    ("state", "error"),
    [(states.FAILURE, KeyError("a")), (states.REVOKED, TaskRevokedError("revoked"))],
)
def test_a_second_one_ends_as_the_first(rig: RunRig, state: str, error: Exception) -> None:
    ship = shipping(rig, unique_policy="join")
    first = ship.delay("a")
    waiting = rig.run(ship, "a")
    ended(rig, first.id, error, state)

    outcome = rig.run_again(waiting)

    assert (outcome.state, outcome.text) == (states.FAILURE, repr(error))


def test_a_second_one_runs_itself_when_nothing_tells_of_the_first(rig: RunRig) -> None:
    ship = shipping(rig, unique_policy="join")
    first = ship.delay("a")
    waiting = rig.run(ship, "a")
    # It has let its key go and left no record, as with `ignore_result`.
    ship.backend.release("tq-unique-ship-a", first.id.encode())

    assert record(rig.run_again(waiting)).result == "shipped a"


def test_a_retry_of_its_own_does_not_look_back_at_the_first(rig: RunRig) -> None:
    @rig.app.task(name="ship", bind=True, unique_key="{0}", unique_policy="join")
    def ship(self: Any, order: str) -> str:
        if not self.request.retries:
            raise self.retry(countdown=0)
        return f"shipped {order}"

    rig.app.finalize()
    task = rig.app.tasks["ship"]
    first = task.delay("a")
    waiting = rig.run(task, "a")
    task.backend.release("tq-unique-ship-a", first.id.encode())
    retried = rig.run_again(waiting)
    assert retried.state == states.RETRY
    ended(rig, first.id, "by the first")

    assert record(rig.run_again(retried)).result == "shipped a"


def test_a_store_that_is_away_lets_it_wait(rig: RunRig, monkeypatch: pytest.MonkeyPatch) -> None:
    ship = shipping(rig)

    def fail(*_: Any) -> Any:
        raise OperationalError("away")

    with monkeypatch.context() as patched:
        patched.setattr(rig.app.backend, "claim", fail)
        waiting = rig.run(ship, "a")

    assert (waiting.state, waiting.note) == (states.RETRY, "Waits: no result store: away")
    assert record(rig.run_again(waiting)).result == "shipped a"


def test_arguments_that_give_no_key_fail_the_run(rig: RunRig) -> None:
    @rig.app.task(name="ship", unique_key="{3}")
    def ship(order: str) -> None: ...

    rig.app.finalize()

    assert "unique_key '{3}' of task ship does not fit" in rig.run(rig.app.tasks["ship"], "a").text

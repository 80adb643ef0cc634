from __future__ import annotations

import pytest
from client_rig import RecordingBroker, make_app

from tqconsole.engine.clock import ManualClock
from tqconsole.engine.exceptions import OperationalError


def test_a_failed_publish_is_tried_again() -> None:
    broker, clock = RecordingBroker(failure_count=3), ManualClock()
    app = make_app(broker=broker, clock=clock)

    app.send_task("x")

    assert broker.attempt_count == 4
    assert clock.mono() == pytest.approx(0 + 0.2 + 0.4)


def test_it_fails_after_the_last_attempt() -> None:
    broker = RecordingBroker(failure_count=99)
    app = make_app(broker=broker, clock=ManualClock())

    with pytest.raises(OperationalError):
        app.send_task("x")

    assert broker.attempt_count == 4


def test_retry_false_fails_at_once() -> None:
    broker, clock = RecordingBroker(failure_count=99), ManualClock()
    app = make_app(broker=broker, clock=clock)

    with pytest.raises(OperationalError):
        app.send_task("x", retry=False)

    assert (broker.attempt_count, clock.mono()) == (1, 0)


def test_the_settings_may_turn_it_off() -> None:
    broker = RecordingBroker(failure_count=99)
    app = make_app(broker=broker, clock=ManualClock(), task_publish_retry=False)

    with pytest.raises(OperationalError):
        app.send_task("x")

    assert broker.attempt_count == 1


def test_a_call_may_have_its_own_policy() -> None:
    broker, clock = RecordingBroker(failure_count=99), ManualClock()
    app = make_app(broker=broker, clock=clock)
    policy = {"max_retries": 2, "interval_start": 5, "interval_step": 5, "interval_max": 8}

    with pytest.raises(OperationalError):
        app.send_task("x", retry_policy=policy)

    assert broker.attempt_count == 3
    assert clock.mono() == 5 + 8


def test_a_timeout_bounds_all_attempts() -> None:
    broker, clock = RecordingBroker(failure_count=10**6), ManualClock()
    app = make_app(broker=broker, clock=clock)
    policy = {"max_retries": None, "interval_start": 1, "interval_step": 0}

    with pytest.raises(OperationalError):
        app.send_task("x", retry_policy=policy, timeout=10)

    assert clock.mono() <= 10


def test_a_queue_for_the_answer_that_cannot_be_made_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Expecting:
        """Its connection breaks twice."""

        attempt_count = 0

        def expect(self, reply_to: str) -> None:
            self.attempt_count += 1
            if self.attempt_count < 3:
                raise OperationalError("the server hung up")

    broker, backend = RecordingBroker(), Expecting()
    app = make_app(broker=broker, clock=ManualClock(), backend="rpc://")
    monkeypatch.setattr(type(app), "backend", backend)

    app.send_task("x")

    assert (backend.attempt_count, broker.attempt_count) == (3, 1)


def test_other_errors_are_tried_again_when_named() -> None:
    class FlakyBroker(RecordingBroker):
        def publish(self, publications: object) -> None:
            self.attempt_count += 1
            if self.attempt_count < 3:
                raise ConnectionResetError

    broker = FlakyBroker()
    app = make_app(broker=broker, clock=ManualClock())

    app.send_task("x", retry_policy={"retry_errors": (ConnectionResetError,)})

    assert broker.attempt_count == 3

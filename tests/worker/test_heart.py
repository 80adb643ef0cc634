"""The heart beats on, whatever its broker does, and says once that it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tqconsole.engine.brokers import open_broker
from tqconsole.engine.clock import SYSTEM_CLOCK, LamportClock
from tqconsole.engine.events.dispatcher import Dispatcher
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.transfer import QueueSpec
from tqconsole.engine.worker.absence import Absence
from tqconsole.engine.worker.heart import Heart, HeartParts, HeartPlan
from tqconsole.engine.worker.values import Tick
from tqconsole.engine.worker.waker import Waker


@pytest.fixture
def heart() -> Iterator[Heart]:
    with open_broker("memory://heart") as broker, contextlib.closing(Waker()) as waker:
        consumer = broker.consumer([QueueSpec("celery")], "w1@here")
        dispatcher = Dispatcher(broker, "w1@here", SYSTEM_CLOCK, LamportClock())
        absence = Absence(SYSTEM_CLOCK)
        parts = HeartParts(
            broker, consumer, dispatcher, waker, SYSTEM_CLOCK, absence, lambda: (0, 0)
        )
        yield Heart(parts, HeartPlan(renew_s=5.0))
        consumer.close()


def fails() -> None:
    raise OperationalError("takes no writes")


def succeeds() -> None:
    pass


def test_one_that_fails_among_others_is_told_once(
    heart: Heart, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        heart._try(fails, is_repeated=True)
        heart._try(succeeds, is_repeated=True)

    assert caplog.text.count("takes no writes") == 1


def test_what_was_tried_once_hides_nothing_later(
    heart: Heart, caplog: pytest.LogCaptureFixture
) -> None:
    heart._try(fails)
    heart._try(fails, is_repeated=True)
    assert caplog.text.count("takes no writes") == 1

    heart._try(fails)
    heart._try(succeeds, is_repeated=True)
    assert "answers again" not in caplog.text
    heart._failing.clear()
    heart._try(succeeds, is_repeated=True)
    assert caplog.text.count("answers again") == 1

    heart._try(fails, is_repeated=True)
    assert caplog.text.count("takes no writes") == 2


def test_loop_is_woken_when_the_lease_was_renewed(heart: Heart) -> None:
    heart._renew()

    assert heart._waker.take() == [Tick()]

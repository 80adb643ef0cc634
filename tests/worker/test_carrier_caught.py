"""What comes in by itself, on its way from the consumer to the state machine."""

from __future__ import annotations

from typing import Any

import pytest

from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Delivery
from tqconsole.engine.worker.carrier import Carrier, Rim
from tqconsole.engine.worker.reading import Reader
from tqconsole.engine.worker.values import Caught


class Catching:
    """A consumer into whose hands something comes, or that fails at it."""

    def __init__(self, outcome: list[Delivery] | Exception) -> None:
        self._outcome = outcome

    def caught(self) -> list[Delivery]:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def carrier_of(outcome: list[Delivery] | Exception) -> Carrier:
    stranger: Any = object()
    reader = Reader(frozenset(), None)
    rim = Rim("w@t", Catching(outcome), stranger, stranger, reader, *[stranger] * 3)
    return Carrier(rim)


def test_what_came_is_read_on_its_way() -> None:
    message = Message(b"[[], {}, {}]", headers={"id": "a", "task": "t"})

    (caught,) = carrier_of([Delivery("tag", message, "celery")]).caught()

    assert isinstance(caught, Caught)
    ((delivery, header),) = caught.arrivals
    assert isinstance(header, TaskHeader)
    assert (delivery.tag, header.task_id) == ("tag", "a")


def test_nothing_that_came_is_no_happening() -> None:
    assert carrier_of([]).caught() == []


@pytest.mark.parametrize("error", [OperationalError("gone"), ValueError("an adapter's mistake")])
def test_consumer_that_fails_at_it_ends_no_worker(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert carrier_of(error).caught() == []
    assert ("an adapter's mistake" in caplog.text) == isinstance(error, ValueError)

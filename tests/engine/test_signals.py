from __future__ import annotations

import gc
import logging
from typing import Any

import pytest

from tqconsole.engine.signals import Signal


class Ear:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def hear(self, **named: Any) -> str:
        self.heard.append(named)
        return "heard"


def test_a_receiver_gets_what_is_sent() -> None:
    signal, ear = Signal(("value",), "test"), Ear()
    signal.connect(ear.hear)

    replies = signal.send(sender="me", value=5)

    assert ear.heard == [{"signal": signal, "sender": "me", "value": 5}]
    assert replies == [(ear.hear, "heard")]


def test_connect_is_a_decorator() -> None:
    signal, heard = Signal(name="test"), []

    @signal.connect
    def one(**named: Any) -> None:
        heard.append("one")

    @signal.connect(sender="me")
    def two(**named: Any) -> None:
        heard.append("two")

    signal.send(sender="me")
    signal.send(sender="you")

    assert heard == ["one", "two", "one"]


def test_a_failing_receiver_is_logged_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    signal, ear = Signal(name="test"), Ear()

    def fail(**named: Any) -> None:
        raise ValueError("no")

    signal.connect(fail, weak=False)
    signal.connect(ear.hear)

    with caplog.at_level(logging.ERROR):
        replies = signal.send(sender=None)

    assert isinstance(replies[0][1], ValueError)
    assert len(ear.heard) == 1
    assert "test" in caplog.text


def test_a_forgotten_receiver_goes_away() -> None:
    signal, ear = Signal(name="test"), Ear()
    signal.connect(ear.hear)

    del ear
    gc.collect()

    assert signal.receivers == ()


def test_one_uid_connects_once() -> None:
    signal, one, two = Signal(name="test"), Ear(), Ear()

    signal.connect(one.hear, dispatch_uid="x")
    signal.connect(two.hear, dispatch_uid="x")
    signal.send()

    assert (len(one.heard), len(two.heard)) == (1, 0)


def test_disconnect_says_whether_it_was_there() -> None:
    signal, ear = Signal(name="test"), Ear()
    signal.connect(ear.hear)

    assert signal.disconnect(ear.hear)
    assert not signal.disconnect(ear.hear)
    assert not signal.has_listeners()


def test_a_receiver_must_take_keywords() -> None:
    signal = Signal(name="test")

    with pytest.raises(ValueError, match="keyword"):
        signal.connect(lambda sender: None)


def test_retry_calls_a_failing_receiver_again() -> None:
    signal, calls = Signal(name="test"), []

    def fail_once(**named: Any) -> str:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("once")
        return "ok"

    signal.connect(fail_once, retry=True)

    assert signal.send()[0][1] == "ok"
    assert len(calls) == 2

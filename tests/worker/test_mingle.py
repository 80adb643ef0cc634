"""What a starting worker hears from those that are up."""

from __future__ import annotations

import logging

import pytest

from tqconsole.engine.brokers.memory import MemoryBroker
from tqconsole.engine.clock import LamportClock, ManualClock
from tqconsole.engine.control.mailbox import Mailbox
from tqconsole.engine.worker.mingle import Mingle


def heard_by(broker: MemoryBroker, node: str) -> tuple[Mingle, list[str]]:
    revoked_ids: list[str] = []
    mingle = Mingle(broker, node, ManualClock(), LamportClock(), revoked_ids.extend)
    mingle.ask([])
    return mingle, revoked_ids


def answer(mailbox: Mailbox, value: object) -> None:
    for request in mailbox.poll():
        mailbox.answer(request, value)


def test_a_worker_takes_over_what_others_revoked() -> None:
    with MemoryBroker("memory://mingle-revoked") as broker:
        other = Mailbox(broker, "w2@lab")
        mingle, revoked_ids = heard_by(broker, "w1@lab")

        answer(other, {"revoked": ["id-1"], "clock": 3})
        mingle.poll()

    assert (revoked_ids, mingle.met_count) == (["id-1"], 1)


def test_a_worker_that_hears_only_itself_is_content(caplog: pytest.LogCaptureFixture) -> None:
    with MemoryBroker("memory://mingle-alone") as broker:
        own = Mailbox(broker, "w1@lab")
        mingle, _ = heard_by(broker, "w1@lab")

        answer(own, None)
        mingle.poll()

    assert caplog.messages == []


def test_a_second_worker_of_the_name_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with MemoryBroker("memory://mingle-twins") as broker:
        mailboxes = [Mailbox(broker, "w1@lab") for _ in range(3)]
        mingle, _ = heard_by(broker, "w1@lab")

        for mailbox in mailboxes:
            answer(mailbox, None)
        mingle.poll()

    assert caplog.messages == [
        "Another worker answers as w1@lab: give each one a name of its own with -n"
    ]

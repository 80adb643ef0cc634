"""What a worker hears of the others."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tqconsole.engine.brokers.memory import MemoryBroker
from tqconsole.engine.clock import LamportClock, ManualClock
from tqconsole.engine.events.dispatcher import Dispatcher
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.mailboxes import CELERYS
from tqconsole.engine.worker.gossip import Gossip


class Party:
    """A worker that listens, and others that tell."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.clock, self.lamport = ManualClock(), LamportClock()
        self.gossip = Gossip(broker, "w1@lab", self.clock, self.lamport, CELERYS)
        self.gossip.look()

    def tell(self, node: str, kind: str, **fields: Any) -> None:
        lamport = LamportClock()
        lamport.adjust(40)
        Dispatcher(self.broker, node, self.clock, lamport).send(kind, freq=2.0, **fields)
        self.gossip.look()


@pytest.fixture
def party(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG, "tqconsole.engine.worker.gossip")
    with MemoryBroker(f"memory://{request.node.name}") as broker:
        made = Party(broker)
        yield made
        made.gossip.close()


def test_who_comes_and_leaves_is_told(party: Party, caplog: pytest.LogCaptureFixture) -> None:
    party.tell("w2@lab", "worker-online")
    party.tell("w2@lab", "worker-heartbeat")
    assert party.gossip.nodes == ["w2@lab"]

    party.tell("w2@lab", "worker-offline")

    assert party.gossip.nodes == []
    assert caplog.messages == ["w2@lab joined the party", "w2@lab left"]


def test_who_goes_silent_is_told_once(party: Party, caplog: pytest.LogCaptureFixture) -> None:
    party.tell("w2@lab", "worker-heartbeat")
    party.clock.advance(5.9)
    party.gossip.look()
    assert party.gossip.nodes == ["w2@lab"]

    party.clock.advance(0.2)
    party.gossip.look()
    party.gossip.look()

    assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO"]
    assert caplog.messages[1:] == ["missed heartbeat from w2@lab"]


def test_a_worker_is_no_company_for_itself(party: Party, caplog: pytest.LogCaptureFixture) -> None:
    party.tell("w1@lab", "worker-heartbeat")

    assert (party.gossip.nodes, caplog.messages) == ([], [])


def test_the_clock_follows_the_others(party: Party) -> None:
    party.tell("w2@lab", "worker-heartbeat")

    assert party.lamport.value > 40


def test_nobody_is_lost_for_the_broker_being_away(
    party: Party, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OperationalError("away")

    party.tell("w2@lab", "worker-heartbeat")
    with monkeypatch.context() as patch:
        patch.setattr(party.gossip._subscription, "receive", fail)
        with pytest.raises(OperationalError):
            party.gossip.look()
    party.clock.advance(60)
    party.gossip.look()
    party.tell("w2@lab", "worker-heartbeat")

    assert caplog.messages == ["w2@lab joined the party"] * 2

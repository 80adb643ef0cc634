"""Where broker and store are one place, a chord's body is published in the step that closes it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import contract_adapters
import pytest

from tqconsole.engine.backends import open_backend
from tqconsole.engine.backends.base import Joiner
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.protocol.chord import ChordPart, group_key
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import ChordEnd, Publication
from tqconsole.engine.redis_server.address import locate
from tqconsole.engine.redis_server.link import Link

LIFE_S = 3600.0
BODY = [Publication(Message(b"[]", headers={"id": "body", "task": "x"}), "celery")]
PLACES = {name: contract_adapters.BROKER_PLACES[name] for name in ("sqlite", "redis")}


@pytest.fixture(params=contract_adapters.parameters(PLACES))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return contract_adapters.url_of(request, tmp_path)


@pytest.fixture
def broker(url: str) -> Iterator[Broker]:
    with open_broker(url) as opened:
        yield opened


@pytest.fixture
def joiner(url: str) -> Iterator[Joiner]:
    backend = open_backend(url)
    assert backend.joiner is not None
    yield backend.joiner
    backend.close()


@pytest.fixture
def end(joiner: Joiner) -> ChordEnd:
    """A chord of one part, which came back."""
    made = ChordEnd(str(uuid.uuid4()), "the last part")
    joiner.open_chord(made.group_id, 1, LIFE_S)
    assert joiner.add_part(part_of(made), (), LIFE_S)
    return made


def part_of(end: ChordEnd) -> ChordPart:
    return ChordPart(end.group_id, end.task_id, "0", b"[]")


def test_it_is_published_once_and_closed(broker: Broker, joiner: Joiner, end: ChordEnd) -> None:
    for _ in range(3):
        broker.publish_end(BODY, end)

    assert [message.headers["id"] for message in broker.peek("celery", 9)] == ["body"]
    assert joiner.parts(end.group_id) == []
    assert not joiner.add_part(part_of(end), (), LIFE_S)


def test_who_does_not_hold_it_publishes_nothing(
    broker: Broker, joiner: Joiner, end: ChordEnd
) -> None:
    broker.publish_end(BODY, ChordEnd(end.group_id, "another part"))

    assert broker.peek("celery", 9) == []
    assert joiner.parts(end.group_id) == [b"[]"]


def test_one_that_ends_in_nothing_is_closed(broker: Broker, joiner: Joiner, end: ChordEnd) -> None:
    broker.publish_end([], end)

    assert joiner.parts(end.group_id) == []


@pytest.mark.server
def test_a_claim_that_ran_out_can_still_end_it(redis_server_url: str) -> None:
    url = contract_adapters.redis_url(redis_server_url)
    backend, link = open_backend(url), Link(locate(url))
    assert backend.joiner is not None
    backend.joiner.open_chord("g", 1, LIFE_S)
    end = ChordEnd("g", "the last part")
    backend.joiner.add_part(part_of(end), (), LIFE_S)

    with open_broker(url) as broker:
        link.run("DEL", group_key("g", ".c"))
        broker.publish_end(BODY, end)
        # Long after: that it is done is forgotten too.
        link.run("DEL", group_key("g", ".c"))
        broker.publish_end(BODY, end)

        assert len(broker.peek("celery", 9)) == 1
    link.close()
    backend.close()


def test_a_broker_that_cannot_says_so() -> None:
    with open_broker(f"memory://{uuid.uuid4().hex}") as broker:
        assert not broker.capabilities.can_end_chords
        with pytest.raises(NotSupportedError, match="memory"):
            broker.publish_end(BODY, ChordEnd("g", "p"))

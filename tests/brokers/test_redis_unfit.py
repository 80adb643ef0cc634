"""What is fetched and is no envelope becomes a dead letter, and keeps nothing else back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.brokers_up import Server, redis_up
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.redis.broker import RedisBroker
from tqconsole.engine.brokers.redis.exchange import Plan
from tqconsole.engine.brokers.redis.hold import RedisConsumer
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, QueueSpec, Settlement, Verdict

pytestmark = pytest.mark.server


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisBroker]:
    server: Server
    with redis_up(tmp_path_factory.mktemp("redis")) as server, open_broker(server.url) as opened:
        assert isinstance(opened, RedisBroker)
        yield opened


def test_good_message_is_told_though_the_junk_beside_it_cannot_be_buried_yet(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = broker.consumer([QueueSpec("celery")], "w1@here")
    assert isinstance(consumer, RedisConsumer)
    broker._link.run("RPUSH", "celery", b"no envelope")
    good = Message(b"[[], {}, {}]", headers={"id": "good", "task": "t"})
    broker.publish([Publication(good, "celery")])
    write = consumer._cycle.write

    def break_off(plan: Plan) -> None:
        monkeypatch.setattr(consumer._cycle, "write", write)
        raise OperationalError("the link broke")

    monkeypatch.setattr(consumer._cycle, "write", break_off)
    found = consumer.exchange(wanted=4)

    assert [it.message.headers["id"] for it in found] == ["good"]
    assert broker.dead_letters() == []
    consumer.exchange([Settlement(found[0].tag, Verdict.ACK)], wanted=4)
    (letter,) = broker.dead_letters()
    assert letter.message.body == b"no envelope"
    assert broker._link.run("HLEN", "unacked") == 0
    consumer.close()

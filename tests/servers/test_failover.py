"""Several servers in one broker URL: the next one is tried when one does not answer."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from brokers_up import free_port, rabbitmq_up, redis_up
from kombu_fleet import eventually

from tqconsole.engine.brokers import open_broker
from tqconsole.engine.exceptions import (
    BrokerUnreachableError,
    ImproperlyConfigured,
    OperationalError,
)
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, QueueSpec

TASK = Publication(Message(b"[]", headers={"id": "a"}), "celery")


@pytest.mark.server
def test_redis_that_does_not_answer_is_passed_over(tmp_path: Path) -> None:
    with redis_up(tmp_path) as server:
        url = f"redis://127.0.0.1:{free_port()}/0;{server.url}"
        with open_broker(url) as broker:
            consumer = broker.consumer([QueueSpec("celery")], "w1@here")
            broker.publish([TASK])

            assert eventually(lambda: consumer.exchange(wanted=1))
            consumer.close()


@pytest.mark.server
def test_redis_that_dies_is_replaced_by_the_next(tmp_path: Path) -> None:
    with (
        redis_up(tmp_path / "one") as one,
        redis_up(tmp_path / "two") as two,
        open_broker(f"{one.url};{two.url}") as broker,
        open_broker(two.url) as second,
    ):
        broker.publish([TASK])
        assert second.depth("celery").ready_count == 0
        os.kill(one.pid, signal.SIGKILL)

        def is_published() -> bool:
            try:
                broker.publish([TASK])
            except OperationalError:
                return False
            return True

        assert eventually(is_published)
        assert second.depth("celery").ready_count == 1


@pytest.mark.server
@pytest.mark.slow
def test_rabbitmq_that_does_not_answer_is_passed_over(tmp_path: Path) -> None:
    with rabbitmq_up(tmp_path) as server:
        url = f"amqp://127.0.0.1:{free_port()}//;{server.url}"
        with open_broker(url) as broker:
            consumer = broker.consumer([QueueSpec("celery")], "w1@here")
            broker.publish([TASK])

            assert eventually(lambda: consumer.exchange(wanted=1))
            consumer.close()


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_when_nobody_answers_each_is_named(scheme: str) -> None:
    ports = [free_port(), free_port()]
    url = ";".join(f"{scheme}://:secret@127.0.0.1:{port}/0" for port in ports)

    with open_broker(url) as broker, pytest.raises(BrokerUnreachableError) as caught:
        broker.connect()

    assert all(f"127.0.0.1:{port}" in str(caught.value) for port in ports)
    assert "secret" not in str(caught.value) + broker.url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:////tmp/a.db;sqlite:////tmp/b.db", "takes one URL"),
        ("filesystem:///tmp/a;filesystem:///tmp/b", "takes one URL"),
        ("redis://a/0;amqp://b", "of one kind"),
        ("redis://a/0;redis://b/1", "use one database"),
    ],
)
def test_what_cannot_stand_in_is_refused(url: str, words: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=words):
        open_broker(url)

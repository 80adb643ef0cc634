"""Workers of both kinds in one fleet: each one's log tells which others came, left or died."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers_up import redis_up

from tests.servers.kombu_fleet import PATIENCE_S, eventually
from tests.servers.rabbitmq_fleet import Place as RabbitmqPlace
from tests.servers.redis_fleet import Place as RedisPlace

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(params=["redis", "rabbitmq"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "rabbitmq":
        made = RabbitmqPlace(next(request.getfixturevalue("rabbitmq_vhosts")), tmp_path)
        yield made
        made.close()
    else:
        with redis_up(tmp_path / "server") as server:
            other = RedisPlace(server.url, tmp_path)
            yield other
            other.close()


def test_workers_of_both_kinds_hear_of_each_other(place: Any) -> None:
    place.ours("alone@test", "celery", "-l", "DEBUG", "--without-gossip")
    place.ours("g1@test", "celery", "-l", "DEBUG")
    theirs = place.theirs("g2@test", "celery", "-l", "DEBUG")
    ours = place.ours("g3@test", "celery")
    assert eventually(lambda: "g2@test joined the party" in place.log("g1@test"))
    assert eventually(lambda: "g3@test joined the party" in place.log("g1@test"))
    assert eventually(lambda: "g1@test joined the party" in place.log("g2@test"))
    # Who comes also asks those that are there what was revoked.
    assert eventually(lambda: "sync with g1@test complete" in place.log("g3@test"))

    theirs.terminate()
    assert theirs.wait(PATIENCE_S) == 0
    os.killpg(ours.pid, signal.SIGKILL)

    assert eventually(lambda: "g2@test left" in place.log("g1@test"))
    assert eventually(lambda: "missed heartbeat from g3@test" in place.log("g1@test"))
    assert "g1@test joined" not in place.log("alone@test")

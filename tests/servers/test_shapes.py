"""What a worker answers: every question, ours and the real one's compared down to the last key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from brokers_up import redis_up
from shapes import differences, shape

from tests.servers.kombu_fleet import eventually
from tests.servers.rabbitmq_fleet import Place as RabbitmqPlace
from tests.servers.redis_fleet import Place as RedisPlace
from tqconsole.engine.app import App

pytestmark = [pytest.mark.server, pytest.mark.slow]

OURS, THEIRS = "w1@ours", "c1@theirs"


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Both workers with a task that runs, one that waits behind it and one for later."""
    folder = tmp_path_factory.mktemp("place")
    if request.param == "redis":
        with redis_up(tmp_path_factory.mktemp("redis")) as server:
            yield from _busy(RedisPlace(server.url, folder))
    else:
        vhosts = request.getfixturevalue("rabbitmq_vhosts")
        yield from _busy(RabbitmqPlace(next(vhosts), folder))


def _busy(place: Any) -> Iterator[Any]:
    try:
        options = ["-E", "-P", "prefork", "-c", "1", "--prefetch-multiplier", "4"]
        place.ours(OURS, "ours", *options)
        place.theirs(THEIRS, "theirs", *options)
        with App("client", broker=place.url, set_as_current=False) as app:
            for queue in ("ours", "theirs"):
                app.send_task("hold", (queue,), queue=queue)
                app.send_task("note", ("later",), queue=queue, countdown=3600)
            assert eventually(lambda: len(place.notes()) == 2)
            for queue in ("ours", "theirs"):
                app.send_task("note", ("behind",), queue=queue)
            yield place
            (place.folder / "gate").touch()
    finally:
        place.close()


@pytest.fixture(scope="module")
def asker(place: Any) -> Iterator[App]:
    with App("asker", broker=place.url, set_as_current=False) as app:
        yield app


def test_the_revoked_are_told_in_the_shape_of_the_real_ones(asker: App) -> None:
    asker.control.revoke("nosuch")

    ours, theirs = answers(asker, "revoked", {})

    assert differences(shape(ours), shape(theirs)) == []


def answers(app: App, method: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    """Return (ours, theirs), once both have something to say."""

    def both() -> Any:
        replies = app.control.broadcast(method, arguments=arguments, reply=True, timeout=1)
        found: dict[str, Any] = {}
        for reply in replies:
            found.update(reply)
        return found if all(found.get(node) for node in (OURS, THEIRS)) else None

    found = eventually(both)
    assert found, f"{method} had no answer of both"
    return found[OURS], found[THEIRS]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("ping", {}),
        ("clock", {}),
        ("active", {}),
        ("active", {"safe": True}),
        ("reserved", {}),
        ("registered", {}),
        ("registered", {"taskinfoitems": ["rate_limit"], "builtins": True}),
        ("active_queues", {}),
        ("report", {}),
        ("memsample", {}),
        ("rate_limit", {"task_name": "nosuch", "rate_limit": "1/m"}),
        ("rate_limit", {"task_name": "add", "rate_limit": "what"}),
        ("rate_limit", {"task_name": "add", "rate_limit": "100/s"}),
        ("rate_limit", {"task_name": "add", "rate_limit": 0}),
        ("time_limit", {"task_name": "nosuch", "hard": 1}),
        ("time_limit", {"task_name": "add", "hard": 60, "soft": 30}),
        ("enable_events", {}),
        ("pool_restart", {}),
        ("autoscale", {"max": 3, "min": 1}),
        ("revoke", {"task_id": "nosuch"}),
        ("terminate", {"task_id": "nosuch", "signal": "TERM"}),
        ("nosuchcommand", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_answer_has_the_shape_of_the_real_one(
    asker: App, method: str, arguments: dict[str, Any]
) -> None:
    ours, theirs = answers(asker, method, arguments)

    assert differences(shape(ours), shape(theirs)) == []
    if method in ("time_limit", "terminate", "enable_events", "nosuchcommand"):
        assert ours == theirs


def test_what_waits_for_its_time_is_listed_where_the_broker_can(place: Any, asker: App) -> None:
    if place.url.startswith("amqp"):
        # It lies in delay queues of RabbitMQ's, into which nobody can look.
        replies = asker.control.inspect([OURS], timeout=5).scheduled()
        assert replies == {OURS: []}
        return
    ours, theirs = answers(asker, "scheduled", {})

    assert differences(shape(ours), shape(theirs)) == []


def test_stats_have_the_shape_of_the_real_ones(asker: App) -> None:
    ours, theirs = answers(asker, "stats", {})

    for stats in (ours, theirs):
        stats["total"] = {}
    assert differences(shape(ours), shape(theirs)) == []


def test_settings_have_the_names_of_the_real_ones(asker: App) -> None:
    ours, theirs = answers(asker, "conf", {"with_defaults": True})

    # A list of its own old names, which it keeps among its settings.
    assert set(theirs) - set(ours) == {"deprecated_settings"}


def test_a_task_is_queried_as_at_the_real_one(place: Any, asker: App) -> None:
    ours, theirs = answers(asker, "active", {})

    for node, (info, *_) in ((OURS, ours), (THEIRS, theirs)):
        reply = asker.control.inspect([node], timeout=5).query_task(info["id"])
        assert reply[node][info["id"]][0] == "active"
        assert differences(shape(reply[node][info["id"]][1]), shape(info)) == []


def test_events_have_the_fields_of_the_real_ones(place: Any, asker: App) -> None:
    heard: dict[str, dict[str, Any]] = {OURS: {}, THEIRS: {}}

    def note(event: dict[str, Any]) -> None:
        if event["hostname"] in heard:
            heard[event["hostname"]].setdefault(event["type"], shape(event))

    receiver = asker.events.Receiver(handlers={"*": note})
    wanted = {"worker-heartbeat"}
    for _ in receiver.itercapture(timeout=30):
        if all(wanted <= set(types) for types in heard.values()):
            break
    for kind in wanted:
        assert differences(heard[OURS][kind], heard[THEIRS][kind]) == []

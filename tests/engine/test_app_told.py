"""What a call tells: links and stamps in its message, signals around the publish, and events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from client_rig import body_of, make_app, sent

from tqconsole.engine.clock import ManualClock
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.signals import after_task_publish, before_task_publish

NOW_AT = 1_800_000_000.0
NOW = datetime.fromtimestamp(NOW_AT, UTC)


@pytest.fixture
def app() -> Any:
    made = make_app(clock=ManualClock(NOW_AT))

    @made.task(name="proj.add")
    def add(x: int, y: int) -> int:
        return x + y

    return made


@pytest.fixture
def add(app: Any) -> Any:
    return app.tasks["proj.add"]


def only(app: Any, queue: str = "celery") -> Any:
    (message,) = sent(app, queue)
    return message


class TestPublishSignals:
    def test_before_may_change_the_message(self, app: Any, add: Any) -> None:
        def change(sender: str, body: Any, headers: Any, properties: Any, **named: Any) -> None:
            headers["tenant"] = "t1"
            properties["priority"] = 9
            body[1]["y"] = 40
            assert sender == "proj.add"
            assert named["routing_key"] == "celery"

        before_task_publish.connect(change, sender="proj.add")
        try:
            add.delay(2, y=3)
        finally:
            before_task_publish.disconnect(change, sender="proj.add")

        message = only(app)
        assert message.headers["tenant"] == "t1"
        assert message.properties["priority"] == 9
        assert body_of(message).kwargs == {"y": 40}

    def test_after_tells_what_was_sent(self, add: Any) -> None:
        told: list[Any] = []

        def note(**named: Any) -> None:
            told.append(named)

        after_task_publish.connect(note)
        try:
            result = add.delay(2, 3)
        finally:
            after_task_publish.disconnect(note)

        assert told[0]["sender"] == "proj.add"
        assert told[0]["headers"]["id"] == result.id
        assert told[0]["body"][0] == (2, 3)
        assert (told[0]["exchange"], told[0]["routing_key"]) == ("", "celery")


def test_links_travel_as_plain_signatures(app: Any, add: Any) -> None:
    add.apply_async((1, 2), link=add.s(8), link_error=[add.si(0, 0)])

    embed = body_of(only(app)).embed
    assert embed.callbacks[0]["task"] == "proj.add"
    assert embed.callbacks[0]["args"] == [8]
    assert embed.errbacks[0]["immutable"] is True


def test_stamps_travel_in_the_header(app: Any, add: Any) -> None:
    add.apply_async((1, 2), stamped_headers=["job"], job="j1")

    assert only(app).headers["stamped_headers"] == ["job"]
    assert only(app).headers["stamps"] == {"job": "j1"}
    assert "job" not in only(app).properties


def test_sent_events_are_told_when_asked(app: Any, add: Any) -> None:
    app.conf.task_send_sent_event = True
    receiver: list[Any] = []
    app.events.default_dispatcher().send = lambda kind, **fields: receiver.append((kind, fields))

    result = add.delay(1, 2)

    kind, fields = receiver[0]
    assert (kind, fields["uuid"], fields["queue"]) == ("task-sent", result.id, "celery")


def test_a_call_counts_as_sent_before_a_worker_can_have_it(app: Any, add: Any) -> None:
    app.conf.task_send_sent_event = True
    events: list[Any] = []
    app.events.default_dispatcher().send = lambda _kind, **fields: events.append(fields)
    publish = app.write_broker.publish

    def slow_publish(publications: Any) -> None:
        publish(publications)
        app.wall_clock.advance(1)

    app.write_broker.publish = slow_publish
    add.delay(1, 2)

    assert events[0]["timestamp"] == NOW_AT


def test_an_event_that_fails_is_no_failed_call(app: Any, add: Any) -> None:
    app.conf.task_send_sent_event = True

    def fail(kind: str, **fields: Any) -> None:
        raise OperationalError("gone")

    app.events.default_dispatcher().send = fail

    assert add.delay(1, 2).id
    assert len(sent(app)) == 1

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import kombu.pidbox
import pytest
from celery import Celery
from celery.utils.time import utcoffset as celerys_utcoffset
from golden import refusal
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol import control, event
from tqconsole.engine.protocol.control import Reply, Request
from tqconsole.engine.protocol.limits import Limits, Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import QueueSpec
from tqconsole.engine.serialization import decode_json

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
JUNK: list[Any] = [
    None,
    0,
    -1,
    True,
    1.5,
    "",
    "a\nb",
    "x" * 300,
    [],
    [1],
    {},
    {"a": 1},
    [[]],
    10**400,
]


def declared(queue: Any) -> dict[str, Any]:
    """Return how kombu's queue is declared."""
    return {
        "name": queue.name,
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "exclusive": queue.exclusive,
        "expires": queue.expires,
        "ttl": queue.message_ttl,
        "key": queue.routing_key,
        "exchange": (queue.exchange.name, queue.exchange.type, queue.exchange.durable),
    }


def as_message(fields: dict[str, Any]) -> Message:
    """Return the message of one event, not in a batch."""
    return Message(json.dumps(fields).encode())


def canonical(message: Message) -> str:
    """Return the JSON of a message with its keys in order: as text, for NaN equals nothing."""
    return json.dumps(json.loads(message.body), sort_keys=True)


def ours(queue: QueueSpec) -> dict[str, Any]:
    return {
        "name": queue.name,
        "durable": queue.is_durable,
        "auto_delete": queue.is_auto_delete,
        "exclusive": queue.is_exclusive,
        "expires": queue.expires_s,
        "ttl": queue.message_ttl_s,
        "key": queue.routing_key,
        "exchange": (queue.exchange.name, queue.exchange.kind, queue.exchange.is_durable),
    }


# ---- events


@given(st.dictionaries(st.text(), JSON_VALUES))
def test_event_survives_the_round_trip(fields: dict[str, Any]) -> None:
    sent = {**fields, "type": "task-custom"}
    assert event.decode_events(event.encode_events(sent)) == [sent]


def test_batch_survives_the_round_trip() -> None:
    batch = [event.task_started("a"), event.task_started("b")]
    assert event.decode_events(event.encode_events(batch)) == batch


@pytest.mark.parametrize(
    "own",
    [
        {"uuid": "a", "result": "4"},
        {},
        {"uuid": "a", "hostname": "its own", "clock": 1},
        {"uuid": "a", "result": "a\n{b\n}", "timestamp": 7.25},
        {"uuid": "a", "runtime": float("nan"), "timestamp": float("-inf")},
        {"uuid": "a", "args": ["a", {"b": 1}]},
        {"uuid": "a", "type": "task-odd", "eta": datetime(2026, 1, 2, tzinfo=UTC)},
        {"uuid": 'a"b', "result": "\ud800", "runtime": float("inf")},
    ],
)
def test_a_batch_with_one_origin_is_its_events_one_by_one(own: dict[str, Any]) -> None:
    origin = {"hostname": 'w"1@lab', "pid": 7, "timestamp": 1.5}
    whole = [
        {**origin, "clock": clock, "type": kind, **own}
        for clock, kind in ((5, "task-started"), (6, 'task-"x"'))
    ]

    message = event.encode_batch(origin, [("task-started", own), ('task-"x"', own)], 5)

    assert message.headers == {"hostname": origin["hostname"]}
    assert canonical(message) == canonical(event.encode_events(whole))
    assert event.decode_events(message) == event.decode_events(event.encode_events(whole))
    assert len(event.decode_events(message)) == 2


@given(st.lists(st.dictionaries(st.text(), JSON_VALUES), min_size=1, max_size=4))
def test_any_batch_with_one_origin_is_its_events_one_by_one(batch: list[dict[str, Any]]) -> None:
    origin = {"hostname": "w1@lab", "pid": 7, "timestamp": 1.5}
    whole = [
        {**origin, "clock": clock, "type": "task-started", **own}
        for clock, own in enumerate(batch, 5)
    ]

    message = event.encode_batch(origin, [("task-started", own) for own in batch], 5)

    assert canonical(message) == canonical(event.encode_events(whole))


@pytest.mark.parametrize(
    "body", [b"", b"null", b"5", b'"x"', b"{}", b'[1, null, [], {}, {"type": 5}, {"type": ""}]']
)
def test_what_is_no_event_is_dropped(body: bytes) -> None:
    assert event.decode_events(Message(body)) == []


def test_events_beside_junk_are_kept() -> None:
    body = json.dumps([5, {"type": "task-started", "uuid": "a"}]).encode()
    assert event.decode_events(Message(body)) == [event.task_started("a")]


@given(st.lists(st.dictionaries(st.text(), JSON_VALUES), max_size=4))
def test_a_batch_reads_as_its_events_one_by_one(batch: list[dict[str, Any]]) -> None:
    whole = [{**fields, "type": "task-custom"} for fields in batch]
    read = event.decode_events(event.encode_events(whole))

    assert read == [it for fields in whole for it in event.decode_events(as_message(fields))]


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "a", "at": {"__type__": "bytes", "__value__": "eA=="}}',
        '{"type": "a", "__type__": "uuid", "__value__": "no uuid"}',
        '{"type": "a", "deep": [[1]]}',
        '{"type": "a", "much": NaN}',
        '{"type": "a", "large": 123456789012345678901234567890}',
        '{"type": "a", "half": "\\ud800"}',
        '{"type": 5}, {"type": "a"}, {"type": ""}, {"type": ["a"]}, {}',
    ],
)
def test_a_batch_with_an_odd_event_is_read_as_the_stdlib_reads_it(text: str) -> None:
    usual = '{"type": "b", "load": [0.5, 1]}'
    body = f"[{usual}, {text}]".encode()
    expected = decode_json(body)

    read = event.decode_events(Message(body))

    kept = [it for it in expected if isinstance(it, dict) and it.get("type") in ("a", "b")]
    assert repr(read) == repr(kept)


def test_a_batch_is_read_within_its_limits() -> None:
    body = b'[{"type": "a", "load": [1, 2]}]'
    assert event.decode_events(Message(body), limits=Limits(wire_bytes=10)) == []
    assert event.decode_events(Message(body), limits=Limits(depth=2)) == []
    assert event.decode_events(Message(body, "application/x-thing")) == []
    assert event.decode_events(Message(body), frozenset()) == []


@given(st.binary(), st.text())
def test_reading_events_never_raises(body: bytes, content_type: str) -> None:
    assert event.decode_events(Message(body, content_type)) == []


def test_pickled_events_are_not_read() -> None:
    message = event.encode_events(event.task_started("a"), "pickle")
    assert event.decode_events(message) == []


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("task-sent", "task.sent"),
        ("worker-elect-ack", "worker.elect.ack"),
        ("worker-online", "worker.online"),
    ],
)
def test_routing_key_has_dots(kind: str, key: str) -> None:
    assert event.routing_key(kind) == key


def test_utcoffset_is_hours_west(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    for zone, hours in (("Asia/Kolkata", -5.5), ("UTC", 0.0), ("America/New_York", 5.0)):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        winter_at = datetime(2026, 1, 15, 12, tzinfo=UTC).timestamp()
        assert event.utcoffset(winter_at) == hours
        assert event.utcoffset() == celerys_utcoffset()
    monkeypatch.undo()
    time.tzset()


def test_event_mailbox_is_declared_as_celerys() -> None:
    app = Celery(set_as_current=False)
    app.conf.broker_url = "memory://"
    with app.connection_for_read() as connection:
        theirs = app.events.Receiver(connection, node_id="node", routing_key="#").queue
        assert ours(event.event_mailbox("node")) == declared(theirs)


# ---- commands


@given(
    st.builds(
        Request,
        method=st.just("ping"),
        arguments=st.dictionaries(st.text(), JSON_VALUES),
        destination=st.none() | st.lists(st.just("w1@lab")).map(tuple),
        pattern=st.none() | st.just("w*"),
        matcher=st.none() | st.sampled_from(["glob", "pcre"]),
        ticket=st.uuids().map(str),
        reply_key=st.uuids().map(str),
        expires_at=st.floats(0, 2e9),
        clock=st.integers(0, 10**9),
    )
)
def test_request_survives_the_round_trip(request_: Request) -> None:
    assert control.decode_request(control.encode_request(request_)) == request_


@given(JSON_VALUES, st.integers(0, 10**9))
def test_reply_survives_the_round_trip(value: Any, clock: int) -> None:
    message = control.encode_reply("w1@lab", value, "ticket", clock)
    assert control.decode_reply(message) == Reply("ticket", "w1@lab", value, clock)


def test_cast_carries_no_ticket() -> None:
    body = json.loads(control.encode_request(Request("heartbeat")).body)
    assert "ticket" not in body
    assert "reply_to" not in body


@pytest.mark.parametrize(
    "field", ["method", "arguments", "destination", "pattern", "matcher", "ticket", "reply_to"]
)
@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: ascii(junk)[:20])
def test_hostile_requests_raise_refused_error_only(field: str, junk: Any) -> None:
    body = json.loads(control.encode_request(Request("ping", ticket="t")).body)
    body[field] = junk
    message = Message(json.dumps(body).encode())
    assert refusal(control.decode_request, message) in (None, Reason.BAD_REQUEST)


@pytest.mark.parametrize("name", ["clock", "expires", "ticket"])
@pytest.mark.parametrize("junk", [*JUNK, float("nan"), b"x"], ids=lambda junk: ascii(junk)[:20])
def test_hostile_headers_of_a_reply_raise_refused_error_only(name: str, junk: Any) -> None:
    message = control.encode_reply("w1@lab", 1, "t", 1)
    message.headers[name] = junk
    for decode in (control.decode_reply, control.decode_request):
        assert refusal(decode, message) in (None, Reason.BAD_REQUEST)


@given(st.binary())
def test_junk_commands_raise_refused_error_only(body: bytes) -> None:
    for decode in (control.decode_request, control.decode_reply):
        with pytest.raises(RefusedError):
            decode(Message(body))


@pytest.mark.parametrize("body", [{}, {"a": 1, "b": 2}, {"a\nb": 1}, {"x" * 300: 1}, [], 5])
def test_reply_that_is_not_one_nodes_is_refused(body: Any) -> None:
    with pytest.raises(RefusedError):
        control.decode_reply(Message(json.dumps(body).encode()))


def test_worker_mailbox_is_declared_as_celerys() -> None:
    app = Celery(set_as_current=False)
    app.conf.broker_url = "memory://"
    with app.connection_for_read() as connection:
        theirs = app.control.mailbox.get_queue("w1@lab")(connection.default_channel)
        found = ours(control.worker_mailbox("w1@lab"))
        # kombu binds a fanout queue by its own name or none; both reach it.
        assert {**declared(theirs), "key": ""} == found


def test_reply_mailbox_is_declared_as_celerys() -> None:
    app = Celery(set_as_current=False)
    app.conf.broker_url = "memory://"
    with app.connection_for_read() as connection:
        mailbox: kombu.pidbox.Mailbox = app.control.mailbox
        theirs = mailbox.get_reply_queue()(connection.default_channel)
        assert ours(control.reply_mailbox(mailbox.oid)) == declared(theirs)

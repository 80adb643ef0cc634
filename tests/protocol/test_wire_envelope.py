"""kombu's virtual envelope: what goes in comes out, and nothing that arrives stops a reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from golden import refusal
from hypothesis import example, given
from hypothesis import strategies as st
from test_wire_broadcast import JSON_VALUES, JUNK

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.envelope import from_envelope, to_envelope
from tqconsole.engine.protocol.limits import Limits, Reason
from tqconsole.engine.protocol.message import Message


@given(
    st.binary(),
    st.dictionaries(st.text(), JSON_VALUES),
    st.none() | st.integers(0, 9),
    st.text(),
    st.text(),
    st.text(),
)
def test_envelope_survives_the_round_trip(
    body: bytes, headers: dict[str, Any], priority: int | None, exchange: str, key: str, tag: str
) -> None:
    properties = {"correlation_id": "x", "delivery_mode": 2, "priority": priority or 0}
    message = Message(body, "application/x-thing", "binary", headers, properties)
    envelope = to_envelope(message, exchange, key, tag, priority)
    assert from_envelope(envelope) == (message, exchange, key, tag)


@given(st.binary(), st.dictionaries(st.text(), st.text() | st.integers()), st.text())
@example(b"", {"odd": "\ud800"}, "key")
def test_envelope_of_what_is_known_plain_is_the_same(
    body: bytes, headers: dict[str, Any], key: str
) -> None:
    message = Message(body, "application/x-thing", "binary", headers, {"priority": 3})

    plain = to_envelope(message, "x", key, "tag-1", is_plain=True)

    assert json.loads(plain) == json.loads(to_envelope(message, "x", key, "tag-1"))


@pytest.mark.parametrize(
    ("headers", "properties"),
    [
        ({"hostname": "w1@h", "clock": 5, "odd": None}, {"priority": 3}),
        ({"nested": {"a": [1]}}, {}),
        ({"task": "a.b", "id": "1"}, {"reply_to": "x"}),
        ({"task": 5}, {"expiration": "10"}),
        ({"at": {"__type__": "uuid", "__value__": "00000000000000000000000000000000"}}, {}),
        ({"__type__": "x", "__value__": {"a": 1}}, {}),
        ({}, {"reply_to": {"__type__": "nosuch", "__value__": 1}}),
        ({}, {"correlation_id": {"__type__": "datetime", "__value__": "no date"}}),
        ({}, {"x": {"__type__": "uuid", "__value__": "00000000000000000000000000000000"}}),
        ({}, {"x": {"plain": "map"}}),
        ({}, {"delivery_info": {"exchange": 5, "routing_key": None}, "delivery_tag": 7}),
    ],
)
def test_an_envelope_reads_the_same_however_it_is_written(
    headers: dict[str, Any], properties: dict[str, Any]
) -> None:
    fields = json.loads(to_envelope(Message(b"\xffbody", headers={}), "celeryev", "a.b", "tag"))
    fields["headers"], fields["properties"] = headers, {**fields["properties"], **properties}
    plain = json.dumps(fields).encode()
    # A number that is no JSON: what reads by types leaves it to what reads all.
    odd = json.dumps({**fields, "odd": float("nan")}).encode()

    assert outcome(plain) == outcome(odd)


def outcome(envelope: bytes) -> Any:
    """Return what an envelope reads as, or why it is refused."""
    try:
        message, *address = from_envelope(envelope)
    except RefusedError as error:
        return error.reason
    return [message.body, message.content_type, message.headers, message.properties, *address]


def test_body_as_plain_text_is_read() -> None:
    fields = {"body": "[1]", "content-type": "application/json", "properties": {}}
    assert from_envelope(json.dumps(fields).encode())[0].body == b"[1]"


@given(st.binary())
def test_junk_envelopes_raise_refused_error_only(envelope: bytes) -> None:
    with pytest.raises(RefusedError):
        from_envelope(envelope)


@pytest.mark.parametrize(
    "path",
    ["body", "content-type", "content-encoding", "headers", "properties"]
    + [
        f"properties.{name}"
        for name in ("delivery_info", "delivery_tag", "body_encoding", "priority")
    ]
    + ["properties.delivery_info.exchange", "properties.delivery_info.routing_key"],
)
@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: ascii(junk)[:20])
def test_hostile_envelopes_raise_refused_error_only(path: str, junk: Any) -> None:
    fields = json.loads(to_envelope(Message(b"x"), "", "celery", "tag"))
    *folders, name = path.split(".")
    place = fields
    for folder in folders:
        place = place[folder]
    place[name] = junk
    found = refusal(from_envelope, json.dumps(fields).encode())
    assert found in (None, Reason.BAD_ENVELOPE, Reason.UNDECODABLE)


def test_deep_headers_are_too_deep() -> None:
    fields = json.loads(to_envelope(Message(b"x"), "", "celery", "tag"))
    text = json.dumps({**fields, "headers": {"x": 0}}).replace(
        '"x": 0', '"x": ' + "[" * 150 + "]" * 150
    )
    with pytest.raises(RefusedError) as refused:
        from_envelope(text.encode())
    assert refused.value.reason == Reason.TOO_DEEP


def test_envelope_beyond_the_limit_is_too_large() -> None:
    envelope = to_envelope(Message(b"x" * 1000), "", "celery", "tag")
    with pytest.raises(RefusedError) as refused:
        from_envelope(envelope, Limits(wire_bytes=100))
    assert refused.value.reason == Reason.TOO_LARGE


def test_header_that_is_no_json_is_an_encode_error() -> None:
    from tqconsole.engine.exceptions import EncodeError

    with pytest.raises(EncodeError):
        to_envelope(Message(b"", headers={"x": {1}}), "", "celery", "tag")

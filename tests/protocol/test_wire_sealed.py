"""Envelopes that are read once, by their types, and say the same as any other message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.envelope import from_envelope, to_envelope
from tqconsole.engine.protocol.header import read_header
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.sealed import SealedMessage
from tqconsole.engine.protocol.task import NO_EMBED, TaskCall, decode_body, encode_task
from tqconsole.engine.worker.payload import RunPayload, decode_payload, encode_payload
from tqconsole.engine.worker.request import request_of

JSON = frozenset({"application/json"})


def call(**fields: Any) -> TaskCall:
    return TaskCall(
        task_id="id-1",
        task_name="tasks.add",
        args=(1, [2]),
        kwargs={"deep": {"x": None}},
        **{"origin": "gen1@host", "reply_to": "reply-1", **fields},
    )


CALLS = {
    "plain": call(),
    "timed": call(
        eta="2027-01-01T00:00:00+00:00",
        expires="2027-01-02T00:00:00+00:00",
        expiration_ms=5000,
        hard_limit_s=3.5,
        soft_limit_s=2,
    ),
    "grouped": call(group_id="g", group_index=3, parent_id="p", root_id="r", retries=2),
    "ranked": call(priority=7, shadow="other name", ignore_result=True, argsrepr="(...)"),
    "compressed": call(compression="gzip"),
}


@pytest.mark.parametrize("name", list(CALLS))
def test_sealed_message_equals_what_was_sent(name: str) -> None:
    sent = encode_task(CALLS[name])
    sent.properties.setdefault("priority", 0)

    found, exchange, routing_key, tag = from_envelope(to_envelope(sent, "x", "key", "tag-1"))

    assert type(found) is SealedMessage
    assert (exchange, routing_key, tag) == ("x", "key", "tag-1")
    assert read_header(found) == read_header(sent)
    assert decode_body(found, JSON) == decode_body(sent, JSON)
    assert found.sent_properties() == found.properties == sent.properties
    assert found.headers == sent.headers
    assert found == sent
    assert not found != sent  # noqa: SIM202 - the operator itself


@pytest.mark.parametrize("name", list(CALLS))
def test_request_is_the_same_from_a_sealed_message(name: str) -> None:
    sent = encode_task(CALLS[name])
    sent.properties.setdefault("priority", 0)
    found = from_envelope(to_envelope(sent, "", "celery", "tag-1"))[0]
    body = decode_body(found, JSON)

    opened, plain = (
        request_of(RunPayload(message, "w1@host", "celery"), body) for message in (found, sent)
    )

    assert vars(opened) == vars(plain)


def test_sealed_message_survives_the_pipe() -> None:
    found = from_envelope(to_envelope(encode_task(call()), "", "celery", "tag-1"))[0]
    payload = RunPayload(found, "w1@host", "celery", "", "celery", 3, soft_limit_s=1.5, deaths=2)

    again = decode_payload(encode_payload(payload))

    assert type(again.message) is SealedMessage
    assert again == payload


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("headers.x-user", "mine"),
        ("headers.redelivered", True),
        ("headers.tq-deaths", 1),
        ("headers.stamps", {"tenant": "a"}),
        ("headers.eta", {"__type__": "datetime", "__value__": "2027-01-01T00:00:00"}),
        ("properties.message_id", "m-1"),
    ],
)
def test_what_is_unusual_is_unpacked(place: str, value: object) -> None:
    fields = json.loads(to_envelope(encode_task(call()), "", "celery", "tag-1"))
    folder, name = place.split(".")
    fields[folder][name] = value

    found = from_envelope(json.dumps(fields).encode())[0]

    assert type(found) is Message
    assert name in getattr(found, folder)


@pytest.mark.parametrize(
    "body",
    [
        b'[[{"__type__": "decimal", "__value__": "1.5"}], {}, {}]',
        b"[[NaN], {}, null]",
        b'[[1], {}, {"callbacks": [{"task": "a", "args": []}]}]',
        b'[[1], {}, {"chain": [{"task": "b"}], "unknown": 1}]',
        b'{"args": [1], "kwargs": {}}',
    ],
)
def test_unusual_body_is_read_as_ever(body: bytes) -> None:
    sent = Message(body, headers=encode_task(call()).headers, properties=PROPERTIES)
    found = from_envelope(to_envelope(sent, "", "celery", "tag-1"))[0]

    assert type(found) is SealedMessage
    assert repr(decode_body(found, JSON)) == repr(decode_body(sent, JSON))


@pytest.mark.parametrize(
    "body", [b"[1, 2]", b"[[" + b"[" * 200 + b"]" * 200 + b"], {}, {}]", b"{}", b"[[1], [], {}]"]
)
def test_bad_body_is_refused_as_ever(body: bytes) -> None:
    sent = Message(body, headers=encode_task(call()).headers, properties=PROPERTIES)
    found = from_envelope(to_envelope(sent, "", "celery", "tag-1"))[0]

    reasons = []
    for message in (sent, found):
        with pytest.raises(RefusedError) as refused:
            decode_body(message, JSON)
        reasons.append(refused.value.reason)
    assert reasons[0] == reasons[1]


def test_nothing_follows_a_plain_call() -> None:
    found = from_envelope(to_envelope(encode_task(call()), "", "celery", "tag-1"))[0]

    assert decode_body(found, JSON).embed is NO_EMBED


PROPERTIES = {"correlation_id": "id-1", "reply_to": "", "delivery_mode": 2}

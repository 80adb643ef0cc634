"""Messages of protocol 1, and of its hybrid, become protocol 2 or a refusal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from golden import refusal

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.limits import Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.signature import signature_dict
from tqconsole.engine.protocol.task import (
    TaskCall,
    decode_body,
    encode_task,
    read_header,
    upgrade,
)
from tqconsole.engine.serialization import content_types, encode

JSON = frozenset({"application/json"})
OLD = {
    "task": "tasks.add",
    "id": "id-1",
    "args": [1],
    "kwargs": {"a": 2},
    "group": None,
    "taskset": "g",
    "retries": 2,
    "eta": "2026-01-01T00:00:00",
    "expires": None,
    "utc": True,
    "callbacks": [{"task": "next"}],
    "errbacks": None,
    "timelimit": [30, 20],
    "chord": None,
}


def call(**fields: Any) -> TaskCall:
    return TaskCall(task_id="id-1", task_name="tasks.add", **fields)


def with_headers(**headers: Any) -> Message:
    message = encode_task(call())
    return Message(message.body, headers={**message.headers, **headers})


def raw(body: Any) -> Message:
    return Message(json.dumps(body).encode(), headers={"task": "t", "id": "i"})


def test_protocol_two_is_handed_back_itself() -> None:
    message = encode_task(call())
    assert upgrade(message, JSON) is message


def test_protocol_one_becomes_two() -> None:
    message = upgrade(Message(json.dumps(OLD).encode()), JSON)
    header, body = (
        read_header(message, naive_tz=timezone(timedelta(hours=9))),
        decode_body(message, JSON),
    )
    assert (header.task_name, header.task_id, header.group_id) == ("tasks.add", "id-1", "g")
    assert (header.retries, header.hard_limit_s, header.soft_limit_s) == (2, 30, 20)
    assert header.eta_at == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert (body.args, body.kwargs) == ([1], {"a": 2})
    assert body.embed.callbacks == [signature_dict("next", [])]


def test_protocol_one_date_is_local_without_utc() -> None:
    message = upgrade(Message(json.dumps({**OLD, "utc": False}).encode()), JSON)
    header = read_header(message, naive_tz=timezone(timedelta(hours=1)))
    assert header.eta_at == datetime(2025, 12, 31, 23, tzinfo=UTC).timestamp()


def test_hybrid_takes_headers_before_body() -> None:
    hybrid = Message(json.dumps(OLD).encode(), headers={"task": "tasks.mul", "id": "id-2", "x": 1})
    message = upgrade(hybrid, JSON)
    assert read_header(message).task_name == "tasks.mul"
    assert message.headers["x"] == 1
    assert decode_body(message, JSON).args == [1]


def test_pickled_protocol_one_stays_pickled() -> None:
    content_type, encoding, body = encode({**OLD, "args": [{1, 2}]}, "pickle")
    accept = content_types(["pickle"])
    message = upgrade(Message(body, content_type, encoding), accept)
    assert decode_body(message, accept).args == [{1, 2}]


@pytest.mark.parametrize("body", [None, [], {}, {"args": []}, 5, "x"])
def test_message_without_task_name_is_not_a_task(body: Any) -> None:
    with pytest.raises(RefusedError) as refused:
        upgrade(Message(json.dumps(body).encode()), JSON)
    assert refused.value.reason == Reason.NOT_A_TASK


@pytest.mark.parametrize("field", sorted(OLD))
@pytest.mark.parametrize("junk", [None, 5, "x", [], {}, [[1]], True], ids=str)
def test_hostile_protocol_one_raises_refused_error_only(field: str, junk: Any) -> None:
    message = Message(json.dumps({**OLD, field: junk}).encode())

    def read() -> None:
        upgraded = upgrade(message, JSON)
        read_header(upgraded)
        decode_body(upgraded, JSON)

    assert refusal(read) in {None, *Reason}

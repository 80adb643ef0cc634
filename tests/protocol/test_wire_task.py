from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from golden import refusal
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.engine.exceptions import EncodeError, RefusedError
from tqconsole.engine.protocol.limits import Limits, Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.signature import (
    checked_signature,
    checked_signatures,
    signature_dict,
)
from tqconsole.engine.protocol.task import (
    Embed,
    TaskCall,
    decode_body,
    encode_task,
    read_header,
    upgrade,
    user_headers,
)
from tqconsole.engine.serialization import content_types, encode

JSON = frozenset({"application/json"})
JUNK: list[Any] = [
    0,
    -1,
    1.5,
    True,
    "",
    "x" * 300,
    "é" * 200,
    "a\r\nb",
    "a\x00b",
    "\ud800",
    b"bytes",
    [],
    ["x"],
    {},
    {"x": 1},
    [[[]]],
    2**31,
    10**400,
    float("nan"),
    float("inf"),
    datetime(2026, 1, 1),
    object(),
]
FIELDS = sorted(encode_task(TaskCall(task_id="i", task_name="n")).headers)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def call(**fields: Any) -> TaskCall:
    return TaskCall(task_id="id-1", task_name="tasks.add", **fields)


def with_headers(**headers: Any) -> Message:
    message = encode_task(call())
    return Message(message.body, headers={**message.headers, **headers})


def raw(body: Any) -> Message:
    return Message(json.dumps(body).encode(), headers={"task": "t", "id": "i"})


@given(st.lists(JSON_VALUES), st.dictionaries(st.text(), JSON_VALUES))
def test_arguments_survive_the_round_trip(args: list[Any], kwargs: dict[str, Any]) -> None:
    body = decode_body(encode_task(call(args=args, kwargs=kwargs)), JSON)
    assert (body.args, body.kwargs) == (args, kwargs)


@given(
    st.builds(
        TaskCall,
        task_id=st.uuids().map(str),
        task_name=st.just("tasks.add"),
        shadow=st.none() | st.text(),
        root_id=st.none() | st.uuids().map(str),
        parent_id=st.none() | st.uuids().map(str),
        group_id=st.none() | st.uuids().map(str),
        group_index=st.none() | st.integers(0, 10**6),
        retries=st.integers(0, 100),
        hard_limit_s=st.none() | st.integers(1, 10**6),
        soft_limit_s=st.none() | st.floats(0.1, 10**6),
        ignore_result=st.none() | st.booleans(),
        priority=st.none() | st.integers(0, 255),
        reply_to=st.uuids().map(str),
    )
)
def test_header_survives_the_round_trip(sent: TaskCall) -> None:
    header = read_header(encode_task(sent))
    same = ("task_id", "task_name", "shadow", "parent_id", "group_id", "group_index", "retries")
    names = (*same, "hard_limit_s", "soft_limit_s", "ignore_result", "priority", "reply_to")
    assert [getattr(header, name) for name in names] == [getattr(sent, name) for name in names]
    assert header.root_id == (sent.root_id or sent.task_id)


def test_embed_survives_the_round_trip() -> None:
    signature = signature_dict("tasks.next", [1], {"a": 2}, {"queue": "q"})
    embed = Embed([signature], [signature], [signature, signature], signature)
    assert decode_body(encode_task(call(embed=embed)), JSON).embed == embed


@pytest.mark.parametrize("method", ["gzip", "bzip2", "lzma"])
def test_compressed_body_survives_the_round_trip(method: str) -> None:
    message = encode_task(call(args=["x" * 500], compression=method))
    assert len(message.body) < 200
    assert decode_body(message, JSON).args == ["x" * 500]


def test_all_nineteen_headers_are_always_there() -> None:
    assert len(FIELDS) == 19


def test_users_headers_travel_beside_celerys() -> None:
    message = encode_task(call(headers={"x": 1}))
    assert user_headers(message.headers) == {"x": 1}


def test_expiration_is_a_text_of_milliseconds() -> None:
    assert encode_task(call(expiration_ms=120000)).properties["expiration"] == "120000"


def test_expiration_that_rabbitmq_refuses_is_left_out() -> None:
    assert "expiration" not in encode_task(call(expiration_ms=2**32)).properties


def test_arguments_that_are_no_json_are_an_encode_error() -> None:
    with pytest.raises(EncodeError):
        encode_task(call(args=[{1}]))


def test_date_without_zone_is_read_in_the_given_one() -> None:
    zone = timezone(timedelta(hours=2))
    header = read_header(with_headers(eta="2026-01-01T02:00:00"), naive_tz=zone)
    assert header.eta_at == datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text", ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "20260101T000000Z"]
)
def test_dates_of_other_clients_are_read(text: str) -> None:
    header = read_header(with_headers(expires=text))
    assert header.expires_at == datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026-13-01", "9999-99-99T99", "0001-01-01T00:00:00+14:00", "\ud800", 5, 1.5],
)
def test_bad_dates_are_refused_or_read(text: Any) -> None:
    assert refusal(read_header, with_headers(eta=text)) in (None, Reason.BAD_HEADER)


def test_zero_time_limit_means_the_tasks_own() -> None:
    header = read_header(with_headers(timelimit=[0, None]))
    assert (header.hard_limit_s, header.soft_limit_s) == (None, None)


@pytest.mark.parametrize("value", [[1], [1, 2, 3], ["1", 2], [-1, 2], [float("nan"), 1], "12", 5])
def test_bad_time_limits_are_refused(value: Any) -> None:
    with pytest.raises(RefusedError) as refused:
        read_header(with_headers(timelimit=value))
    assert refused.value.reason == Reason.BAD_HEADER


@pytest.mark.parametrize("name", ["id", "task", "root_id", "parent_id", "group"])
@pytest.mark.parametrize("value", ["a\nb", "a\x00b", "x" * 256, "é" * 128, "\u202e", "\ud800"])
def test_names_unfit_for_keys_are_refused(name: str, value: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read_header(with_headers(**{name: value}))
    assert refused.value.reason == Reason.BAD_HEADER


def test_long_names_together_are_not_too_long() -> None:
    name = "x" * 250
    assert read_header(with_headers(id=name, group=name, root_id=name)).group_id == name


def test_missing_task_is_not_a_task() -> None:
    with pytest.raises(RefusedError) as refused:
        read_header(Message(b"", headers={"id": "x"}))
    assert refused.value.reason == Reason.NOT_A_TASK


def test_body_beyond_the_limit_is_too_large() -> None:
    for read in (lambda m: read_header(m, SMALL), lambda m: decode_body(m, JSON, SMALL)):
        with pytest.raises(RefusedError) as refused:
            read(encode_task(call(args=["x" * 100])))
        assert refused.value.reason == Reason.TOO_LARGE


SMALL = Limits(wire_bytes=50)


@pytest.mark.parametrize("field", [*FIELDS, "compression", "redelivered", "x"])
@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: ascii(junk)[:20])
def test_hostile_headers_raise_refused_error_only(field: str, junk: Any) -> None:
    message = with_headers(**{field: junk})
    for read in (read_header, lambda m: decode_body(m, JSON), lambda m: upgrade(m, JSON)):
        assert refusal(read, message) in {None, *Reason}


@pytest.mark.parametrize("name", ["reply_to", "correlation_id", "priority", "expiration"])
@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: ascii(junk)[:20])
def test_hostile_properties_raise_refused_error_only(name: str, junk: Any) -> None:
    message = encode_task(call())
    message.properties[name] = junk
    assert refusal(read_header, message) in (None, Reason.BAD_HEADER)


@pytest.mark.parametrize(
    "body",
    [
        None,
        5,
        "text",
        [],
        [1, 2],
        [[], {}, {}, {}],
        [5, {}, {}],
        ["text", {}, {}],
        [[], [], {}],
        [[], None, {}],
        [[], {}, [1]],
        [[], {}, "x"],
        [[], {}, {"callbacks": 5}],
        [[], {}, {"callbacks": [5]}],
        [[], {}, {"errbacks": [{"args": []}]}],
        [[], {}, {"chain": [{"task": ""}]}],
        [[], {}, {"chord": [1]}],
        [[], {}, {"chord": {"task": "x", "options": [1]}}],
        {},
        {"task": "x"},
        {"args": 5},
        {"args": [], "kwargs": 5},
    ],
)
def test_hostile_bodies_raise_refused_error_only(body: Any) -> None:
    assert refusal(decode_body, raw(body), JSON) in (Reason.BAD_BODY, Reason.BAD_SIGNATURE)


def is_body(junk: bytes) -> bool:
    """True for bytes that happen to be arguments: generated examples may be clever."""
    try:
        parts = json.loads(junk)
    except ValueError:
        return False
    return isinstance(parts, list) and len(parts) == 3


@given(st.binary().filter(lambda junk: not is_body(junk)))
def test_junk_bodies_raise_refused_error_only(body: bytes) -> None:
    with pytest.raises(RefusedError):
        decode_body(Message(body, headers={"task": "t"}), JSON)


def test_deep_body_is_too_deep() -> None:
    value: Any = 1
    for _ in range(101):
        value = [value]
    with pytest.raises(RefusedError) as refused:
        decode_body(raw([[value], {}, None]), JSON)
    assert refused.value.reason == Reason.TOO_DEEP


def test_bomb_is_too_large() -> None:
    message = encode_task(call(args=["x" * 1_000_000], compression="gzip"))
    with pytest.raises(RefusedError) as refused:
        decode_body(message, JSON, Limits(inflated_bytes=10_000))
    assert refused.value.reason == Reason.TOO_LARGE


def test_pickle_is_refused_unless_it_is_accepted() -> None:
    message = encode_task(call(args=[1], serializer="pickle"))
    with pytest.raises(RefusedError) as refused:
        decode_body(message, JSON)
    assert refused.value.reason == Reason.CONTENT_TYPE
    assert decode_body(message, content_types(["pickle"])).args == [1]


def test_keyword_that_is_no_text_is_refused() -> None:
    content_type, encoding, body = encode([[], {1: 2}, {}], "pickle")
    message = Message(body, content_type, encoding, {"task": "t", "id": "i"})
    with pytest.raises(RefusedError):
        decode_body(message, content_types(["pickle"]))


def test_signature_lacking_keys_is_completed() -> None:
    assert checked_signature({"task": "x"}) == signature_dict("x", [])


def test_single_signature_counts_as_a_list() -> None:
    assert checked_signatures({"task": "x"}) == [signature_dict("x", [])]


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("group", {}),
        ("chain", {"tasks": {"task": "x"}}),
        ("group", {"tasks": [{"task": "x"}, {"args": []}]}),
        ("chord", {"body": {"task": "x"}}),
        ("chord", {"header": {"task": "g", "subtask_type": "group"}, "body": {"task": "x"}}),
        ("chord", {"header": [{"task": "x"}], "body": "x"}),
    ],
)
def test_signature_of_calls_that_can_never_be_made_is_refused(
    kind: str, kwargs: dict[str, Any]
) -> None:
    value = signature_dict("celery", kwargs=kwargs, subtask_type=kind)

    assert refusal(checked_signature, value) is Reason.BAD_SIGNATURE


def test_signature_made_of_others_stays_as_it_is() -> None:
    header = {"task": "g", "subtask_type": "group", "kwargs": {"tasks": [{"task": "x"}]}}
    value = signature_dict(
        "celery.chord", [], {"header": header, "body": {"task": "y"}}, subtask_type="chord"
    )

    assert checked_signature(value) == value


@given(JSON_VALUES)
def test_hostile_signatures_are_refused(value: Any) -> None:
    for check in (checked_signature, checked_signatures):
        assert refusal(check, value) in (None, Reason.BAD_SIGNATURE)


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


def test_changed_copy_is_made_by_msgspec() -> None:
    assert msgspec.structs.replace(call(), retries=3).retries == 3


@pytest.mark.parametrize(
    "said",
    [
        {"task_name": ""},
        {"task_name": None},
        {"task_name": "x" * 300},
        {"task_name": "a\x1b[31m"},
        {"task_id": 7},
        {"task_id": "x\ny"},
        {"hard_limit_s": -1},
        {"soft_limit_s": float("nan")},
        {"hard_limit_s": float("inf")},
        {"priority": "high"},
    ],
)
def test_what_every_worker_would_refuse_is_not_sent(said: dict[str, Any]) -> None:
    call = TaskCall(**{"task_id": "id-1", "task_name": "proj.tasks.add", **said})

    with pytest.raises(EncodeError):
        encode_task(call)

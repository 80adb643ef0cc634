"""What the real Celery said: ours reads every recorded message, and says the same again.

The vectors in `snapshots/wire` were recorded by `tests/servers/capture_vectors.py`. Both directions
are compared field by field: header tables and properties whole, bodies as JSON structures.
"""

from __future__ import annotations

import json
import pickle
import zlib
from typing import Any

import msgspec
import pytest
from golden import VECTORS, message_of, names

from tqconsole.engine.protocol import control, event
from tqconsole.engine.protocol.envelope import from_envelope, to_envelope
from tqconsole.engine.protocol.instant import iso_instant
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.result import ResultRecord, decode_record, encode_record
from tqconsole.engine.protocol.saferepr import saferepr
from tqconsole.engine.protocol.task import (
    TaskCall,
    decode_body,
    encode_task,
    read_header,
    user_headers,
)
from tqconsole.engine.serialization import content_types, decompress

ACCEPT = content_types(["json", "pickle", "yaml", "msgpack"])
SERIALIZERS = {
    "application/json": "json",
    "application/x-python-serialize": "pickle",
    "application/x-yaml": "yaml",
    "application/x-msgpack": "msgpack",
}
#: Their reprs were made of values that JSON changed on the way (keys, bytes, a user's own text).
ALTERED_REPRS = ("rich", "reprs", "sent-by", "map", "chunks")
#: Options that kombu's virtual transports let slip into the properties; AMQP cannot carry them.
LEAKED = ("origin", "argsrepr", "kwargsrepr")
TASKS, RESULTS = names("task"), names("result")
EVENTS, REQUESTS, REPLIES = names("event"), names("request"), names("reply")


def plain(message: Message) -> Any:
    """Return the body's structure without our own codec; NaN compares as text."""
    body = message.body
    compression = message.headers.get("compression")
    if compression:
        body = decompress(body, compression, 1 << 20)
    if message.content_type == "application/json":
        structure = json.loads(body)
        # The last step of a chain carries [] or null; no peer tells them apart.
        structure[2]["chain"] = structure[2]["chain"] or None
        return json.dumps(structure, sort_keys=True)
    if message.content_type == "application/x-python-serialize":
        args, kwargs, embed = pickle.loads(body)
        return [list(args), kwargs, embed]
    return decode_body(message, ACCEPT)


def call_of(message: Message) -> TaskCall:
    """Return the call that a recorded message was; the texts of dates are given, the rest read."""
    header, body = read_header(message), decode_body(message, ACCEPT)
    headers, properties = message.headers, message.properties
    fields = {name: getattr(header, name) for name in SAME_FIELDS}
    expiration = properties.get("expiration")
    return TaskCall(
        **fields,
        args=tuple(body.args),
        kwargs=body.kwargs,
        embed=body.embed,
        eta=headers["eta"],
        expires=headers["expires"],
        expiration_ms=None if expiration is None else int(expiration),
        delivery_mode=properties["delivery_mode"],
        stamped_headers=headers["stamped_headers"],
        headers=user_headers(headers),
        serializer=SERIALIZERS[message.content_type],
        compression=headers.get("compression"),
    )


SAME_FIELDS = (
    "task_id",
    "task_name",
    "shadow",
    "root_id",
    "parent_id",
    "group_id",
    "group_index",
    "retries",
    "hard_limit_s",
    "soft_limit_s",
    "ignore_result",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "reply_to",
    "priority",
    "replaced_nesting",
    "stamps",
)


def test_vectors_of_every_kind_are_recorded() -> None:
    assert {"task", "result", "event", "request", "reply"} == {
        vector["kind"] for vector in VECTORS.values()
    }
    assert {vector["transport"] for vector in VECTORS.values()} == {"redis", "amqp"}


@pytest.mark.parametrize("name", TASKS)
def test_task_headers_go_out_as_they_came(name: str) -> None:
    message = message_of(VECTORS[name])
    assert encode_task(call_of(message)).headers == message.headers


@pytest.mark.parametrize("name", TASKS)
def test_task_header_types_go_out_as_they_came(name: str) -> None:
    message = message_of(VECTORS[name])
    ours = encode_task(call_of(message)).headers
    assert {key: repr(value) for key, value in ours.items()} == {
        key: repr(value) for key, value in message.headers.items()
    }


@pytest.mark.parametrize("name", TASKS)
def test_task_properties_go_out_as_they_came(name: str) -> None:
    message = message_of(VECTORS[name])
    theirs = {key: value for key, value in message.properties.items() if key not in LEAKED}
    ours = encode_task(call_of(message))
    assert ours.properties == theirs
    assert (ours.content_type, ours.content_encoding) == (
        message.content_type,
        message.content_encoding,
    )


@pytest.mark.parametrize("name", TASKS)
def test_task_body_goes_out_as_it_came(name: str) -> None:
    message = message_of(VECTORS[name])
    assert plain(encode_task(call_of(message))) == plain(message)


@pytest.mark.parametrize("name", [n for n in TASKS if not any(w in n for w in ALTERED_REPRS)])
def test_reprs_of_arguments_equal_celerys(name: str) -> None:
    message = message_of(VECTORS[name])
    body = decode_body(message, ACCEPT)
    ours = saferepr(tuple(body.args)), saferepr(body.kwargs)
    assert ours == (message.headers["argsrepr"], message.headers["kwargsrepr"])


@pytest.mark.parametrize("name", TASKS)
def test_dates_of_a_task_are_read_exactly(name: str) -> None:
    message = message_of(VECTORS[name])
    header = read_header(message)
    for at, text in ((header.eta_at, "eta"), (header.expires_at, "expires")):
        assert (None if at is None else iso_instant(at)) == message.headers[text]


@pytest.mark.parametrize("name", [n for n, v in VECTORS.items() if "envelope" in v])
def test_envelope_goes_out_as_it_came(name: str) -> None:
    recorded = VECTORS[name]["envelope"]
    message, exchange, routing_key, tag = from_envelope(recorded.encode())
    assert json.loads(to_envelope(message, exchange, routing_key, tag)) == json.loads(recorded)


@pytest.mark.parametrize("name", RESULTS)
def test_result_record_goes_out_as_it_came(name: str) -> None:
    payload = message_of(VECTORS[name]).body
    is_compressed = payload.startswith(b"\x00")
    record = decode_record(payload)
    ours = encode_record(record, compression="gzip" if is_compressed else None)
    if is_compressed:
        head, payload = payload[:40], zlib.decompress(payload[payload.index(b"gzip\x00") + 5 :])
        assert ours.startswith(head[: head.index(b"gzip")])
        ours = zlib.decompress(ours[ours.index(b"gzip\x00") + 5 :])
    assert json.dumps(json.loads(ours), sort_keys=True) == json.dumps(
        json.loads(payload), sort_keys=True
    )


@pytest.mark.parametrize("name", [n for n in RESULTS if n.endswith("-failure")])
def test_failure_is_read_as_an_exception(name: str) -> None:
    assert isinstance(decode_record(message_of(VECTORS[name]).body).result, Exception)


def test_rich_result_is_read_as_python_values() -> None:
    record = decode_record(message_of(VECTORS["redis-result-rich-success"]).body)
    assert isinstance(record, ResultRecord)
    kinds = {key: type(value).__name__ for key, value in record.result.items()}
    assert kinds == {
        "datetime": "datetime",
        "date": "date",
        "time": "time",
        "decimal": "Decimal",
        "uuid": "UUID",
        "bytes": "bytes",
        "base64": "bytes",
        "text": "str",
        "nan": "float",
        "big": "int",
        "keys": "dict",
    }


@pytest.mark.parametrize("name", EVENTS)
def test_events_go_out_as_they_came(name: str) -> None:
    message = message_of(VECTORS[name])
    theirs = json.loads(message.body)
    events = event.decode_events(message)
    ours = event.encode_events(events if isinstance(theirs, list) else events[0])
    assert json.loads(ours.body) == theirs
    assert ours.headers == message.headers
    assert ours.properties["delivery_mode"] == message.properties["delivery_mode"]


@pytest.mark.parametrize("name", EVENTS)
def test_event_builders_make_celerys_fields(name: str) -> None:
    for theirs in event.decode_events(message_of(VECTORS[name])):
        built = event_like(theirs)
        if built is not None:
            origin = (theirs["hostname"], theirs["timestamp"], theirs["clock"], theirs["pid"])
            ours = event.with_origin(built, *origin, theirs["utcoffset"])
            assert ours == theirs


def event_like(theirs: dict[str, Any]) -> event.Event | None:  # noqa: C901 - a row per type
    """Return the event that the builder of that type makes of the values of `theirs`."""
    uuid = theirs.get("uuid", "")
    match theirs["type"]:
        case "task-sent":
            address = theirs["queue"], theirs["exchange"], theirs["routing_key"]
            return event.task_sent(header_like(theirs), *address)
        case "task-received":
            return event.task_received(header_like(theirs))
        case "task-started":
            return event.task_started(uuid)
        case "task-succeeded":
            return event.task_succeeded(uuid, theirs["result"], theirs["runtime"])
        case "task-failed":
            return event.task_failed(uuid, theirs["exception"], theirs.get("traceback"))
        case "task-retried":
            return event.task_retried(uuid, theirs["exception"], theirs["traceback"])
        case "task-rejected":
            return event.task_rejected(uuid, is_requeued=theirs["requeue"])
        case "task-revoked":
            return event.task_revoked(
                uuid,
                is_terminated=theirs["terminated"],
                signum=theirs["signum"],
                is_expired=theirs["expired"],
            )
        case "worker-online" | "worker-heartbeat" | "worker-offline":
            if "active" not in theirs:
                return None
            return event.worker_state(
                theirs["type"],
                interval_s=theirs["freq"],
                active_count=theirs["active"],
                processed_count=theirs["processed"],
                load=theirs["loadavg"],
                software=(theirs["sw_ident"], theirs["sw_ver"], theirs["sw_sys"]),
            )
    return None


def header_like(theirs: dict[str, Any]) -> dict[str, Any]:
    same = {key: theirs[key] for key in ("root_id", "parent_id", "retries", "eta", "expires")}
    return {
        **same,
        "id": theirs["uuid"],
        "task": theirs["name"],
        "argsrepr": theirs["args"],
        "kwargsrepr": theirs["kwargs"],
    }


@pytest.mark.parametrize("name", EVENTS)
def test_routing_key_of_an_event_is_celerys(name: str) -> None:
    vector = VECTORS[name]
    message = message_of(vector)
    is_batch = isinstance(json.loads(message.body), list)
    kinds = [item["type"] for item in event.decode_events(message)]
    expected = event.BATCH_KEY if is_batch else event.routing_key(kinds[0])
    key = vector["key"].partition("celeryev/")[2] if "key" in vector else vector["routing_key"]
    assert key == expected


@pytest.mark.parametrize("name", REQUESTS)
def test_commands_go_out_as_they_came(name: str) -> None:
    message = message_of(VECTORS[name])
    ours = control.encode_request(control.decode_request(message))
    assert json.loads(ours.body) == json.loads(message.body)
    assert ours.headers == message.headers
    assert ours.properties["delivery_mode"] == message.properties["delivery_mode"]


@pytest.mark.parametrize("name", REPLIES)
def test_replies_go_out_as_they_came(name: str) -> None:
    message = message_of(VECTORS[name])
    reply = control.decode_reply(message)
    ours = control.encode_reply(reply.node, reply.value, reply.ticket, reply.clock)
    assert json.loads(ours.body) == json.loads(message.body)
    assert ours.headers == message.headers
    assert ours.properties["delivery_mode"] == message.properties["delivery_mode"]


def test_changed_copy_of_a_call_keeps_the_rest() -> None:
    call = call_of(message_of(VECTORS["redis-task-plain"]))
    again = msgspec.structs.replace(call, retries=1)
    assert again.retries == 1
    assert again.task_id == call.task_id

"""The result record: what became of a call, as every store keeps it (wire.md §4.1).

Exceptions cross as names and arguments. Reading one back never imports, never calls what is no
exception class and never builds a `BaseException` that would end the reader: a class that is not
known here becomes a `RemoteTaskError` that bears its name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from tqconsole.engine import states
from tqconsole.engine.exceptions import BackendError, RefusedError
from tqconsole.engine.protocol.failure import decode_exception, encode_exception, picklable
from tqconsole.engine.protocol.instant import epoch_instant, iso_instant
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS, Limits, Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import JSON_ONLY, decoded_payload
from tqconsole.engine.serialization import JSON_TYPE, compress, encode, is_plain

__all__ = [
    "ResultRecord",
    "decode_exception",
    "decode_record",
    "encode_exception",
    "encode_record",
]

#: In front of a compressed record (Celery 5.7's `result_compression`).
_COMPRESSED = b"\x00celery-compressed\x00"
_OWN_FIELDS = frozenset(
    {
        "status",
        "result",
        "traceback",
        "children",
        "date_done",
        "task_id",
        "group_id",
        "parent_id",
    }
)


class ResultRecord(msgspec.Struct, frozen=True):
    """What became of one call.

    `result` is the value, an exception (FAILURE, RETRY, REVOKED), the meta map of a custom state,
    or `{"pid", "hostname"}` (STARTED). `children` are Celery's result tuples. `extended` holds
    name, args, kwargs, worker, retries, queue and stamps when `result_extended` is on.
    """

    task_id: str
    state: str
    result: Any = None
    traceback: str | None = None
    children: list[Any] | None = None
    date_done_at: float | None = None
    group_id: str | None = None
    parent_id: str | None = None
    extended: dict[str, Any] = msgspec.field(default_factory=dict)


def encode_record(
    record: ResultRecord, serializer: str = "json", compression: str | None = None
) -> bytes:
    """Return the bytes a store keeps. Raises: EncodeError if the result cannot be written."""
    payload = _usual_payload(record) if serializer == "json" else None
    if payload is None:
        payload = encode(_meta_of(record, serializer), serializer)[2]
    if not compression:
        return payload
    packed, content_type = compress(payload, compression)
    return b"%s%s\x00%s" % (_COMPRESSED, content_type.encode(), packed)


class _UsualMeta(msgspec.Struct):
    """The record of a call that stands for itself, in the order of `_meta_of`."""

    status: str
    result: Any
    traceback: str | None
    children: list[Any]
    date_done: str | None
    task_id: str


class _StoredMeta(msgspec.Struct, forbid_unknown_fields=True):
    """A record as JSON, its `extended` empty."""

    status: str
    result: Any = None
    traceback: str | None = None
    children: list[Any] | None = None
    date_done: str | None = None
    task_id: str = ""
    group_id: str | None = None
    parent_id: str | None = None


_write_usual = msgspec.json.Encoder().encode
_read_usual = msgspec.json.Decoder(_StoredMeta).decode


def _usual_payload(record: ResultRecord) -> bytes | None:
    """Return what `_meta_of` gives as JSON, at a third of its price; None for what is not plain."""
    if record.children != [] or record.group_id or record.parent_id or record.extended:
        return None
    done_at = record.date_done_at
    done = None if done_at is None else iso_instant(done_at)
    try:
        if not is_plain(record.result):
            return None
        return _write_usual(
            _UsualMeta(record.state, record.result, record.traceback, [], done, record.task_id)
        )
    except (UnicodeEncodeError, RecursionError, msgspec.MsgspecError):
        return None


def _meta_of(record: ResultRecord, serializer: str) -> dict[str, Any]:
    outcome = record.result
    if isinstance(outcome, BaseException):
        is_pickle = serializer in ("pickle", "application/x-python-serialize")
        outcome = picklable(outcome) if is_pickle else encode_exception(outcome, serializer)
    done_at = record.date_done_at
    meta = {
        "status": record.state,
        "result": outcome,
        "traceback": record.traceback,
        "children": record.children,
        "date_done": None if done_at is None else iso_instant(done_at),
    }
    if record.group_id:
        meta["group_id"] = record.group_id
    if record.parent_id:
        meta["parent_id"] = record.parent_id
    meta.update(record.extended)
    meta["task_id"] = record.task_id
    return meta


def decode_record(
    payload: bytes,
    content_type: str = "application/json",
    accept: frozenset[str] = JSON_ONLY,
    limits: Limits = DEFAULT_LIMITS,
) -> ResultRecord:
    """Return the record in stored bytes, exceptions rebuilt.

    Raises: BackendError if it is corrupt, too large or of a type that is not accepted; no other.
    """
    try:
        if content_type == JSON_TYPE and content_type in accept:
            usual = _usual_record(payload, limits)
            if usual is not None:
                return usual
        headers: dict[str, Any] = {}
        if payload.startswith(_COMPRESSED):
            compression, _, payload = payload[len(_COMPRESSED) :].partition(b"\x00")
            headers["compression"] = compression.decode("ascii", "replace")
        meta = decoded_payload(Message(payload, content_type, headers=headers), accept, limits)
        return _record_of(meta)
    except RefusedError as error:
        raise BackendError(f"The stored result cannot be read: {error}") from error


def _usual_record(payload: bytes, limits: Limits) -> ResultRecord | None:
    """Return what `_record_of` makes of plain JSON, at a third of its price; None for what has to
    be looked at more closely.
    """
    # Fewer brackets than the limit cannot be too deep; what is compressed begins with none.
    if payload[:1] != b"{" or len(payload) > limits.wire_bytes or b"__type__" in payload:
        return None
    if payload.count(b"[") + payload.count(b"{") > limits.depth:
        return None
    try:
        meta = _read_usual(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    state, outcome = meta.status, meta.result
    if not state:
        return None
    if outcome is not None and state in states.EXCEPTION_STATES:
        outcome = decode_exception(outcome)
    return ResultRecord(
        meta.task_id,
        state,
        outcome,
        meta.traceback,
        meta.children,
        _done_at(meta.date_done),
        meta.group_id,
        meta.parent_id,
    )


def _record_of(meta: Any) -> ResultRecord:
    if not isinstance(meta, dict):
        raise RefusedError(Reason.BAD_BODY, f"a {type(meta).__name__}, not a map")
    state = _text(meta, "status")
    if not state:
        raise RefusedError(Reason.BAD_BODY, "no status")
    outcome = meta.get("result")
    if state in states.EXCEPTION_STATES and outcome is not None:
        outcome = decode_exception(outcome)
    children = meta.get("children")
    return ResultRecord(
        task_id=_text(meta, "task_id") or "",
        state=state,
        result=outcome,
        traceback=_text(meta, "traceback"),
        children=list(children) if isinstance(children, list | tuple) else None,
        date_done_at=_done_at(meta.get("date_done")),
        group_id=_text(meta, "group_id"),
        parent_id=_text(meta, "parent_id"),
        extended={}
        if _OWN_FIELDS.issuperset(meta)
        else {key: meta[key] for key in meta.keys() - _OWN_FIELDS},
    )


def _text(meta: dict[Any, Any], key: str) -> str | None:
    value = meta.get(key)
    if value is not None and not isinstance(value, str):
        raise RefusedError(Reason.BAD_BODY, f"{key} is a {type(value).__name__}, not a text")
    return value


def _done_at(value: Any) -> float | None:
    # SQL and Mongo stores hand out datetimes, naive ones in UTC.
    if not isinstance(value, str | datetime):
        return None
    try:
        return epoch_instant(value)
    except ValueError as error:
        raise RefusedError(Reason.BAD_BODY, "date_done is no date") from error

"""The task message, protocol 2: a call to bytes, and what arrives to values.

The worker's parent reads headers only (`read_header`) and hands the raw body on; the child decodes
it (`decode_body`). A client says everything in one `TaskCall` (`encode_task`). Header and property
names, their order and types are Celery's (wire.md §1). The values are msgspec structs because one
of each is made per task; a changed copy is `msgspec.structs.replace`.

Whatever bytes come, decoding raises `RefusedError` and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from math import isfinite
from typing import Any

import msgspec

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.instant import epoch_instant
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS, Limits, Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import decoded_payload
from tqconsole.engine.protocol.protocol1 import upgrade
from tqconsole.engine.protocol.saferepr import REPR_CHARS, REPR_LEVELS, saferepr
from tqconsole.engine.protocol.signature import checked_signature, checked_signatures
from tqconsole.engine.serialization import compress, encode

__all__ = [
    "NO_EMBED",
    "OWN_HEADERS",
    "Embed",
    "TaskBody",
    "TaskCall",
    "TaskHeader",
    "decode_body",
    "encode_task",
    "read_header",
    "upgrade",
    "user_headers",
]

#: The headers Celery itself writes; every other one is the user's and travels on with retries.
OWN_HEADERS = frozenset(
    {
        "lang",
        "task",
        "id",
        "shadow",
        "eta",
        "expires",
        "group",
        "group_index",
        "retries",
        "timelimit",
        "root_id",
        "parent_id",
        "argsrepr",
        "kwargsrepr",
        "origin",
        "ignore_result",
        "replaced_task_nesting",
        "stamped_headers",
        "stamps",
        "compression",
        "redelivered",
    }
)


class Embed(msgspec.Struct, frozen=True):
    """What is to happen after the run. `chain` is in reverse: the next task is the last element."""

    callbacks: list[dict[str, Any]] | None = None
    errbacks: list[dict[str, Any]] | None = None
    chain: list[dict[str, Any]] | None = None
    chord: dict[str, Any] | None = None


NO_EMBED = Embed()


class TaskBody(msgspec.Struct, frozen=True):
    """The decoded body: what the task is called with, and what follows."""

    args: list[Any]
    kwargs: dict[str, Any]
    embed: Embed = NO_EMBED


class TaskHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers and properties say, checked. Instants in epoch seconds, limits in seconds.

    `ignore_result`, `hard_limit_s` and `soft_limit_s` are None when the sender left them to the
    task.
    """

    task_id: str
    task_name: str
    shadow: str | None = None
    root_id: str
    parent_id: str | None = None
    group_id: str | None = None
    group_index: int | None = None
    retries: int = 0
    eta_at: float | None = None
    expires_at: float | None = None
    hard_limit_s: float | None = None
    soft_limit_s: float | None = None
    ignore_result: bool | None = None
    argsrepr: str = ""
    kwargsrepr: str = ""
    origin: str = ""
    reply_to: str = ""
    correlation_id: str = ""
    priority: int | None = None
    replaced_nesting: int = 0
    stamped_headers: tuple[str, ...] = ()
    stamps: dict[str, Any] = {}


class TaskCall(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a client says in one call.

    `eta` and `expires` are ISO texts as they go out (`instant.iso_instant` makes them),
    `expiration_ms` the broker's own deadline that goes with `expires`. `headers` are the user's,
    merged beside Celery's. `stamps` are name -> value of `stamped_headers`. Without `argsrepr` and
    `kwargsrepr` they are made here.
    """

    task_id: str
    task_name: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    embed: Embed = NO_EMBED
    shadow: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group_id: str | None = None
    group_index: int | None = None
    retries: int = 0
    eta: str | None = None
    expires: str | None = None
    expiration_ms: int | None = None
    hard_limit_s: float | None = None
    soft_limit_s: float | None = None
    ignore_result: bool | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str = ""
    reply_to: str = ""
    priority: int | None = None
    delivery_mode: int = 2
    replaced_nesting: int = 0
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    serializer: str = "json"
    compression: str | None = None
    repr_chars: int = REPR_CHARS
    repr_levels: int = REPR_LEVELS


def encode_task(call: TaskCall) -> Message:
    """Return the message of a call. Raises: EncodeError, ImproperlyConfigured (unknown codec)."""
    embed = call.embed
    content_type, encoding, body = encode(
        [
            call.args,
            call.kwargs,
            {
                "callbacks": embed.callbacks,
                "errbacks": embed.errbacks,
                "chain": embed.chain,
                "chord": embed.chord,
            },
        ],
        call.serializer,
    )
    headers = _headers_of(call)
    if call.compression:
        body, headers["compression"] = compress(body, call.compression)
    properties: dict[str, Any] = {
        "correlation_id": call.task_id,
        "reply_to": call.reply_to,
        "delivery_mode": call.delivery_mode,
    }
    if call.priority is not None:
        properties["priority"] = call.priority
    if call.expiration_ms is not None:
        # AMQP's own field is a text of milliseconds.
        properties["expiration"] = str(call.expiration_ms)
    return Message(body, content_type, encoding, headers, properties)


def _headers_of(call: TaskCall) -> dict[str, Any]:
    argsrepr, kwargsrepr = call.argsrepr, call.kwargsrepr
    if argsrepr is None:
        argsrepr = saferepr(call.args, call.repr_chars, call.repr_levels)
    if kwargsrepr is None:
        kwargsrepr = saferepr(call.kwargs, call.repr_chars, call.repr_levels)
    headers = {
        "lang": "py",
        "task": call.task_name,
        "id": call.task_id,
        "shadow": call.shadow,
        "eta": call.eta,
        "expires": call.expires,
        "group": call.group_id,
        "group_index": call.group_index,
        "retries": call.retries,
        "timelimit": [call.hard_limit_s, call.soft_limit_s],
        "root_id": call.root_id or call.task_id,
        "parent_id": call.parent_id,
        "argsrepr": argsrepr,
        "kwargsrepr": kwargsrepr,
        "origin": call.origin,
        "ignore_result": call.ignore_result,
        "replaced_task_nesting": call.replaced_nesting,
        "stamped_headers": call.stamped_headers,
        "stamps": call.stamps,
    }
    if call.headers:
        headers.update(call.headers)
    return headers


def user_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers that are the user's own: they are kept, and sent again with a retry."""
    return {name: value for name, value in headers.items() if name not in OWN_HEADERS}


def read_header(
    message: Message, limits: Limits = DEFAULT_LIMITS, naive_tz: tzinfo = UTC
) -> TaskHeader:
    """Return what the headers of a protocol 2 message say; dates without zone are in `naive_tz`.

    Raises: RefusedError only ("not-a-task", "bad-header", "too-large").
    """
    get = message.headers.get
    task_name = get("task")
    if task_name is None:
        raise RefusedError(Reason.NOT_A_TASK, "no task header")
    if len(message.body) > limits.wire_bytes:
        raise RefusedError(Reason.TOO_LARGE, f"{len(message.body)} bytes")
    name_bytes = limits.name_bytes
    task_id = _name("id", get("id"), name_bytes)
    hard_limit_s, soft_limit_s = _time_limits(get("timelimit"))
    stamped_headers, stamps = _stamps(get("stamped_headers"), get("stamps"))
    prop = message.properties.get
    return TaskHeader(
        task_id=task_id,
        task_name=_name("task", task_name, name_bytes),
        shadow=_text("shadow", get("shadow")),
        root_id=_optional_name("root_id", get("root_id"), name_bytes) or task_id,
        parent_id=_optional_name("parent_id", get("parent_id"), name_bytes),
        group_id=_optional_name("group", get("group"), name_bytes),
        group_index=_number("group_index", get("group_index")),
        retries=_number("retries", get("retries")) or 0,
        eta_at=_instant("eta", get("eta"), naive_tz),
        expires_at=_instant("expires", get("expires"), naive_tz),
        hard_limit_s=hard_limit_s,
        soft_limit_s=soft_limit_s,
        ignore_result=_flag("ignore_result", get("ignore_result")),
        argsrepr=_text("argsrepr", get("argsrepr")) or "",
        kwargsrepr=_text("kwargsrepr", get("kwargsrepr")) or "",
        origin=_text("origin", get("origin")) or "",
        reply_to=_optional_name("reply_to", prop("reply_to"), name_bytes) or "",
        correlation_id=_optional_name("correlation_id", prop("correlation_id"), name_bytes)
        or task_id,
        priority=_number("priority", prop("priority")),
        replaced_nesting=_number("replaced_task_nesting", get("replaced_task_nesting")) or 0,
        stamped_headers=stamped_headers,
        stamps=stamps,
    )


def decode_body(
    message: Message, accept: frozenset[str], limits: Limits = DEFAULT_LIMITS
) -> TaskBody:
    """Return arguments and what follows; `accept` are content types.

    A map with `args` (protocol 1 and its hybrid) is read too. Raises: RefusedError only.
    """
    body = decoded_payload(message, accept, limits)
    if isinstance(body, dict):
        return _body_of_map(body)
    if not isinstance(body, list | tuple) or len(body) != 3:
        raise RefusedError(Reason.BAD_BODY, "not [args, kwargs, embed]")
    args, kwargs, embed = body
    return TaskBody(_args(args), _kwargs(kwargs), _embed(embed))


def _body_of_map(body: dict[Any, Any]) -> TaskBody:
    if "args" not in body and "kwargs" not in body:
        raise RefusedError(Reason.BAD_BODY, "a map without args")
    args, kwargs = body.get("args"), body.get("kwargs")
    return TaskBody(
        _args(() if args is None else args),
        _kwargs({} if kwargs is None else kwargs),
        # Protocol 1 knows no chain header: its chains are callbacks.
        _embed({key: body.get(key) for key in ("callbacks", "errbacks", "chord")}),
    )


def _args(args: Any) -> list[Any]:
    if isinstance(args, list):
        return args
    if isinstance(args, tuple):
        return list(args)
    raise RefusedError(Reason.BAD_BODY, f"args are a {type(args).__name__}, not a list")


def _kwargs(kwargs: Any) -> dict[str, Any]:
    if not isinstance(kwargs, dict):
        raise RefusedError(Reason.BAD_BODY, f"kwargs are a {type(kwargs).__name__}, not a map")
    if not all(isinstance(key, str) for key in kwargs):
        raise RefusedError(Reason.BAD_BODY, "a keyword is not a text")
    return kwargs


def _embed(embed: Any) -> Embed:
    if not embed:
        return NO_EMBED
    if not isinstance(embed, dict):
        raise RefusedError(Reason.BAD_BODY, f"embed is a {type(embed).__name__}, not a map")
    if not any(embed.values()):
        return NO_EMBED
    chord = embed.get("chord")
    return Embed(
        checked_signatures(embed.get("callbacks")),
        checked_signatures(embed.get("errbacks")),
        checked_signatures(embed.get("chain")),
        checked_signature(chord) if chord else None,
    )


def _bad_header(name: str, value: Any) -> RefusedError:
    return RefusedError(Reason.BAD_HEADER, f"{name} is {saferepr(value, 100)}")


def _name(name: str, value: Any, name_bytes: int) -> str:
    """Return an id or name that is fit to be part of a key, a file name and a log line."""
    # isprintable is False for every control character, for NUL, CR, LF and lone surrogates.
    if type(value) is not str or not value or not value.isprintable():
        raise _bad_header(name, value)
    if len(value) * 4 > name_bytes and len(value.encode()) > name_bytes:
        raise RefusedError(Reason.BAD_HEADER, f"{name} is longer than {name_bytes} bytes")
    return value


def _optional_name(name: str, value: Any, name_bytes: int) -> str | None:
    # Celery itself sends "" for a missing reply_to.
    return _name(name, value, name_bytes) if value is not None and value != "" else None


def _text(name: str, value: Any) -> str | None:
    if value is not None and type(value) is not str:
        raise _bad_header(name, value)
    return value


def _number(name: str, value: Any) -> int | None:
    """Return a count: no text, no bool, not negative, small enough for every store's integer."""
    if value is not None and (type(value) is not int or not 0 <= value < 2**31):
        raise _bad_header(name, value)
    return value


def _flag(name: str, value: Any) -> bool | None:
    if value is not None and type(value) is not bool:
        raise _bad_header(name, value)
    return value


def _instant(name: str, value: Any, naive_tz: tzinfo) -> float | None:
    if value is None:
        return None
    # AMQP tables can carry timestamps; a number is refused, as no peer says its unit.
    if not isinstance(value, str | datetime):
        raise _bad_header(name, value)
    try:
        return epoch_instant(value, naive_tz)
    except ValueError as error:
        raise _bad_header(name, value) from error


def _time_limits(value: Any) -> tuple[float | None, float | None]:
    """Return (hard, soft); 0 and null mean the task's own, as in Celery."""
    if value is None:
        return None, None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise _bad_header("timelimit", value)
    for limit_s in value:
        if limit_s is not None and not _is_duration(limit_s):
            raise _bad_header("timelimit", value)
    return value[0] or None, value[1] or None


def _is_duration(value: Any) -> bool:
    if type(value) is int:
        return 0 <= value < 2**31
    return type(value) is float and isfinite(value) and 0 <= value < 2**31


def _stamps(names: Any, stamps: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    if not names and not stamps:
        return (), {}
    if not isinstance(names or (), list | tuple) or not isinstance(stamps or {}, dict):
        raise _bad_header("stamped_headers", [names, stamps])
    if not all(isinstance(name, str) for name in (*(names or ()), *(stamps or ()))):
        raise _bad_header("stamped_headers", [names, stamps])
    return tuple(names or ()), stamps or {}

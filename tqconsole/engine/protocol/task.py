"""The task message, protocol 2: a call to bytes, and what arrives to values.

The worker's parent reads headers only (`read_header`) and hands the raw body on; the child decodes
it (`decode_body`). A client says everything in one `TaskCall` (`encode_task`). Header and property
names, their order and types are Celery's (wire.md §1). The values are msgspec structs because one
of each is made per task; a changed copy is `msgspec.structs.replace`.

Whatever bytes come, decoding raises `RefusedError` and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from tqconsole.engine.exceptions import EncodeError, RefusedError
from tqconsole.engine.protocol.header import OWN_HEADERS, TaskHeader, read_header, user_headers
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS, Limits, Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import decoded_payload
from tqconsole.engine.protocol.protocol1 import upgrade
from tqconsole.engine.protocol.saferepr import REPR_CHARS, REPR_LEVELS, saferepr
from tqconsole.engine.protocol.sealed import SealedMessage
from tqconsole.engine.protocol.signature import checked_signature, checked_signatures
from tqconsole.engine.serialization import JSON_TYPE, compress, encode

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


#: RabbitMQ closes the channel for more (49 days); then only the worker looks at `expires`.
_MAX_EXPIRATION_MS = 2**32 - 1

#: Time limits are shorter, as `header.py` reads them.
MOST_SECONDS = 2**31
#: Fields of a call that are ids or addresses, beside its own name and id.
_OTHER_NAMES = ("root_id", "parent_id", "group_id", "reply_to")


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
    _refuse_what_no_worker_takes(call)
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
    if call.expiration_ms is not None and call.expiration_ms <= _MAX_EXPIRATION_MS:
        # AMQP's own field is a text of milliseconds.
        properties["expiration"] = str(call.expiration_ms)
    return Message(body, content_type, encoding, headers, properties)


def _refuse_what_no_worker_takes(call: TaskCall) -> None:
    """Raise EncodeError for what `read_header` refuses: its caller would wait forever."""
    for what, name in (("name", call.task_name), ("id", call.task_id)):
        refuse_unfit_name(what, name)
        if not name:
            raise EncodeError(f"a task's {what} is empty")
    for what in _OTHER_NAMES:
        name = getattr(call, what)
        if name:
            refuse_unfit_name(what, name)
    if call.shadow is not None and not isinstance(call.shadow, str):
        raise EncodeError(f"a task's shadow is a text, not {call.shadow!r:.60}")
    _refuse_unfit_limit(call.hard_limit_s)
    _refuse_unfit_limit(call.soft_limit_s)
    if call.priority is not None and not isinstance(call.priority, int):
        raise EncodeError(f"a priority is a whole number, not {call.priority!r:.60}")
    if not isinstance(call.headers, Mapping):
        raise EncodeError(f"headers are a map, not {call.headers!r:.60}")
    if call.embed is not NO_EMBED:
        _refuse_unfit_signatures(call.embed)


def refuse_unfit_name(what: str, name: object) -> None:
    """Raise EncodeError for what no worker takes as a name or id."""
    if not isinstance(name, str) or len(name) > DEFAULT_LIMITS.name_bytes:
        raise EncodeError(
            f"a task's {what} is a text of at most {DEFAULT_LIMITS.name_bytes} bytes,"
            f" not {name!r:.60}"
        )
    if not name.isprintable():
        raise EncodeError(f"a task's {what} has no control characters, as {name!r:.60}")


def _refuse_unfit_limit(limit_s: float | None) -> None:
    if limit_s is None or (isinstance(limit_s, int | float) and 0 <= limit_s < MOST_SECONDS):
        return
    raise EncodeError(f"a time limit is 0 to {MOST_SECONDS - 1} seconds, not {limit_s!r:.60}")


def _refuse_unfit_signatures(embed: Embed) -> None:
    called = {"link": embed.callbacks, "link_error": embed.errbacks, "chain": embed.chain}
    for option, signatures in called.items():
        for entry in signatures or ():
            if not isinstance(entry, dict) or not isinstance(entry.get("task"), str):
                raise EncodeError(f"{option} takes signatures (task.s(...)), not {entry!r:.60}")


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


def decode_body(
    message: Message, accept: frozenset[str], limits: Limits = DEFAULT_LIMITS
) -> TaskBody:
    """Return arguments and what follows; `accept` are content types.

    A map with `args` (protocol 1 and its hybrid) is read too. Raises: RefusedError only.
    """
    if type(message) is SealedMessage and not message.wire_headers.compression:
        usual = _usual_body(message, accept, limits)
        if usual is not None:
            return usual
    body = decoded_payload(message, accept, limits)
    if isinstance(body, dict):
        return _body_of_map(body)
    if not isinstance(body, list | tuple) or len(body) != 3:
        raise RefusedError(Reason.BAD_BODY, "not [args, kwargs, embed]")
    args, kwargs, embed = body
    return TaskBody(_args(args), _kwargs(kwargs), _embed(embed))


class _NoFollowers(msgspec.Struct, forbid_unknown_fields=True):
    """The embed of a call after which nothing follows."""

    callbacks: None = None
    errbacks: None = None
    chain: Annotated[list[Any], msgspec.Meta(max_length=0)] | None = None
    chord: None = None


_read_usual_body = msgspec.json.Decoder(tuple[list[Any], dict[str, Any], _NoFollowers]).decode


def _usual_body(message: Message, accept: frozenset[str], limits: Limits) -> TaskBody | None:
    """Read a plain JSON body of a call that nothing follows; None for any other."""
    payload = message.body
    if (
        message.content_type != JSON_TYPE
        or JSON_TYPE not in accept
        or len(payload) > limits.wire_bytes
        or b"__type__" in payload
        # Fewer brackets than the limit cannot be too deep.
        or payload.count(b"[") + payload.count(b"{") > limits.depth
    ):
        return None
    try:
        args, kwargs, _ = _read_usual_body(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return TaskBody(args, kwargs)


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

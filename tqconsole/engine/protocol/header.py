"""What the headers and properties of a task message say, checked once (wire.md §1.2, §1.3).

The worker's parent reads this for every delivery, so the types are checked by msgspec in C and the
names all at once. Whatever stands there, reading raises `RefusedError` and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from math import isfinite
from typing import Any

import msgspec

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.instant import epoch_instant
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS, Limits, Reason
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.saferepr import saferepr
from tqconsole.engine.protocol.sealed import SealedMessage, WireHeaders, WireProperties

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


class TaskHeader(msgspec.Struct, frozen=True, gc=False):
    """A checked header. Instants in epoch seconds, limits in seconds.

    `ignore_result`, `hard_limit_s` and `soft_limit_s` are None when the sender left them to the
    task.
    """

    task_id: str
    task_name: str
    root_id: str
    shadow: str | None = None
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


def user_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers that are the user's own: they are kept, and sent again with a retry."""
    return {name: value for name, value in headers.items() if name not in OWN_HEADERS}


def read_header(
    message: Message, limits: Limits = DEFAULT_LIMITS, naive_tz: tzinfo = UTC
) -> TaskHeader:
    """Return what the headers of a protocol 2 message say; dates without zone are in `naive_tz`.

    Raises: RefusedError only ("not-a-task", "bad-header", "too-large").
    """
    if type(message) is SealedMessage:
        raw: WireHeaders = message.wire_headers
        prop: WireProperties = message.wire_properties
    else:
        raw, prop = wire_headers(message), _wire_properties(message)
    if len(message.body) > limits.wire_bytes:
        raise RefusedError(Reason.TOO_LARGE, f"{len(message.body)} bytes")
    _check_names(raw, prop, limits.name_bytes)
    hard_limit_s, soft_limit_s = raw.timelimit or (None, None)
    # In the fields' order: one of these is made for each task, and names cost half of it.
    return TaskHeader(
        raw.id,
        raw.task,
        raw.root_id or raw.id,
        raw.shadow,
        raw.parent_id or None,
        raw.group or None,
        raw.group_index,
        raw.retries or 0,
        None if raw.eta is None else _instant("eta", raw.eta, naive_tz),
        None if raw.expires is None else _instant("expires", raw.expires, naive_tz),
        # 0 means the task's own limit, as in Celery.
        _duration(hard_limit_s) if hard_limit_s else None,
        _duration(soft_limit_s) if soft_limit_s else None,
        raw.ignore_result,
        raw.argsrepr or "",
        raw.kwargsrepr or "",
        raw.origin or "",
        prop.reply_to or "",
        prop.correlation_id or raw.id,
        prop.priority,
        raw.replaced_task_nesting or 0,
        tuple(raw.stamped_headers) if raw.stamped_headers else (),
        raw.stamps or {},
    )


def wire_headers(message: Message) -> WireHeaders:
    """Return the header table, its types checked. Raises: RefusedError only."""
    if type(message) is SealedMessage:
        return message.wire_headers
    if message.headers.get("task") is None:
        raise RefusedError(Reason.NOT_A_TASK, "no task header")
    try:
        return msgspec.convert(message.headers, WireHeaders)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RefusedError(Reason.BAD_HEADER, f"{error!s:.200}") from error


def _wire_properties(message: Message) -> WireProperties:
    try:
        return msgspec.convert(message.properties, WireProperties)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RefusedError(Reason.BAD_HEADER, f"{error!s:.200}") from error


def _check_names(raw: WireHeaders, prop: WireProperties, name_bytes: int) -> None:
    """Refuse ids and names that are unfit to be part of a key, a file name or a log line."""
    if not raw.id or not raw.task:
        raise RefusedError(Reason.BAD_HEADER, "empty id or task")
    # Most ids are the task's own again: those need no second look.
    task_id, root_id, correlation_id = raw.id, raw.root_id, prop.correlation_id
    together = f"{task_id}{raw.task}{prop.reply_to}{raw.parent_id}{raw.group}"
    if root_id != task_id:
        together += f"{root_id}"
    if correlation_id != task_id:
        together += f"{correlation_id}"
    if len(together) <= name_bytes and together.isascii() and together.isprintable():
        return
    names = {
        raw.id: "id",
        raw.task: "task",
        raw.root_id: "root_id",
        raw.parent_id: "parent_id",
        raw.group: "group",
        prop.reply_to: "reply_to",
        prop.correlation_id: "correlation_id",
    }
    for value, name in names.items():
        if not value or (value.isascii() and value.isprintable() and len(value) <= name_bytes):
            continue
        # isprintable is False for control characters, NUL, CR, LF and lone surrogates.
        if not value.isprintable():
            raise RefusedError(Reason.BAD_HEADER, f"{name} is {value!a:.100}")
        if len(value.encode()) > name_bytes:
            raise RefusedError(Reason.BAD_HEADER, f"{name} is longer than {name_bytes} bytes")


def _instant(name: str, value: Any, naive_tz: tzinfo) -> float:
    # AMQP tables can carry timestamps; a number is refused, as no peer says its unit.
    if isinstance(value, str | datetime):
        try:
            return epoch_instant(value, naive_tz)
        except ValueError:
            pass
    raise RefusedError(Reason.BAD_HEADER, f"{name} is {saferepr(value, 100)}")


def _duration(limit_s: float) -> float:
    # NaN passes every bound.
    if not isfinite(limit_s):
        raise RefusedError(Reason.BAD_HEADER, f"timelimit is {limit_s}")
    return limit_s

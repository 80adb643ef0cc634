"""What the options of `apply_async` mean: which field of the call each one is, and its value."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from tqconsole.engine.canvas.signature import plain
from tqconsole.engine.exceptions import EncodeError
from tqconsole.engine.protocol.task import Embed
from tqconsole.engine.task import LISTS, MAPS

#: Option of `apply_async` -> field of the call.
FIELDS = {
    "argsrepr": "argsrepr",
    "compression": "compression",
    "group_id": "group_id",
    "group_index": "group_index",
    "headers": "headers",
    "ignore_result": "ignore_result",
    "kwargsrepr": "kwargsrepr",
    "parent_id": "parent_id",
    "priority": "priority",
    "replaced_task_nesting": "replaced_nesting",
    "reply_to": "reply_to",
    "retries": "retries",
    "root_id": "root_id",
    "serializer": "serializer",
    "shadow": "shadow",
    "soft_time_limit": "soft_limit_s",
    "stamped_headers": "stamped_headers",
    "task_id": "task_id",
    "time_limit": "hard_limit_s",
}
INSTANTS = frozenset({"countdown", "eta", "expires"})
EMBEDDED = frozenset({"chain", "chord", "link", "link_error"})
POLICY = frozenset({"retry", "retry_policy", "timeout"})
_NUMBERS_OF_POLICY = frozenset({"interval_max", "interval_start", "interval_step", "max_retries"})
#: Options that name Celery's plumbing (our broker is one, there is nothing to choose), and those
#: that say how to send, not what.
_UNSENT = frozenset(
    {
        "add_to_parent",
        "confirm_timeout",
        "connection",
        "declare",
        "origin",
        "producer",
        "publisher",
        "result_cls",
        "route_name",
        "router",
        "task_type",
    }
)
#: Whatever else a call says is a property of its message, as with kombu.
KNOWN = FIELDS.keys() | INSTANTS | EMBEDDED | POLICY | _UNSENT


def inherit(fields: dict[str, Any], run: Any, *, is_priority_too: bool) -> None:
    """Fill in what a call has from the run that sends it."""
    if not fields.get("root_id"):
        fields["root_id"] = run.root_id or run.id
    if not fields.get("parent_id"):
        fields["parent_id"] = run.id
    if is_priority_too and "priority" not in fields:
        fields["priority"] = (run.delivery_info or {}).get("priority")


def arguments(args: Any) -> Any:
    """Return positional arguments. Raises: TypeError."""
    if args is None:
        return ()
    if not isinstance(args, LISTS):
        raise TypeError(f"task args must be a list or tuple, not {type(args).__name__}")
    return args


def keywords(kwargs: Any) -> Any:
    """Return keyword arguments. Raises: TypeError."""
    if kwargs is None:
        return {}
    if not isinstance(kwargs, MAPS):
        raise TypeError(f"task keyword arguments must be a mapping, not {type(kwargs).__name__}")
    return kwargs


def how_to_send(said: dict[str, Any]) -> dict[str, Any]:
    """Return how the call is to be sent. Raises: EncodeError."""
    if POLICY.isdisjoint(said):
        return {}
    given = said.get("retry_policy") or {}
    if not isinstance(given, Mapping):
        raise EncodeError(f"retry_policy is a map of max_retries and the like, not {given!r:.60}")
    for name in _NUMBERS_OF_POLICY & given.keys():
        if given[name] is not None and not isinstance(given[name], int | float):
            raise EncodeError(f"retry_policy's {name} is a number, not {given[name]!r:.60}")
    return {key: said.get(key) for key in POLICY}


def stamps(said: dict[str, Any]) -> dict[str, Any]:
    """Return the names and the values of the call's stamps. Raises: EncodeError."""
    names = said["stamped_headers"] or ()
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise EncodeError(f"stamped_headers is a list of names, not {names!r:.60}")
    names = list(names)
    return {"stamped_headers": names, "stamps": {name: said.get(name) for name in names}}


def embed(said: dict[str, Any]) -> Embed:
    """Return what is to happen after the run. Raises: EncodeError for links in a circle."""
    chord = said.get("chord")
    try:
        return Embed(
            _calls(said.get("link")),
            _calls(said.get("link_error")),
            _calls(said.get("chain")),
            plain(chord) if chord else None,
        )
    except RecursionError:
        linked = next(
            (said[name] for name in ("link", "link_error", "chain") if said.get(name)), ""
        )
        first = linked[0] if isinstance(linked, list | tuple) else linked
        name = first.get("task") if isinstance(first, dict) else first
        raise EncodeError(
            f"a call that this one links to contains itself: the calls linked to {name} go round in"
            " a circle, and a message cannot; link a copy (`call.clone()`)"
        ) from None


def instants(said: dict[str, Any], now: datetime, zone: tzinfo) -> dict[str, Any]:
    """Return eta, expires and the broker's deadline in milliseconds, where they are said.

    Raises: ValueError for what is neither seconds nor an instant.
    """
    fields: dict[str, Any] = {}
    # countdown=0 is no countdown, as in Celery.
    for option in ("countdown", "eta"):
        if said.get(option) and not fields:
            fields["eta"] = _instant(option, said[option], now, zone).isoformat()
    if said.get("expires"):
        end = _instant("expires", said["expires"], now, zone)
        left_s = (end - now).total_seconds()
        if left_s < 0:
            warnings.warn(f"the call has expired already, {-left_s:.0f} s ago", stacklevel=8)
        fields["expires"] = end.isoformat()
        fields["expiration_ms"] = max(0, round(left_s * 1000))
    return fields


def _calls(value: Any) -> list[dict[str, Any]] | None:
    """Return one signature or many as a list of plain dicts."""
    if not value:
        return None
    entries: Iterable[Any] = value if isinstance(value, list | tuple) else [value]
    return [plain(entry) for entry in entries]


def _instant(option: str, value: Any, now: datetime, zone: tzinfo) -> datetime:
    """Return an instant given as seconds from now, as a datetime or as ISO text."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, timedelta):
            return now + value
        if isinstance(value, datetime):
            return value if value.tzinfo is not None else value.replace(tzinfo=zone)
        return now + timedelta(seconds=float(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{option}={value!r} is neither seconds nor an instant: {error}") from None

"""A call not yet sent, as a map on the wire: in links, chains, chords and `celery.map`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.limits import Reason

#: What `subtask_type` may be; null is a plain task.
SUBTASK_TYPES = frozenset({"chain", "group", "chord", "xmap", "xstarmap", "chunks"})


def signature_dict(
    task_name: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    subtask_type: str | None = None,
    is_immutable: bool = False,
) -> dict[str, Any]:
    """Return the map of a signature, keys in Celery's order (wire.md §1.1)."""
    return {
        "task": task_name,
        "args": args,
        "kwargs": {} if kwargs is None else kwargs,
        "options": {} if options is None else options,
        "subtask_type": subtask_type,
        "immutable": is_immutable,
    }


def checked_signature(value: Any) -> dict[str, Any]:
    """Return `value` as a signature map with all six keys; unknown keys stay.

    What is missing is filled in (old senders leave out `subtask_type` and `immutable`). What lies
    inside chains, groups and chords is looked at too, and stays as it is: a call that can never be
    made must be refused before what comes in front of it has run.
    Raises: RefusedError ("bad-signature") only.
    """
    if not isinstance(value, dict):
        raise _refused(f"a {type(value).__name__}, not a map")
    task_name = value.get("task")
    if not isinstance(task_name, str) or not task_name:
        raise _refused("no task name")
    kwargs = _mapping("kwargs", value.get("kwargs"))
    checked = {
        "task": task_name,
        "args": _sequence(value.get("args")),
        "kwargs": kwargs,
        "options": _mapping("options", value.get("options")),
        "subtask_type": value.get("subtask_type"),
        "immutable": bool(value.get("immutable")),
    }
    kind = checked["subtask_type"]
    if kind is not None and not isinstance(kind, str):
        raise _refused("subtask_type is not a text")
    _check_parts(kind, kwargs)
    for key, extra in value.items():
        checked.setdefault(key, extra)
    return checked


def checked_signatures(value: Any) -> list[dict[str, Any]] | None:
    """Return a list of signature maps, None for none; a single one counts as a list of one.

    Raises: RefusedError ("bad-signature") only.
    """
    if not value:
        return None
    if isinstance(value, dict):
        return [checked_signature(value)]
    if not isinstance(value, list | tuple):
        raise _refused(f"a {type(value).__name__}, not a list")
    return [checked_signature(item) for item in value]


def _check_parts(kind: str | None, kwargs: Mapping[str, Any]) -> None:
    """Look at the calls that one of these kinds is made of."""
    if kind in ("chain", "group"):
        tasks = kwargs.get("tasks")
        if not isinstance(tasks, list | tuple):
            raise _refused(f"a {kind} without tasks")
        for task in tasks:
            checked_signature(task)
    elif kind == "chord":
        header, body = kwargs.get("header"), kwargs.get("body")
        if header is None:
            raise _refused("a chord without a header")
        checked_signatures(header)
        if body is not None:
            checked_signature(body)


def _sequence(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return list(value)
    raise _refused(f"args are a {type(value).__name__}, not a list")


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return value
    raise _refused(f"{name} are not a map of names")


def _refused(detail: str) -> RefusedError:
    return RefusedError(Reason.BAD_SIGNATURE, detail)

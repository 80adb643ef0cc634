"""Reads what was typed into an action's dialog: texts in, checked values out.

The dialogs may check with it while one types; the performer checks again before anything is sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tqconsole.core.actions import Action
from tqconsole.core.equivalent import is_true
from tqconsole.core.errors import ActionError
from tqconsole.core.stamps import read_stamps


def read_fields(action: Action, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as values: numbers, lists, flags; what was left empty is not there.

    Raises: ActionError naming the field.
    """
    fields = {field.name: field for field in action.fields}
    unknown = sorted(set(arguments) - set(fields))
    if unknown:
        raise ActionError(f"{action.label} has no field {unknown[0]!r}")
    given: dict[str, Any] = {}
    for name, field in fields.items():
        raw = arguments.get(name, field.default)
        if isinstance(raw, str):
            raw = raw.strip()
        if raw is None or raw == "":
            if field.is_required:
                raise ActionError(f"{field.label} is missing")
            continue
        read: Callable[[str, Any], Any] = _READERS.get(field.kind, _text)
        given[name] = read(field.label, raw)
        if field.choices and given[name] not in field.choices:
            raise ActionError(
                f"{field.label}: {given[name]!r} is none of {', '.join(field.choices)}"
            )
    return given


def _text(_label: str, raw: Any) -> str:
    return str(raw)


def _whole(label: str, raw: Any) -> int:
    try:
        number = int(str(raw))
    except ValueError as error:
        raise ActionError(f"{label}: {raw!r} is no whole number") from error
    if not 0 <= number < 2**31:
        raise ActionError(f"{label}: {number} is out of range")
    return number


def _decimal(label: str, raw: Any) -> float:
    try:
        number = float(str(raw))
    except ValueError as error:
        raise ActionError(f"{label}: {raw!r} is no number") from error
    if not 0 <= number < 1e10:
        raise ActionError(f"{label}: {raw} is out of range")
    return number


def _flag(_label: str, raw: Any) -> bool:
    return is_true(raw)


def _stamps(label: str, raw: Any) -> dict[str, str]:
    try:
        return read_stamps(str(raw))
    except ActionError as error:
        raise ActionError(f"{label}: {error}") from error


def _json(kind: type[Any], word: str) -> Callable[[str, Any], Any]:
    def read(label: str, raw: Any) -> Any:
        try:
            value = json.loads(raw) if isinstance(raw, str) else raw
        except (ValueError, RecursionError) as error:
            raise ActionError(f"{label} is no JSON: {error}") from error
        if not isinstance(value, kind):
            raise ActionError(f"{label} must be {word}")
        return value

    return read


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "int": _whole,
    "float": _decimal,
    "bool": _flag,
    "stamps": _stamps,
    "json-list": _json(list, "a JSON list, as [1, 2]"),
    "json-object": _json(dict, 'a JSON object, as {"key": 1}'),
}

"""The shape of an answer: its keys and the kinds of its values, without the values themselves."""

from __future__ import annotations

from typing import Any

#: Kinds that stand for one another in JSON.
_KINDS = {bool: "bool", int: "number", float: "number", str: "text", type(None): "nothing"}


def shape(value: Any) -> Any:
    """Return the same tree with kinds for leaves; a list has the shapes of its items, once each."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        seen: list[Any] = []
        for item in value:
            if (found := shape(item)) not in seen:
                seen.append(found)
        return seen
    return _KINDS.get(type(value), type(value).__name__)


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Return where two shapes differ, a line each. Nothing stands for any kind: it is not known."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        lines = [f"{path}.{key}: only theirs" for key in theirs.keys() - ours.keys()]
        lines += [f"{path}.{key}: only ours" for key in ours.keys() - theirs.keys()]
        for key in sorted(ours.keys() & theirs.keys(), key=str):
            lines += differences(ours[key], theirs[key], f"{path}.{key}")
        return sorted(lines)
    if isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) == len(theirs) == 1:
            return differences(ours[0], theirs[0], f"{path}[]")
        return [] if ours == theirs or not (ours and theirs) else [f"{path}: {ours} != {theirs}"]
    if ours == theirs or "nothing" in (ours, theirs):
        return []
    return [f"{path}: {ours} != {theirs}"]

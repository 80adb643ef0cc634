"""Bounded reprs of arguments, as they stand in `argsrepr`, in events and on the console.

Text, order and cuts are Celery's, so that a mixed cluster reads alike: quotes are not those of
`repr`, containers below the third level are `[...]`, and what does not fit ends in `, ...`.
It never raises and never follows a cycle.
"""

from __future__ import annotations

from decimal import Decimal
from numbers import Number
from typing import Any

#: Celery's `argsrepr_maxsize`.
REPR_CHARS = 1024
#: Celery's `task_repr_maxlevels`.
REPR_LEVELS = 3

#: `repr` of these is what Celery writes; None, bool and the numbers.
_VERBATIM = frozenset({int, bool, float, type(None)})
_BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), dict: ("{", "}")}
#: Integers below it are short for sure.
_WIDE = 1 << 1024


def saferepr(value: Any, max_chars: int = REPR_CHARS, max_levels: int = REPR_LEVELS) -> str:
    """Return the repr of `value`, about `max_chars` long, `max_levels` containers deep.

    Never raises: what cannot be shown says so.
    """
    if not value and type(value) in _BRACKETS:
        return repr(value)
    text = _plain_text(value, max_chars, max_levels, ()) if max_levels else None
    # Shorter than the limit means that nothing of it can have been cut.
    if text is not None and len(text) < max_chars:
        return text
    return _Writer(max_chars, max_levels).write_all(value)


def _plain_text(value: Any, room: int, levels: int, above: tuple[Any, ...]) -> str | None:
    """Return the whole text of builtin values, None if they are others, cyclic or too long."""
    kind = type(value)
    if kind is str:
        return "'" + value.replace("'", "\\'") + "'" if len(value) < room else None
    if kind in _VERBATIM:
        # Python refuses to write integers of more than 4300 digits.
        return repr(value) if kind is not int or -_WIDE < value < _WIDE else None
    if kind not in _BRACKETS or len(value) > room or (above and _is_one_of(value, above)):
        return None
    opening, closing = _BRACKETS[kind]
    if kind is tuple and len(value) == 1:
        closing = ",)"
    if levels == 0:
        return f"{opening}...{closing}"
    if kind is not dict and _VERBATIM.issuperset(map(type, value)):
        return _repr_of_numbers(value)
    parts: list[str] = []
    above = (*above, value)
    for item in value:
        text = _plain_text(item, room, levels - 1, above)
        if kind is dict and text is not None:
            # A key that is a container would start its own count of levels.
            inner = _plain_text(value[item], room, levels - 1, above)
            text = None if inner is None or type(item) in _BRACKETS else f"{text}: {inner}"
        if text is None or len(text) > room:
            return None
        room -= len(text)
        parts.append(text)
    return f"{opening}{', '.join(parts)}{closing}"


def _is_one_of(value: Any, above: tuple[Any, ...]) -> bool:
    return any(outer is value for outer in above)


def _repr_of_numbers(value: Any) -> str | None:
    try:
        return repr(value)
    except ValueError:
        # Integers of more than 4300 digits.
        return None


class _Full(Exception):  # noqa: N818 - a signal between two functions below
    """The budget is spent before the value's end."""


class _Writer:
    """One repr in the making: what is written, what it may still cost, what must be closed."""

    def __init__(self, max_chars: int, max_levels: int) -> None:
        self._parts: list[str] = []
        self._budget = max_chars
        self._max_levels = max_levels
        self._open: list[str] = []
        self._inside: set[int] = set()

    def write_all(self, value: Any) -> str:
        """Return the whole text."""
        try:
            self._value(value)
        except _Full:
            self._parts.append(", ...")
            # What was opened is closed, innermost first, at no cost.
            self._parts.extend(reversed(self._open))
        return "".join(self._parts)

    def _put(self, text: str) -> None:
        if self._budget <= 0:
            raise _Full
        self._parts.append(text)
        self._budget -= len(text)

    def _value(self, value: Any) -> None:
        if self._budget <= 0:
            raise _Full
        match value:
            case Decimal():
                self._put(_cut(_repr(value), self._budget))
            case Number():
                self._put(_cut(_str(value), self._budget))
            case str():
                quoted = _cut(value, self._budget).replace("'", "\\'")
                self._put(f"'{quoted}'")
            case bytes():
                self._put(_binary(value, self._budget))
            case set() | frozenset() if not value:
                self._put(_cut(f"{type(value).__name__}()", self._budget))
            case set() | frozenset() | tuple() | list() | dict():
                self._container(value)
            case _:
                self._put(_cut(_repr(value), self._budget))

    def _container(self, value: Any) -> None:
        opening, closing = _brackets(value)
        if self._max_levels and len(self._open) >= self._max_levels:
            self._put(f"{opening}...{closing}")
            return
        if id(value) in self._inside:
            text = f"<Recursion on {type(value).__name__} with id={id(value)}>"
            self._put(_cut(text, self._budget))
            return
        self._inside.add(id(value))
        self._put(opening)
        self._open.append(closing)
        if isinstance(value, dict):
            self._pairs(value)
        else:
            for position, item in enumerate(value):
                if position:
                    self._put(", ")
                self._value(item)
        self._open.pop()
        # A closing bracket is written even when nothing else would fit.
        self._parts.append(closing)
        if self._budget > 0:
            self._budget -= len(closing)
        self._inside.discard(id(value))

    def _pairs(self, value: dict[Any, Any]) -> None:
        for position, (key, item) in enumerate(value.items()):
            if position:
                self._put(", ")
            if self._budget <= 0:
                raise _Full
            self._put(_Writer(self._budget, self._max_levels).write_all(key))
            self._put(": ")
            self._value(item)


def _brackets(value: Any) -> tuple[str, str]:
    if isinstance(value, dict):
        return "{", "}"
    if isinstance(value, tuple):
        return "(", ",)" if len(value) == 1 else ")"
    opening, closing, plain = ("[", "]", list) if isinstance(value, list) else ("{", "}", set)
    if type(value) is plain or isinstance(value, list):
        return opening, closing
    return f"{type(value).__name__}({opening}", f"{closing})"


def _cut(text: str, budget: int) -> str:
    if len(text) >= budget:
        return text[:budget].rsplit(" ", 1)[0] + "..."
    return text


def _binary(value: bytes, budget: int) -> str:
    part, ellipsis = (value[:budget], "...") if len(value) > budget else (value, "")
    try:
        text = part.decode()
    except UnicodeDecodeError:
        text = part.hex()
    return f"b'{text}{ellipsis}'"


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a user's __repr__ may raise anything
        return f"<Unrepresentable {type(value)!r}: {type(error).__name__}>"


def _str(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - the same, and integers of more than 4300 digits
        return f"<{type(value).__name__} too long to show>"

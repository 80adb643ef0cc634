"""Names in the arguments of a broadcast command: whoever sent it, they become texts or a refusal.

The command line sends texts, but any client may send anything; its mistake is told in a sentence
and not in the words of the Python line that stumbled over it.
"""

from __future__ import annotations

from collections.abc import Iterable


def read_name(argument: str, value: object) -> str:
    """Return a name. Raises: ValueError for what is none."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{argument} cannot be {value!r:.60}: it is a name")
    return value


def read_names(argument: str, value: object) -> list[str]:
    """Return one name or many as a list, [] for None. Raises: ValueError for what is none."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    given = list(value) if isinstance(value, Iterable) else [value]
    names = [name for name in given if isinstance(name, str)]
    if len(names) < len(given):
        raise ValueError(f"{argument} cannot be {value!r:.60}: it is a name or a list of names")
    return names

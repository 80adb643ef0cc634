"""Routing keys and patterns: words between dots, `*` is one word, `#` any number of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable


def does_match(kind: str, pattern: str, routing_key: str) -> bool:
    """Return whether a binding of an exchange of this kind takes the key."""
    if kind == "fanout":
        return True
    if kind == "topic":
        return pattern == "#" or _compiled(pattern).fullmatch(routing_key) is not None
    return pattern == routing_key


def does_any_match(kind: str, patterns: Iterable[str], routing_key: str) -> bool:
    """Return whether one of the bindings takes the key."""
    return any(does_match(kind, pattern, routing_key) for pattern in patterns)


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    # `#` may stand for no word at all, so it takes one of its dots with it.
    text = ""
    for index, word in enumerate(pattern.split(".")):
        dot = r"\." if index else ""
        if word == "#":
            text += rf"(?:{dot}[^.]+(?:\.[^.]+)*)?" if index else r"(?:[^.]+(?:\.[^.]+)*)?"
        elif word == "*":
            text += rf"{dot}[^.]+"
        else:
            text += dot + re.escape(word)
    if pattern.startswith("#."):
        # Nothing before the first dot when the leading `#` stands for no word.
        rest = _compiled(pattern[2:]).pattern
        return re.compile(rf"(?:{text})|(?:{rest})", re.DOTALL)
    return re.compile(text, re.DOTALL)

"""Completes a filter while it is typed: fields, states, and names the cluster really has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tqconsole.core.filter_terms import FIELDS, IS_WORDS
from tqconsole.engine import states

#: Suggestions offered at once.
LIMIT = 20

_STATE_WORDS = (*sorted({*states.ALL_STATES, states.REJECTED}), "LOST")
_COMPARED = ("runtime", "wait", "age", "retries", "sent", "received", "started", "ended")


def word_at(text: str, cursor: int) -> str:
    """Return the word before the cursor, the one a suggestion replaces."""
    start = cursor
    while start > 0 and not text[start - 1].isspace() and text[start - 1] not in '()"':
        start -= 1
    return text[start:cursor]


def suggest(
    text: str, cursor: int, values: Mapping[str, Sequence[str]] | None = None
) -> tuple[str, ...]:
    """Return whole words that may replace the one before `cursor`, best first.

    `values`: field -> values that occur (name, worker, queue) and, under "@", saved filters.
    """
    word = word_at(text, cursor)
    sign, word = (word[0], word[1:]) if word[:1] in ("-", "!") else ("", word)
    known = values or {}
    if word.startswith("@"):
        found = [f"@{name}" for name in known.get("@", ()) if name.startswith(word[1:])]
    elif ":" in word:
        field, _, begun = word.partition(":")
        found = _values(field, begun, known)
    else:
        found = _fields(word, is_first=cursor == len(word))
    return tuple(f"{sign}{suggestion}" for suggestion in found[:LIMIT])


def _fields(word: str, *, is_first: bool) -> list[str]:
    found = [
        f"{field}>" if field in _COMPARED else f"{field}:"
        for field in FIELDS
        if field.startswith(word.lower())
    ]
    if word and not is_first:
        found += [keyword for keyword in ("AND", "OR", "NOT") if keyword.startswith(word)]
    return found


def _values(field: str, begun: str, known: Mapping[str, Sequence[str]]) -> list[str]:
    fixed = {"state": _STATE_WORDS, "is": tuple(IS_WORDS)}.get(field)
    choices = known.get(field, ()) if fixed is None else fixed
    begun = begun.lower()
    first = [choice for choice in choices if choice.lower().startswith(begun)]
    # Names are known by what stands in them, states by how they begin.
    inside = [choice for choice in choices if begun in choice.lower() and choice not in first]
    if fixed is not None:
        inside = []
    return [f"{field}:{quoted(choice)}" for choice in (*first, *inside)]


def quoted(text: str) -> str:
    """Return a value as the filter language wants it."""
    if any(character.isspace() or character in '()"' for character in text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text

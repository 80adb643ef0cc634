"""Reads the filter language into a tree; what its terms mean is `filter.py`'s business.

    expression = any ; any = all { "OR" all } ; all = unary { ["AND"] unary }
    unary      = ("NOT" | "-" | "!") unary | "(" expression ")" | term
    term       = word | "quoted words" | field ":" value | field comparison value
               | field "~" regex | "@" saved | "-f" word

AND, OR and NOT are words of the language in upper case only. Errors carry the column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tqconsole.core.errors import FilterError

#: How deep brackets and saved filters may nest: a filter is typed, not generated.
DEPTH_LIMIT = 50

_KEYWORDS = frozenset({"AND", "OR", "NOT"})
_FIELD = re.compile(r"([A-Za-z_]+)(:(?:>=|<=|>|<)?|>=|<=|!=|=|>|<|~)")


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. `field` is "" for bare words; `operator` one of `: = != > >= < <= ~ fuzzy`."""

    field: str
    operator: str
    value: str
    column: int
    #: Quoted: `*` and `?` stand for themselves.
    is_literal: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """What the inner expression does not match."""

    inner: Node


@dataclass(frozen=True, slots=True)
class All:
    """What every part matches; no part: everything."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """What at least one part matches."""

    parts: tuple[Node, ...]


Node = Term | Not | All | Any


@dataclass(frozen=True, slots=True)
class _Token:
    """`kind` is "(", ")", "-" (negation), AND, OR, NOT, term or end."""

    kind: str
    column: int
    term: Term | None = None


def parse(text: str, saved: Mapping[str, str] | None = None) -> Node:
    """Return the tree of `text`; an empty text matches everything.

    `saved` are filters by name, used as `@name`. Raises: FilterError.
    """
    return _Parser(text, saved or {}, depth=0).parse()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character.isspace():
            at += 1
        elif character in "()":
            tokens.append(_Token(character, at))
            at += 1
        elif text.startswith("-f ", at):
            at = _fuzzy(text, at, tokens)
        elif character in "-!" and at + 1 < len(text) and not text[at + 1].isspace():
            tokens.append(_Token("-", at))
            at += 1
        else:
            at = _word(text, at, tokens)
    tokens.append(_Token("end", len(text)))
    return tokens


def _fuzzy(text: str, at: int, tokens: list[_Token]) -> int:
    start = at + 3
    while start < len(text) and text[start].isspace():
        start += 1
    value, _, end = _scan(text, start)
    if not value:
        raise FilterError("-f wants a word after it", at)
    tokens.append(_Token("term", at, Term("", "fuzzy", value, start)))
    return end


def _word(text: str, at: int, tokens: list[_Token]) -> int:
    match = _FIELD.match(text, at)
    if match is None:
        value, has_quotes, end = _scan(text, at)
        if value in _KEYWORDS and not has_quotes:
            tokens.append(_Token(value, at))
        else:
            tokens.append(_Token("term", at, Term("", ":", value, at, has_quotes)))
        return end
    operator = match.group(2)
    value, has_quotes, end = _scan(text, match.end())
    if not value and not has_quotes:
        raise FilterError(f"{match.group(1)}{operator} wants a value", match.end())
    operator = operator if operator == ":" else operator.removeprefix(":")
    tokens.append(_Token("term", at, Term(match.group(1).lower(), operator, value, at, has_quotes)))
    return end


def _scan(text: str, at: int) -> tuple[str, bool, int]:
    """Read a value up to a blank or a bracket; quotes hide both, a backslash hides a quote."""
    parts: list[str] = []
    has_quotes = False
    while at < len(text):
        character = text[at]
        if character.isspace() or character in "()":
            break
        if character == '"':
            quoted, at = _quoted(text, at)
            parts.append(quoted)
            has_quotes = True
        else:
            parts.append(character)
            at += 1
    return "".join(parts), has_quotes, at


def _quoted(text: str, start: int) -> tuple[str, int]:
    parts: list[str] = []
    at = start + 1
    while at < len(text):
        if text[at] == '"':
            return "".join(parts), at + 1
        if text[at] == "\\" and text[at + 1 : at + 2] in ('"', "\\"):
            at += 1
        parts.append(text[at])
        at += 1
    raise FilterError("this quote is not closed", start)


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, saved: Mapping[str, str], depth: int) -> None:
        self._tokens = _tokens(text)
        self._saved = saved
        self._depth = depth
        self._at = 0

    def parse(self) -> Node:
        if self._peek().kind == "end":
            return All(())
        node = self._any()
        rest = self._peek()
        if rest.kind != "end":
            raise FilterError("this bracket was never opened", rest.column)
        return node

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _any(self) -> Node:
        parts = [self._all()]
        while self._peek().kind == "OR":
            self._next()
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _all(self) -> Node:
        parts = [self._unary()]
        while self._peek().kind not in ("OR", ")", "end"):
            if self._peek().kind == "AND":
                self._next()
            parts.append(self._unary())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _unary(self) -> Node:
        token = self._next()
        if token.kind in ("NOT", "-"):
            return Not(self._deeper(self._unary, token.column))
        if token.kind == "(":
            return self._group(token)
        if token.term is not None:
            return self._term(token.term)
        self._at -= 1
        word = "the end" if token.kind == "end" else f"this {token.kind}"
        raise FilterError(f"a condition is missing before {word}", token.column)

    def _group(self, opening: _Token) -> Node:
        if self._peek().kind == ")":
            raise FilterError("nothing stands in these brackets", opening.column)
        node = self._deeper(self._any, opening.column)
        if self._next().kind != ")":
            raise FilterError("this bracket is not closed", opening.column)
        return node

    def _term(self, term: Term) -> Node:
        if term.field or term.is_literal or not term.value.startswith("@"):
            return term
        name = term.value[1:]
        if name not in self._saved:
            raise FilterError(f"no filter was saved as @{name}", term.column)
        if self._depth >= DEPTH_LIMIT:
            raise FilterError(f"@{name} leads back to itself", term.column)
        try:
            return _Parser(self._saved[name], self._saved, self._depth + 1).parse()
        except FilterError as error:
            raise FilterError(f"in @{name}: {error.message}", term.column) from error

    def _deeper(self, read: Callable[[], Node], column: int) -> Node:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise FilterError("this is nested too deeply", column)
        try:
            return read()
        finally:
            self._depth -= 1

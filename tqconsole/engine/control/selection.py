"""Which nodes a broadcast command is for: exact names, short names, shell patterns.

Celery knows exact names (`destination`) and a pattern with a matcher. Here `w1` also means every
node called `w1@...`, and `w*` is a shell pattern; both travel as a pattern, so Celery's workers
understand them as well. Pure: no broker, no clock.
"""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterable, Sequence

import msgspec

from tqconsole.engine.protocol.limits import DEFAULT_LIMITS

_GLOB_CHARACTERS = frozenset("*?[")
#: Characters of a pattern; workers refuse requests with longer ones.
_PATTERN_LENGTH = DEFAULT_LIMITS.name_bytes


class Selection(msgspec.Struct, frozen=True):
    """The nodes asked for. `destination` None and `pattern` None: all.

    `names` is what the caller said, word by word, so that it can be told who did not answer.
    """

    destination: tuple[str, ...] | None = None
    pattern: str | None = None
    matcher: str | None = None
    names: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        """True when every node is meant."""
        return not self.destination and not self.pattern

    def is_for(self, node: str) -> bool:
        """True when `node` is meant."""
        return is_addressed(node, self.destination, self.pattern, self.matcher)

    def unanswered(self, answered: Iterable[str], live: Iterable[str]) -> tuple[str, ...]:
        """Return who should have answered and did not: live nodes, and names nobody bears."""
        answered_nodes = set(answered)
        silent = {node for node in live if self.is_for(node)} - answered_nodes
        seen = answered_nodes | silent
        nobodies = [name for name in self.names if not any(_bears(node, name) for node in seen)]
        return (*sorted(silent), *nobodies)


def select(
    names: Sequence[str] | str | None = None,
    pattern: str | None = None,
    matcher: str | None = None,
) -> Selection:
    """Return the selection for what a caller said; names win over a pattern.

    Exact names only: a `destination` list. One short name or shell pattern: a glob. Several of
    them: one regular expression, so that it stays one message.
    Raises: ValueError when that gets longer than workers accept.
    """
    if not names:
        return Selection(pattern=pattern or None, matcher=(matcher or "glob") if pattern else None)
    words = tuple([names] if isinstance(names, str) else names)
    if not any(_is_pattern(word) for word in words):
        return Selection(destination=words, names=words)
    globs = [_glob_of(word) for word in words]
    if len(globs) == 1:
        return Selection(pattern=globs[0], matcher="glob", names=words)
    expression = f"(?:{'|'.join(_expression_of(text) for text in globs)})$"
    if len(expression) > _PATTERN_LENGTH:
        raise ValueError(f"{len(words)} node names are too many at once: name them in full")
    return Selection(pattern=expression, matcher="pcre", names=words)


def is_addressed(
    node: str, destination: Sequence[str] | None, pattern: str | None, matcher: str | None
) -> bool:
    """True when a request with these fields is for `node` (wire.md §6.1). Never raises."""
    if destination:
        return node in destination
    if not pattern:
        return True
    if matcher == "pcre":
        try:
            return re.match(pattern, node) is not None
        except re.error:
            return False
    return fnmatch.fnmatch(node, pattern)


def _is_pattern(name: str) -> bool:
    return "@" not in name or not _GLOB_CHARACTERS.isdisjoint(name)


def _glob_of(name: str) -> str:
    """Return a short name's glob (`w1` -> `w1@*`); a glob stays, an exact name is escaped."""
    if not _is_pattern(name):
        return glob.escape(name)
    return name if "@" in name else f"{name}@*"


def _expression_of(text: str) -> str:
    """Return a shell pattern as a regular expression, without the anchors of `translate`."""
    return fnmatch.translate(text).removeprefix("(?s:").removesuffix(r")\Z")


def _bears(node: str, name: str) -> bool:
    return fnmatch.fnmatchcase(node, _glob_of(name))

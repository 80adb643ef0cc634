"""What a filter means: terms of the language made into fast tests of task rows.

A filter is compiled once and then run over 100,000 rows: `select` narrows a whole list term by
term, `matches` asks one row. Texts are compared without regard to case. A value that is not known
matches no comparison, only its negation. The language: `filter_parser.py`, meant for people in
`docs`; fields here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tqconsole.core import filter_parser as tree
from tqconsole.core.errors import FilterError
from tqconsole.core.filter_terms import FilterContext, Test, test_of
from tqconsole.core.views import TaskRow

Select = Callable[[Sequence[TaskRow]], list[TaskRow]]


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled filter. `is_timed`: what it matches changes as time goes by."""

    text: str
    matches: Callable[[TaskRow], bool]
    select: Select
    is_timed: bool = False

    @property
    def is_everything(self) -> bool:
        """True for the empty filter."""
        return not self.text.strip()


def compile_filter(
    text: str, context: FilterContext | None = None, saved: Mapping[str, str] | None = None
) -> Filter:
    """Return the filter of `text`. Raises: FilterError with the column of what is wrong."""
    node = tree.parse(text, saved)
    test = _compile(node, context or FilterContext())
    return Filter(text, test.matches, test.select, test.is_timed)


def _compile(node: tree.Node, context: FilterContext) -> Test:
    match node:
        case tree.Term():
            return test_of(node, context)
        case tree.Not():
            return _negated(_compile(node.inner, context))
        case tree.All():
            return _all([_compile(part, context) for part in node.parts])
        case tree.Any():
            return _any([_compile(part, context) for part in node.parts])


def _negated(test: Test) -> Test:
    matches = test.matches

    def is_other(row: TaskRow) -> bool:
        return not matches(row)

    def select(rows: Sequence[TaskRow]) -> list[TaskRow]:
        taken = set(test.select(rows))
        return [row for row in rows if row not in taken]

    return Test(is_other, select, test.is_timed)


def _all(tests: list[Test]) -> Test:
    if not tests:
        return Test(lambda _row: True, list)
    checks = [test.matches for test in tests]

    def is_all(row: TaskRow) -> bool:
        return all(check(row) for check in checks)

    def select(rows: Sequence[TaskRow]) -> list[TaskRow]:
        for test in tests:
            rows = test.select(rows)
        return list(rows)

    return Test(is_all, select, any(test.is_timed for test in tests))


def _any(tests: list[Test]) -> Test:
    checks = [test.matches for test in tests]

    def is_any(row: TaskRow) -> bool:
        return any(check(row) for check in checks)

    def select(rows: Sequence[TaskRow]) -> list[TaskRow]:
        taken: set[TaskRow] = set()
        for test in tests:
            taken.update(test.select(rows))
        return [row for row in rows if row in taken]

    return Test(is_any, select, any(test.is_timed for test in tests))


__all__ = ["Filter", "FilterContext", "FilterError", "compile_filter"]

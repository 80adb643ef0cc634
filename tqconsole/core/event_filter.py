"""What a filter means for an event: its own fields, and those of the task that it tells of.

`type worker name id text` and bare words ask the event; every other field of the task language asks
the task's row as it is known then, and an event without one matches nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tqconsole.core import filter_parser as tree
from tqconsole.core.event_facts import EventFacts
from tqconsole.core.filter_terms import (
    FIELDS,
    FilterContext,
    is_subsequence,
    test_of,
    text_check,
    unknown_field,
)

#: Fields of an event, by their names here and in `EventFacts`.
EVENT_FIELDS = {"type": "kind", "worker": "worker", "name": "name", "id": "task_id", "text": "text"}

EventCheck = Callable[[EventFacts], bool]


def every_event(_facts: EventFacts) -> bool:
    """The test of the empty filter: whoever sees that it is this one need ask no event."""
    return True


def compile_event_filter(
    expression: str,
    context: FilterContext | None = None,
    saved: Mapping[str, str] | None = None,
) -> EventCheck:
    """Return the test of events. Raises: FilterError with the column."""
    return _check(tree.parse(expression, saved), context or FilterContext())


def _check(node: tree.Node, context: FilterContext) -> EventCheck:
    match node:
        case tree.Term():
            return _term(node, context)
        case tree.Not():
            inner = _check(node.inner, context)
            return lambda facts: not inner(facts)
        case tree.All(()):
            return every_event
        case tree.All():
            every = [_check(part, context) for part in node.parts]
            return lambda facts: all(check(facts) for check in every)
        case tree.Any():
            some = [_check(part, context) for part in node.parts]
            return lambda facts: any(check(facts) for check in some)


def _term(term: tree.Term, context: FilterContext) -> EventCheck:
    if term.operator == "fuzzy":
        needle = term.value.lower()
        return lambda facts: is_subsequence(needle, f"{facts.kind} {facts.name}".lower())
    if not term.field:
        word = term.value.lower()
        return lambda facts: word in _searched(facts)
    attribute = EVENT_FIELDS.get(term.field)
    if attribute is not None:
        check = text_check(term)
        return lambda facts: check(getattr(facts, attribute))
    if term.field not in (*FIELDS, "exception"):
        raise unknown_field(term, (*EVENT_FIELDS, *FIELDS))
    matches = test_of(term, context).matches

    def matches_task(facts: EventFacts) -> bool:
        row = facts.row
        return row is not None and matches(row)

    return matches_task


def _searched(facts: EventFacts) -> str:
    said = (facts.kind, facts.worker, facts.name, facts.task_id, facts.text)
    return "\n".join(said).lower()

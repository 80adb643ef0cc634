"""Canvases as plain values, and what each must come to: the oracle of the laws.

A task makes `[label, what it was called with]`, so that a value tells the whole way it came. The
oracle knows no ids: in texts they read as ID.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tqconsole.engine.exceptions import ChordError

IDS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Task:
    """One call. `kind`: tag | fail | flaky | swap; `inner` is what a swap is replaced by."""

    label: str
    kind: str = "tag"
    inner: Any = None
    has_link: bool = False
    has_errback: bool = False


@dataclass(frozen=True)
class Chain:
    steps: tuple[Any, ...]


@dataclass(frozen=True)
class Group:
    members: tuple[Any, ...]


@dataclass(frozen=True)
class Chord:
    header: tuple[Any, ...]
    body: Any


# --- what comes out -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Value:
    value: Any


@dataclass(frozen=True)
class Failed:
    """One of these (type, text) is the error."""

    errors: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Many:
    """The result of a group. `skipped`: it never began, because of this."""

    members: tuple[Any, ...]
    skipped: Failed | None = None


@dataclass
class Oracle:
    """Runs a canvas in the mind. `events` counts links and errbacks."""

    events: Counter[str] = field(default_factory=Counter)

    def run(self, node: Any, given: Any, behind: tuple[Any, ...] = ()) -> Any:
        """Return what comes of it. `behind`: the steps that come after it in its chain."""
        match node:
            case Task():
                return self._task(node, given)
            case Chain(steps):
                return self._chain(steps, given, behind)
            case Group(members):
                return Many(tuple(self.run(each, given) for each in flattened(members)))
            case Chord(header, body):
                outcome = one_value(self.run(Group(header), given))
                if isinstance(outcome, Value):
                    return self.run(body, outcome.value, behind)
                self._report(body, *behind)
                return shape_of_body(body, outcome)

    def _task(self, task: Task, given: Any) -> Any:
        if task.kind == "fail":
            if task.has_errback:
                self.events[f"E{task.label}"] += 1
            return Failed(frozenset({("ValueError", task.label)}))
        if task.kind == "swap":
            outcome = one_value(self.run(task.inner, given))
        else:
            outcome = Value([task.label, given])
        if task.has_link and isinstance(outcome, Value):
            self.events[f"L{task.label} {json.dumps(outcome.value)}"] += 1
        return outcome

    def _chain(self, steps: tuple[Any, ...], given: Any, behind: tuple[Any, ...]) -> Any:
        outcome: Any = Value(given)
        for number, step in enumerate(steps):
            step = unrolled(step)
            if isinstance(outcome, Many) and outcome.skipped is not None:
                outcome = outcome.skipped
            match outcome:
                case Failed():
                    return shape(steps[-1], outcome)
                case Many():
                    return self._joined(outcome, steps[number:], behind)
                case Value(value):
                    outcome = self.run(step, value, (*steps[number + 1 :], *behind))
        if isinstance(outcome, Failed):
            return shape(steps[-1], outcome)
        return outcome

    def _joined(self, parts: Many, rest: tuple[Any, ...], behind: tuple[Any, ...]) -> Any:
        """What comes of the first of `rest` called with all values, and of the others after it."""
        outcome = one_value(parts)
        if isinstance(outcome, Value):
            return self._chain(rest, outcome.value, behind)
        self._report(*rest, *behind)
        return shape(rest[-1], outcome)

    def _report(self, *line: Any) -> None:
        for task in reporters(*line):
            if task.has_errback:
                self.events[f"E{task.label}"] += 1


def one_value(outcome: Any) -> Any:
    """Return what a chord makes of the values: their list, or its error."""
    if not isinstance(outcome, Many):
        return outcome
    if outcome.skipped is not None:
        return outcome.skipped
    failed = list(failures(outcome))
    if not failed:
        return Value(values(outcome))
    first = min(score for score, _ in failed)
    texts = set()
    for score, failure in failed:
        if score == first:
            for kind, text in failure.errors:
                error = {"ValueError": ValueError, "ChordError": ChordError}[kind](text)
                texts.add(("ChordError", f"Dependency ID raised {error!r}"))
    return Failed(frozenset(texts))


def values(outcome: Any) -> Any:
    if isinstance(outcome, Many):
        return [values(each) for each in outcome.members]
    return outcome.value


def failures(outcome: Many) -> Any:
    """Yield (place in its group, failure)."""
    for place, member in enumerate(outcome.members):
        if isinstance(member, Many):
            yield from failures(member)
        elif isinstance(member, Failed):
            yield place, member


def shape(node: Any, failed: Failed) -> Any:
    """Return what the result of something looks like that never ran."""
    node = unrolled(node)
    match node:
        case Chain(steps):
            return shape(steps[-1], failed)
        case Group(members):
            return Many(tuple(shape(each, failed) for each in flattened(members)), failed)
        case Chord(_, body):
            return shape_of_body(body, failed)
        case _:
            return failed


def shape_of_body(body: Any, failed: Failed) -> Any:
    if isinstance(body, Group):
        return Many(tuple(shape(each, failed) for each in flattened(body.members)), failed)
    return shape(body, failed)


def reporters(first: Any, *behind: Any) -> list[Task]:
    """Return whose errbacks are told that a chord failed whose body begins this line of steps.

    A group with something behind it is a chord, whose body is what comes next: the innermost body
    is told, since that is where the error links of a chord of chords are.
    """
    match unrolled(first):
        case Task() as task:
            return [task]
        case Chain(steps):
            return reporters(*steps, *behind)
        case Chord(_, body):
            return reporters(body, *behind)
        case Group(members) if not behind:
            return [task for each in flattened(members) for task in reporters(each)]
    return reporters(*behind)


def flattened(members: Any) -> list[Any]:
    """Return the members of a group, those of groups inside among them."""
    found: list[Any] = []
    for each in members:
        found.extend(flattened(each.members) if isinstance(each, Group) else [each])
    return found


def unrolled(node: Any) -> Any:
    """Return the one member of a group of one, as a step of a chain is taken."""
    while isinstance(node, Group) and len(node.members) == 1:
        node = node.members[0]
    return node


# --- what came out ------------------------------------------------------------------------------


def agrees(expected: Any, found: Any) -> bool:
    """Compare the oracle's word with a result that has ended."""
    if isinstance(expected, Many):
        results = getattr(found, "results", None)
        return (
            results is not None
            and len(results) == len(expected.members)
            and all(map(agrees, expected.members, results))
        )
    if hasattr(found, "results"):
        return False
    if isinstance(expected, Value):
        return found.state == "SUCCESS" and found.result == expected.value
    error = found.result
    told = (type(error).__name__, IDS.sub("ID", str(error)))
    return found.state == "FAILURE" and told in expected.errors


def told(result: Any) -> Any:
    """Return a result in words, for when it does not agree."""
    if hasattr(result, "results"):
        return [told(each) for each in result.results]
    return result.state, repr(result.result)

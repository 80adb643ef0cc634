"""From the model of a canvas to the real one, and to examples of all kinds."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

from canvas_model import Chain, Chord, Group, Task
from hypothesis import strategies as st

from tqconsole.engine import chain, chord, group, signature
from tqconsole.engine.app import App


class Builder:
    """The tasks of an app that a model's tasks stand for. `events` counts links and errbacks."""

    def __init__(self, app: App) -> None:
        self.events: Counter[str] = Counter()
        events = self.events

        def tag(x: Any, label: str) -> Any:
            return [label, x]

        def fail(x: Any, label: str) -> None:
            raise ValueError(label)

        def flaky(self: Any, x: Any, label: str) -> Any:
            if self.request.retries < 2:
                raise self.retry(countdown=0)
            return [label, x]

        def swap(self: Any, x: Any, inner: Any) -> Any:
            sig = signature(inner, app=app)
            return self.replace(sig.clone((x,)))

        def linked(value: Any, label: str) -> None:
            import json

            events[f"L{label} {json.dumps(value)}"] += 1

        def failed(task_id: str, label: str) -> None:
            events[f"E{label}"] += 1

        def task(function: Any, **options: Any) -> Any:
            return app.task(name=function.__name__, lazy=False, **options)(function)

        self._tasks = {
            "tag": task(tag),
            "fail": task(fail),
            "flaky": task(flaky, bind=True, max_retries=5),
            "swap": task(swap, bind=True),
        }
        self._linked, self._failed = task(linked), task(failed)

    def build(self, node: Any) -> Any:
        """Return the signature of a model."""
        match node:
            case Task():
                return self._task(node)
            case Chain(steps):
                return chain(*map(self.build, steps))
            case Group(members):
                return group([self.build(each) for each in members])
            case Chord(header, body):
                return chord([self.build(each) for each in header], self.build(body))

    def _task(self, node: Task) -> Any:
        extra = self.build(node.inner) if node.kind == "swap" else node.label
        sig = self._tasks[node.kind].s(extra)
        if node.has_link:
            sig.link(self._linked.s(node.label))
        if node.has_errback:
            sig.link_error(self._failed.s(node.label))
        return sig


def canvases() -> Any:
    """Return a strategy of canvases up to five levels deep."""
    labels = st.just("")
    flags = st.booleans()
    plain = st.builds(
        Task, labels, st.sampled_from(["tag", "tag", "tag", "fail", "flaky"]), st.none(), flags,
        flags,
    )  # fmt: skip
    inside = st.recursive(plain, _composed, max_leaves=5)
    swaps = st.builds(Task, labels, st.just("swap"), inside, flags)
    leaves = plain | plain | plain | swaps
    nodes = st.recursive(leaves, _composed, max_leaves=14)
    return nodes.filter(lambda node: depth(node) <= 5).map(
        lambda node: labelled(node, itertools.count())
    )


def labelled(node: Any, numbers: Any) -> Any:
    """Return a canvas whose tasks have labels of their own: links are told apart by them."""
    match node:
        case Task(inner=inner):
            made = replace(node, label=f"t{next(numbers)}")
            return made if inner is None else replace(made, inner=labelled(inner, numbers))
        case Chain((first, *others)):
            rest = (labelled(_quiet(step), numbers) for step in others)
            return Chain((labelled(first, numbers), *rest))
        case Group(parts):
            return Group(tuple(labelled(part, numbers) for part in parts))
        case Chord(header, body):
            parts = tuple(labelled(part, numbers) for part in header)
            return Chord(parts, labelled(_quiet(body), numbers))


def _quiet(node: Any) -> Any:
    """Return what is not one call without errbacks: who of it reports that it never began is a
    matter of how it was put together.
    """
    return node if isinstance(node, Task) else _without_errbacks(node)


def _without_errbacks(node: Any) -> Any:
    match node:
        case Task():
            return replace(node, has_errback=False)
        case Chain(parts) | Group(parts):
            return type(node)(tuple(map(_without_errbacks, parts)))
        case Chord(header, body):
            return Chord(tuple(map(_without_errbacks, header)), _without_errbacks(body))


def _composed(parts: Any) -> Any:
    several = st.lists(parts, min_size=2, max_size=4).map(tuple)
    some = st.lists(parts, min_size=1, max_size=4).map(tuple)
    return st.builds(Chain, several) | st.builds(Group, some) | st.builds(Chord, some, parts)


def depth(node: Any) -> int:
    match node:
        case Chain(parts) | Group(parts):
            return 1 + max(map(depth, parts))
        case Chord(header, body):
            return 1 + max(map(depth, (*header, body)))
        case Task(inner=inner) if inner is not None:
            return 1 + depth(inner)
    return 1

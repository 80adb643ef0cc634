"""Calls one after another, each with the value of the one before.

However a chain was put together, it is sent in one normal form: steps that are calls, chords with
a body that is no chain, and at most one group, the last. A group with something behind it is a
chord; the rest of a chord's body comes after it. The first step is sent with the rest in its
message, the next step last (wire.md §1.1).
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from tqconsole.engine.canvas.composed import Composed, parts_of, tasks_of
from tqconsole.engine.canvas.join import chord, ends_in_group, first_of
from tqconsole.engine.canvas.parallel import chunks, group
from tqconsole.engine.canvas.plan import Plan, listed
from tqconsole.engine.canvas.signature import Signature

#: Options that a chain itself answers; the others are its first step's.
_OWN_OPTIONS = frozenset(
    {"chain", "chord", "group_id", "group_index", "link", "link_error", "task_id"}
)


@Signature.register_type("chain")
class _chain(Composed):
    """A chain as it is. `chain(...)` and `|` put one together."""

    def __init__(self, *tasks: Any, **options: Any) -> None:
        app = options.pop("app", None)
        if len(tasks) == 1 and not isinstance(tasks[0], dict):
            tasks = tuple(tasks[0])
        parts = parts_of(tasks, "chain", app)
        super().__init__("celery.chain", (), {"tasks": parts}, options, app=app)
        self["subtask_type"] = "chain"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], app: Any = None) -> Signature:
        """Return the chain that a dict stands for. Raises: ValueError."""
        steps = parts_of(tasks_of(fields, "chain"), "chain", app)
        return cls.from_steps(steps, app).with_fields(fields)

    @classmethod
    def from_steps(cls, steps: list[Signature], app: Any) -> _chain:
        """Return the chain of these steps, as they are."""
        made = _chain([], app=app)
        made.tasks = steps
        return made

    @classmethod
    def joined(cls, first: Signature, second: Signature) -> Signature:
        """Return two signatures in sequence. Both stay as they are."""
        if _is_empty_group(second):
            return first
        steps = [step.clone() for step in _steps_in(first)]
        for step in _steps_in(second):
            _add_step(steps, step.clone())
        if len(steps) == 1 and isinstance(first, group | chord):
            return steps[0]
        return cls.from_steps(steps, first.app_or_none() or second.app_or_none())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Send it with these arguments for its first call; an empty one does nothing."""
        return self.apply_async(args, kwargs) if self.tasks else None

    def unchain_tasks(self) -> list[Signature]:
        """Return copies of its steps, with the chain's links."""
        made: _chain = self.clone()
        return made.taken_apart()

    def taken_apart(self) -> list[Signature]:
        """Return its steps, with the chain's links and other options where they belong."""
        steps, options = self.members(), self.options
        if steps:
            for callback in listed(options.get("link")):
                steps[-1].link(callback)
            for errback in listed(options.get("link_error")):
                for step in steps:
                    step.link_error(self.member(errback).clone())
            steps[0].set(**{k: v for k, v in options.items() if k not in _OWN_OPTIONS})
            if self.args and not steps[0].immutable:
                steps[0]["args"] = (*self.args, *steps[0].args)
        return steps

    def settle(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """See `Signature.settle`: the result is the last step's, each one's parent the one before.

        Raises: ValueError for an empty chain.
        """
        steps = self.tasks = normal_steps(self.members(), self._app)
        if not steps:
            raise ValueError("an empty chain has no result")
        results = [step.settle(root_id=root_id) for step in steps[:-1]]
        results.append(steps[-1].settle(_id, group_id, chord, root_id, parent_id, group_index))
        for before, after in itertools.pairwise(results):
            first_of(after).parent = before
        return results[-1]

    def unfold(self, plan: Plan, args: Any = None, kwargs: Any = None, options: Any = None) -> Any:
        """See `Signature.unfold`. An empty chain is nothing, and its result None."""
        merged = self.merged_options(options)
        rest = [self.member(step) for step in merged.get("chain") or ()]
        self.tasks = normal_steps(self.members(), self._app)
        if rest and self.tasks and ends_in_group(self.tasks[-1]):
            self.tasks, rest = normal_steps([*self.tasks, *reversed(rest)], self._app), []
        if not self.tasks:
            return None
        self._link_steps(merged)
        where = (merged.get("group_id"), merged.get("chord"), merged.get("root_id"))
        result = self.settle(merged.get("task_id"), *where, None, merged.get("group_index"))
        passed = {name: value for name, value in merged.items() if name not in _OWN_OPTIONS}
        first, *later = self.tasks
        # In reverse: the next one to run is the last.
        passed["chain"] = [*rest, *reversed(later)] or None
        first.unfold(plan, (*(args or ()), *self.args), kwargs, passed)
        return result

    def _link_steps(self, merged: Mapping[str, Any]) -> None:
        for callback in listed(merged.get("link")):
            self.tasks[-1].link(callback)
        for errback in listed(merged.get("link_error")):
            for step in self.tasks:
                step.link_error(self.member(errback).clone())

    def before_stamping(self, visitor: Any, headers: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See `Composed.before_stamping`."""
        asked: Mapping[str, Any] | None = visitor.on_chain_start(self, **headers)
        return asked

    def after_stamping(self, visitor: Any, stamps: Mapping[str, Any]) -> None:
        """See `Composed.after_stamping`."""
        visitor.on_chain_end(self, **stamps)

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.tasks)) if self.tasks else "chain(<empty>)"


class chain(_chain):
    """`chain(add.s(2, 2), add.s(4))`, or of one iterable: each is called with the value before."""

    def __new__(cls, *tasks: Any, **options: Any) -> Any:
        """Return a chain; a chord or group where that is what the steps come to, as in Celery."""
        if options or not tasks or (len(tasks) == 1 and isinstance(tasks[0], dict)):
            return super().__new__(cls)
        steps: list[Signature] = []
        given_steps = parts_of(_given(tasks), "chain", None)
        for given_step in given_steps:
            for step in _steps_in(given_step):
                _add_step(steps, step.clone())
        if len(steps) == 1 and isinstance(given_steps[0], group):
            return steps[0]
        return _chain.from_steps(steps, None)

    def __init__(self, *tasks: Any, **options: Any) -> None:
        if len(tasks) == 1 and isinstance(tasks[0], dict):
            tasks = ([tasks[0]],)
        super().__init__(*tasks, **options)


def normal_steps(steps: Iterable[Signature], app: Any) -> list[Signature]:
    """Return the steps in the form in which they are sent. Uses them up."""
    pending, done = deque(steps), list[Signature]()
    spare: Signature | None = None
    while pending:
        step = pending.popleft()
        if isinstance(step, chunks):
            step = step.group()
        if isinstance(step, _chain):
            pending.extendleft(reversed(step.taken_apart()))
        elif isinstance(step, group) and len(step.tasks) == 1:
            pending.appendleft(step.unrolled())
        elif _is_empty_group(step):
            spare = step
        elif done and isinstance(done[-1], group):
            pending.appendleft(chord(done.pop(), step, app=app))
        elif done and isinstance(done[-1], chord) and ends_in_group(done[-1]):
            pending.appendleft(done.pop())
            _add_behind(pending[0], step)
        else:
            if isinstance(step, chord):
                pending.extendleft(reversed(_without_chain(step, app)))
            done.append(step)
    return done or ([spare] if spare is not None else [])


def _without_chain(step: chord, app: Any) -> list[Signature]:
    """Leave a chord the first step of its body; return the others."""
    if step.needed_body().subtask_type not in ("chain", "chunks"):
        return []
    body_steps = normal_steps([step.body], app)
    if not body_steps:
        raise TypeError("this chord's body is an empty chain")
    step.body, others = body_steps[0], body_steps[1:]
    if others:
        options = step.options
        for callback in listed(options.pop("link", None)):
            others[-1].link(callback)
    return others


def _add_behind(sig: Any, step: Signature) -> None:
    """Put a step behind the group that a chord ends in."""
    while sig.body.subtask_type == "chord":
        sig = sig.body
    sig.body = chord(sig.body, step, app=sig.app_or_none())


def _add_step(steps: list[Signature], step: Signature) -> None:
    """Add a step to those of a chain, as `|` does."""
    if _is_empty_group(step) and steps:
        return
    last = steps[-1] if steps else None
    if isinstance(step, group):
        unrolled = step.unrolled()
        if unrolled is not step:
            for each in _steps_in(unrolled):
                _add_step(steps, each)
        elif isinstance(last, chord):
            last.body = last.needed_body() | step
        elif isinstance(last, group):
            steps[-1] = chord(last, step)
        else:
            steps.append(step)
    elif isinstance(last, group):
        steps[-1] = chord(last, step)
    elif isinstance(last, chord) and not isinstance(step, chord):
        last.body = last.needed_body() | step
    else:
        steps.append(step)


def _steps_in(sig: Signature) -> list[Signature]:
    return sig.unchain_tasks() if isinstance(sig, _chain) else [sig]


def _is_empty_group(sig: Any) -> bool:
    return isinstance(sig, group) and not sig.tasks


def _given(tasks: tuple[Any, ...]) -> list[Any]:
    """Return the steps that the arguments of `chain` mean. Raises: TypeError."""
    if len(tasks) == 1 and not isinstance(tasks[0], dict):
        if isinstance(tasks[0], str) or not isinstance(tasks[0], Iterable):
            raise TypeError(f"a chain is made of signatures, not of {tasks[0]!r:.60}")
        tasks = tuple(tasks[0])
    return list(tasks)

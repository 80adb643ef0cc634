"""Calls that run side by side, and one call that stands for many (map, starmap, chunks)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tqconsole.engine.canvas.composed import Composed, parts_of, tasks_of
from tqconsole.engine.canvas.plan import Plan, given
from tqconsole.engine.canvas.signature import Signature, maybe_signature
from tqconsole.engine.protocol.identity import new_id

#: Options that say which group a group itself is and belongs to; its members have their own.
_OWN_OPTIONS = frozenset({"task_id", "group_id", "group_index", "reply_to"})


@Signature.register_type("group")
class group(Composed):
    """Calls that run side by side: `group(add.s(1, 1), add.s(2, 2))`, or of one iterable."""

    def __init__(self, *tasks: Any, **options: Any) -> None:
        app = options.pop("app", None)
        given_tasks = _tasks_in(tasks[0]) if len(tasks) == 1 else tasks
        parts = parts_of(given_tasks, "group", app)
        super().__init__("celery.group", (), {"tasks": parts}, options, app=app)
        self["subtask_type"] = "group"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], app: Any = None) -> group:
        """Return the group that a dict stands for. Raises: ValueError."""
        return cls(tasks_of(fields, "group"), app=app).with_fields(fields)

    def __call__(self, *partial_args: Any, **options: Any) -> Any:
        """Send it with these arguments in front of each member's."""
        return self.apply_async(partial_args, **options)

    def flattened(self) -> list[Signature]:
        """Return the calls in it: those of groups inside among them, in order."""
        found: list[Signature] = []
        for task in self.members():
            if isinstance(task, chunks):
                found.extend(task.group().flattened())
            elif isinstance(task, group):
                task.tasks = task.flattened()
                found.extend(task.completed())
            elif task.subtask_type == "chain" and not task["kwargs"]["tasks"]:
                continue
            else:
                found.append(task)
        return found

    def completed(self) -> list[Signature]:
        """Return the members with the arguments and options that the group has for all."""
        options = {name: it for name, it in self.options.items() if name not in _OWN_OPTIONS}
        for member in self.members() if options or self.args else ():
            member["args"] = member.merged(self.args)[0]
            member.set(**options)
        return self.members()

    def unrolled(self) -> Signature:
        """Return the one member of a group of one, else the group."""
        return self.members()[0] if len(self.tasks) == 1 else self

    def settle(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """See `Signature.settle`. With a `chord` the members are parts of that one, which is their
        group then.
        """
        gid = self.options.setdefault("task_id", _id or new_id())
        self.tasks = self.flattened()
        results = [
            member.settle(None, group_id or gid, chord, root_id, parent_id, index)
            for index, member in enumerate(self.tasks)
        ]
        return self.app.GroupResult(gid, results)

    def unfold(self, plan: Plan, args: Any = None, kwargs: Any = None, options: Any = None) -> Any:
        """See `Signature.unfold`. Raises: TypeError for links: a group has no single end."""
        merged = self.merged_options(options)
        for name in ("link", "link_error"):
            if merged.pop(name, None):
                raise TypeError(f"a group takes no {name}: use a chord, or its members' own")
        rest = merged.pop("chain", None)
        if rest:
            self.options.pop("chain", None)
            steps = [self, *(self.member(step) for step in reversed(rest))]
            line = Signature.TYPES["chain"].from_steps(steps, self._app)
            return line.unfold(plan, args, kwargs, merged)
        result = self.settle(merged.get("task_id"), merged.get("group_id"), merged.get("chord"))
        passed = {name: value for name, value in merged.items() if name not in _OWN_OPTIONS}
        # What a call brings comes in front of what the group has.
        first_args = (*(args or ()), *self.args)
        for member in self.tasks:
            member.unfold(plan, first_args, kwargs, passed)
        return result

    # -- completing

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> group:
        """Spread the members: the first starts after `start` seconds, each next `step` later, none
        after `stop`.
        """
        for number, task in enumerate(self.members()):
            delay_s = start + number * step
            task.set(countdown=delay_s if stop is None else min(delay_s, stop))
        return self

    def link(self, callback: Any) -> Any:
        """Send `callback`, without a value, when the first member has succeeded."""
        return self.members()[0].link(self.member(callback).clone().set(immutable=True))

    def link_error(self, errback: Any) -> Any:
        """Call `errback` for each member that fails; returns the copies."""
        return tuple(task.link_error(self.member(errback).clone()) for task in self.members())

    def before_stamping(self, visitor: Any, headers: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See `Composed.before_stamping`."""
        asked: Mapping[str, Any] | None = visitor.on_group_start(self, **headers)
        return asked

    def after_stamping(self, visitor: Any, stamps: Mapping[str, Any]) -> None:
        """See `Composed.after_stamping`."""
        visitor.on_group_end(self, **stamps)

    def __repr__(self) -> str:
        return f"group({', '.join(map(repr, self.tasks))})" if self.tasks else "group(<empty>)"


def _tasks_in(given_tasks: Any) -> Iterable[Any]:
    """Return the members that the only argument of `group` means."""
    if isinstance(given_tasks, group):
        return list(given_tasks.tasks)
    if isinstance(given_tasks, dict):
        return [given_tasks]
    if isinstance(given_tasks, str) or not isinstance(given_tasks, Iterable):
        raise TypeError(f"a group is made of signatures, not of {given_tasks!r:.60}")
    return given_tasks


class _Map(Signature):
    """One call that stands for many: its worker goes through the items one after another."""

    task_name = ""
    pattern = ""

    def __init__(self, task: Any, it: Iterable[Any], **options: Any) -> None:
        app = options.pop("app", None)
        fields = {"task": task, "it": list(it)}
        super().__init__(self.task_name, (), fields, options, immutable=True, app=app)
        self["subtask_type"] = type(self).__name__

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], app: Any = None) -> Signature:
        """Return the signature that a dict stands for."""
        kwargs = fields["kwargs"]
        made = cls(maybe_signature(kwargs["task"], app=app), kwargs["it"], app=app)
        made["options"] = dict(fields["options"] or {})
        return made

    def apply_async(
        self, args: Any = None, kwargs: Any = None, route_name: str | None = None, **options: Any
    ) -> Any:
        """Send it and return its result; it is routed as the task inside."""
        return super().apply_async(args, kwargs, route_name or self._inner_name(), **options)

    def unfold(self, plan: Plan, args: Any = None, kwargs: Any = None, options: Any = None) -> Any:
        """See `Signature.unfold`."""
        routed = {"route_name": self._inner_name(), **given(options)}
        return super().unfold(plan, args, kwargs, routed)

    def _inner_name(self) -> str:
        inner = self["kwargs"]["task"]
        return str(inner["task"] if isinstance(inner, Mapping) else getattr(inner, "name", inner))

    def __repr__(self) -> str:
        inner, items = self["kwargs"]["task"], self["kwargs"]["it"]
        return f"[{inner['task']}({self.pattern}) for x in {items!r:.100}]"


@Signature.register_type()
class xmap(_Map):
    """`task.map(items)`: call the task with each item."""

    task_name, pattern = "celery.map", "x"


@Signature.register_type()
class xstarmap(_Map):
    """`task.starmap(items)`: call the task with each item's parts."""

    task_name, pattern = "celery.starmap", "*x"


@Signature.register_type()
class chunks(Composed):
    """`task.chunks(items, n)`: a group of starmaps of `n` items each."""

    def __init__(self, task: Any, it: Iterable[Any], n: int, **options: Any) -> None:
        if not isinstance(n, int) or n < 1:
            raise ValueError(f"chunks are of 1 item or more, not of {n!r}")
        app = options.pop("app", None)
        fields = {"task": task, "it": list(it), "n": n}
        super().__init__("celery.chunks", (), fields, options, immutable=True, app=app)
        self["subtask_type"] = "chunks"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], app: Any = None) -> chunks:
        """Return the chunks that a dict stands for."""
        kwargs = fields["kwargs"]
        made = cls(maybe_signature(kwargs["task"], app=app), kwargs["it"], kwargs["n"], app=app)
        made["options"] = dict(fields["options"] or {})
        return made

    def __call__(self, **options: Any) -> Any:
        """Send it."""
        return self.apply_async(**options)

    def cloned_parts(self) -> dict[str, Any]:
        """See `Composed.cloned_parts`."""
        return dict(self["kwargs"])

    @property
    def tasks(self) -> Any:
        """The task inside."""
        return [self["kwargs"]["task"]]

    @tasks.setter
    def tasks(self, tasks: Any) -> None:
        (self["kwargs"]["task"],) = tasks

    #: It is one call until it is sent: what is set on it goes to each of its messages.
    stamp = Signature.stamp
    set_immutable = Signature.set_immutable

    def group(self) -> group:
        """Return it as the group that it is sent as."""
        kwargs = self["kwargs"]
        pieces = [
            xstarmap(kwargs["task"], piece, app=self._app)
            for piece in _sliced(kwargs["it"], kwargs["n"])
        ]
        return group(pieces, app=self._app)

    @classmethod
    def apply_chunks(cls, task: Any, it: Iterable[Any], n: int, app: Any = None) -> Any:
        """Send chunks."""
        return cls(task, it, n, app=app)()

    def settle(self, *args: Any, **kwargs: Any) -> Any:
        """Raise TypeError: it is a group only when it is sent."""
        raise TypeError("chunks are frozen as the group they are: task.chunks(...).group()")

    def unfold(self, plan: Plan, args: Any = None, kwargs: Any = None, options: Any = None) -> Any:
        """See `Signature.unfold`."""
        return self.group().unfold(plan, args, kwargs, self.merged_options(options))

    def __repr__(self) -> str:
        kwargs = self["kwargs"]
        return f"{kwargs['task']['task']}.chunks({kwargs['it']!r:.100}, {kwargs['n']})"


def _sliced(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    left = iter(items)
    while piece := list(itertools.islice(left, size)):
        yield piece

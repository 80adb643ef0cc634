"""Calls that run side by side, and one that is called with all their values (wire.md §4.3).

Every part carries the body and the chord's id, which is its group's; the store counts what comes
back. The body gets its id here, so that whoever sends it, and how often, it is one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tqconsole.engine.canvas.composed import Composed, parts_of
from tqconsole.engine.canvas.parallel import group
from tqconsole.engine.canvas.plan import ChordStart, Plan, given, listed
from tqconsole.engine.canvas.signature import Signature, maybe_signature

#: Options that say when the header begins, and what the body is to others.
_OF_HEADER = frozenset({"countdown", "eta", "parent_id"})
_OF_BODY = frozenset({"chain", "chord", "group_id", "group_index", "task_id", "link", "link_error"})


@Signature.register_type("chord")
class chord(Composed):
    """`chord(header, body)` or `chord(header)(body)`: the body gets the list of all values."""

    parts_key = "header"

    def __init__(
        self,
        header: Any,
        body: Any = None,
        task: str = "celery.chord",
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        app: Any = None,
        **options: Any,
    ) -> None:
        if isinstance(header, dict):
            header = maybe_signature(header, app=app)
        if isinstance(header, group) and header.id:
            # A header that is frozen has its id, which is the chord's.
            options.setdefault("task_id", header.id)
        parts = {
            "kwargs": dict(kwargs or {}),
            "header": _header_of(header, app),
            "body": maybe_signature(body, app=app),
        }
        super().__init__(task, args, parts, options, app=app)
        self["subtask_type"] = "chord"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], app: Any = None) -> chord:
        """Return the chord that a dict stands for. Raises: ValueError."""
        parts = fields.get("kwargs") or {}
        if parts.get("header") is None:
            raise ValueError(f"{fields.get('task')} is no chord: no header")
        made = cls(parts["header"], parts.get("body"), kwargs=parts.get("kwargs"), app=app)
        return made.with_fields(fields)

    def __call__(self, body: Any = None, **options: Any) -> Any:
        """Send it, with this body."""
        made = self
        if body is not None:
            made = self.clone()
            made.body = maybe_signature(body, app=self._app)
        return made.apply_async(**options)

    @property
    def body(self) -> Any:
        """What is called with the values."""
        return self["kwargs"]["body"]

    @body.setter
    def body(self, body: Any) -> None:
        self["kwargs"]["body"] = body

    def spokesmen(self) -> Iterable[Signature]:
        """See `Composed.spokesmen`: the header's calls, then the body."""
        return [it for it in (*self.tasks, self.body) if isinstance(it, Signature)]

    def header_group(self) -> group:
        """Return the header as a group of the same calls."""
        made = group(self.tasks, app=self._app)
        made.options.update(given({"task_id": self.options.get("task_id")}))
        return made

    def cloned_parts(self) -> dict[str, Any]:
        """See `Composed.cloned_parts`."""
        body = self.body
        return {
            "kwargs": dict(self["kwargs"].get("kwargs") or {}),
            "header": [part.clone() for part in self.members()],
            "body": None if body is None else self.member(body).clone(),
        }

    def __len__(self) -> int:
        return part_count(self.header_group())

    def needed_body(self) -> Any:
        """Return the body. Raises: TypeError when there is none."""
        if self.body is None:
            raise TypeError("this chord has no body: chord(header)(body), or chord(header, body)")
        self.body = self.member(self.body)
        return self.body

    def settle(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """See `Signature.settle`: the result is the body's, and its parent the header's."""
        header, body = self.header_group(), self.needed_body()
        header_result = header.settle()
        self.options["task_id"], self.tasks = header_result.id, header.tasks
        result = body.settle(_id, group_id, chord, root_id, parent_id, group_index)
        first_of(result).parent = header_result
        return result

    def unfold(self, plan: Plan, args: Any = None, kwargs: Any = None, options: Any = None) -> Any:
        """See `Signature.unfold`. Its own `task_id` is the header's, a given one the body's."""
        body = self.needed_body()
        if body.subtask_type in ("chain", "chunks"):
            # A chain's first step is the body; the rest follows as any chain's does.
            ends = _OF_BODY - {"task_id"}
            own = {name: self.options.pop(name) for name in ends & self.options.keys()}
            line = self.from_steps([self], self._app)
            return line.unfold(plan, args, kwargs, {**own, **(options or {})})
        merged = self.merged_options(options)
        self._complete_body(body, merged)
        where = (merged.get("group_id"), merged.get("chord"), merged.get("root_id"))
        result = self.settle(
            (options or {}).get("task_id"), *where, None, merged.get("group_index")
        )
        header, group_id = self.header_group(), self.options["task_id"]
        if not header.tasks:
            body.unfold(plan, ([],))
            return result
        # What it is called with is a group's, which is what its own header says then.
        body.options.setdefault("group_id", group_id)
        header_result = header.settle(None, group_id, body)
        self.tasks = header.tasks
        has_groups = any(hasattr(part, "results") for part in header_result.results)
        tree = header_result.as_tuple() if has_groups else None
        plan.chords.append(ChordStart(group_id, part_count(header), tree))
        self._unfold_header(plan, (*(args or ()), *self.args), kwargs, merged)
        body.options.setdefault("root_id", plan.root_id)
        return result

    def _unfold_header(self, plan: Plan, args: Any, kwargs: Any, merged: dict[str, Any]) -> None:
        passed = {name: value for name, value in merged.items() if name not in _OF_BODY}
        all_kwargs = {**(self["kwargs"].get("kwargs") or {}), **(kwargs or {})}
        for part in self.tasks:
            part.unfold(plan, args, all_kwargs, passed)

    def _complete_body(self, body: Signature, merged: Mapping[str, Any]) -> None:
        """Give the body what was said for the chord as a whole."""
        not_options = _OF_BODY | _OF_HEADER
        body.set(**{name: value for name, value in merged.items() if name not in not_options})
        if merged.get("chain"):
            body.options["chain"] = list(merged["chain"])
        for callback in listed(merged.get("link")):
            body.link(callback)
        for errback in listed(merged.get("link_error")):
            body.link_error(errback)

    # -- completing

    def link(self, callback: Any) -> Any:
        """Send `callback` with the body's value."""
        self.needed_body().link(callback)
        return callback

    def link_error(self, errback: Any) -> Any:
        """Call `errback` when the body has failed, which it does when a part fails.

        With `task_allow_error_cb_on_chord_header` also for each part.
        """
        is_for_parts = self.app.conf.task_allow_error_cb_on_chord_header
        for part in self.members():
            if is_for_parts:
                part.link_error(self.member(errback).clone().set(immutable=True))
            elif isinstance(part, chord):
                part.link_error(errback)
        self.needed_body().link_error(errback)
        return errback

    def before_stamping(self, visitor: Any, headers: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See `Composed.before_stamping`."""
        asked: Mapping[str, Any] | None = visitor.on_chord_header_start(self, **headers)
        return asked

    def after_stamping(self, visitor: Any, stamps: Mapping[str, Any]) -> None:
        """See `Composed.after_stamping`."""
        visitor.on_chord_header_end(self, **stamps)

    def stamp_rest(self, visitor: Any, append_stamps: bool, stamps: Mapping[str, Any]) -> None:
        """Stamp the body."""
        if self.body is None:
            return
        if visitor is not None:
            visited = visitor.on_chord_body(self, **stamps) or {}
            stamps = self.stamps_of(visited, append_stamps, stamps)
        self.needed_body().stamp(visitor, append_stamps, **stamps)

    def __repr__(self) -> str:
        header = ", ".join(map(repr, self.tasks))
        return f"chord([{header}], {self.body!r})"


def _header_of(header: Any, app: Any) -> list[Signature]:
    """Return the calls of a header. Raises: TypeError."""
    if isinstance(header, group):
        return header.completed()
    if isinstance(header, Signature):
        return [header] if header.subtask_type != "chain" else list(header["kwargs"]["tasks"])
    if isinstance(header, str) or not isinstance(header, Iterable):
        raise TypeError(f"a chord's header is made of signatures, not of {header!r:.60}")
    return parts_of(header, "chord's header", app)


def part_count(sig: Signature) -> int:
    """Return how many parts of a chord come back of what is in its header: the last calls of each
    chain, all of a group, the body's of a chord inside.
    """
    match sig.subtask_type:
        case "group":
            return sum(part_count(sig.member(part)) for part in sig["kwargs"]["tasks"])
        case "chain":
            counts = (part_count(sig.member(part)) for part in reversed(sig["kwargs"]["tasks"]))
            return next((count for count in counts if count), 0)
        case "chord":
            return part_count(sig.member(sig["kwargs"]["body"]))
        case _:
            return 1


def first_of(result: Any) -> Any:
    """Return the result that a line of results begins with."""
    while result.parent is not None:
        result = result.parent
    return result


def ends_in_group(sig: Signature) -> bool:
    """Return True when what comes after `sig` is called with a list."""
    match sig.subtask_type:
        case "group" | "chunks":
            return True
        case "chord":
            return ends_in_group(sig.member(sig["kwargs"]["body"]))
        case "chain":
            steps = sig["kwargs"]["tasks"]
            return bool(steps) and ends_in_group(sig.member(steps[-1]))
        case _:
            return False


def last_call(sig: Signature) -> Signature:
    """Return the call that a signature's result is the result of; a group stands for itself."""
    match sig.subtask_type:
        case "chord":
            return last_call(sig.member(sig["kwargs"]["body"]))
        case "chain":
            return last_call(sig.member(sig["kwargs"]["tasks"][-1]))
        case _:
            return sig

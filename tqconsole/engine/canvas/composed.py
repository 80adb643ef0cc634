"""What chains, groups, chords and chunks have in common: they are made of parts, which lie in their
keywords, and are laid out as the messages of these. None of them is sent as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from tqconsole.engine.canvas.plan import given
from tqconsole.engine.canvas.signature import Signature, maybe_signature


class Composed(Signature):
    """A signature that is more than one message."""

    #: The keyword that holds its parts.
    parts_key: ClassVar[str] = "tasks"

    def apply_async(
        self, args: Any = None, kwargs: Any = None, route_name: str | None = None, **options: Any
    ) -> Any:
        """Send it and return its result; options as those of a task, for its first calls."""
        return self.app.send_canvas(self, args, kwargs, **options)

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run it here and return its result."""
        return self.app.apply_canvas(self, args, kwargs, **options)

    # -- its parts

    @property
    def tasks(self) -> Any:
        """Its parts."""
        return self["kwargs"][self.parts_key]

    @tasks.setter
    def tasks(self, tasks: Any) -> None:
        self["kwargs"][self.parts_key] = tasks

    def members(self) -> list[Signature]:
        """Return its parts as signatures."""
        return [self.member(task) for task in self.tasks]

    @property
    def app(self) -> Any:
        """The app that sends it: its own, or that of its first part."""
        if self._app is None:
            part = next(iter(self.spokesmen()), None)
            self._app = None if part is None else part.app
        return super().app

    def spokesmen(self) -> Iterable[Signature]:
        """Return the parts whose app it belongs to, when nobody said which."""
        return self.members()

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return True

    # -- copies

    def merged_options(self, options: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return its options with these."""
        return self.merged((), {}, given(options), True)[2]

    def clone(
        self, args: Any = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Return a copy with these added; its parts are copies too."""
        made = type(self).from_dict(
            {
                **self,
                "args": self.merged(args)[0],
                "kwargs": {**self.cloned_parts(), **(kwargs or {})},
                "options": _copied(self.merged_options(options)),
            },
            app=self._app,
        )
        made["immutable"] = self.immutable
        return made

    partial = clone

    def cloned_parts(self) -> dict[str, Any]:
        """Return the keywords that hold its parts, copied."""
        return {"tasks": [task.clone() for task in self.members()]}

    def with_fields(self, fields: Mapping[str, Any]) -> Self:
        """Take over what the dict of a signature says beside its parts; returns this signature."""
        self.update(args=tuple(fields.get("args") or ()), options=dict(fields["options"] or {}))
        self["immutable"] = bool(fields.get("immutable"))
        return self

    def with_type(self, task: Any) -> Signature:
        """Return itself: it is made of parts, and is no task."""
        return self

    def __reduce__(self) -> Any:
        return _rebuilt, (dict(self),)

    # -- completing

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give every call in it its id, and return the result it will have."""
        # The parts may be in use elsewhere too, or twice in here.
        self["kwargs"].update(self.cloned_parts())
        return self.settle(_id, group_id, chord, root_id, parent_id, group_index)

    def set_immutable(self, immutable: bool) -> None:
        """Say whether its parts take further arguments."""
        for part in self.members():
            part.set_immutable(immutable)

    def stamp(self, visitor: Any = None, append_stamps: bool = False, **headers: Any) -> Self:
        """Stamp all parts."""
        visited = None if visitor is None else self.before_stamping(visitor, headers) or {}
        stamps = self.stamps_of(visited, append_stamps, headers)
        self.stamp_links(visitor, append_stamps, **stamps)
        for part in self.members():
            part.stamp(visitor, append_stamps, **stamps)
        if visitor is not None:
            self.after_stamping(visitor, stamps)
        self.stamp_rest(visitor, append_stamps, stamps)
        return self

    def before_stamping(self, visitor: Any, headers: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Ask a visitor, before the parts are stamped, for stamps of them all."""
        return None

    def after_stamping(self, visitor: Any, stamps: Mapping[str, Any]) -> None:
        """Tell a visitor that the parts are stamped."""

    def stamp_rest(self, visitor: Any, append_stamps: bool, stamps: Mapping[str, Any]) -> None:
        """Stamp what is no part, with the parts' stamps."""


def parts_of(values: Iterable[Any], what: str, app: Any) -> list[Signature]:
    """Return the parts of what is composed as signatures. Raises: TypeError."""
    parts: list[Signature] = []
    for value in values:
        if not isinstance(value, dict):
            raise TypeError(f"a {what} is made of signatures, not of {value!r:.60}")
        parts.append(maybe_signature(value, app=app))
    return parts


def tasks_of(fields: Mapping[str, Any], what: str) -> list[Any]:
    """Return the parts in the dict of a chain or group. Raises: ValueError."""
    tasks = (fields.get("kwargs") or {}).get("tasks")
    if not isinstance(tasks, list | tuple):
        raise ValueError(f"{fields.get('task')} is no {what}: no tasks")  # noqa: TRY004 - a wrong message
    return list(tasks)


def _copied(options: dict[str, Any]) -> dict[str, Any]:
    """Copy the lists of links: others are added to the copy only."""
    return {
        name: list(value) if isinstance(value, list) else value for name, value in options.items()
    }


def _rebuilt(fields: dict[str, Any]) -> Signature:
    return Signature.from_dict(fields)

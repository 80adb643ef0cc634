"""A call that is not sent yet: a dict that travels as JSON and can be sent, linked and completed.

Its keys are those of the wire (wire.md §1.1), so a signature from another process is a signature.
Kinds of signatures (chains, groups, chords) register themselves by their `subtask_type`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tqconsole.engine import current
from tqconsole.engine.canvas import stamping
from tqconsole.engine.canvas.plan import Plan, given, listed, result_of
from tqconsole.engine.exceptions import NotRegistered
from tqconsole.engine.protocol.identity import new_id

#: Options that a later call may not replace once they are set: they say where the call belongs, and
#: how it is stamped.
_FIXED_OPTIONS = frozenset({"group_id", stamping.NAMES})


class Signature(stamping.Stamped, dict[str, Any]):
    """A task's name with arguments and options of `apply_async`.

    Arguments given when it is called are put in front of its own, keywords and options are merged;
    an immutable one takes options only.
    """

    TYPES: ClassVar[dict[str, type[Signature]]] = {}

    def __init__(
        self,
        task: Any = None,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        type: Any = None,
        subtask_type: str | None = None,
        immutable: bool = False,
        app: Any = None,
        **more_options: Any,
    ) -> None:
        self._app = app
        self._type = type
        if isinstance(task, dict):
            super().__init__(task)
            return
        name = task if isinstance(task, str) else getattr(task, "name", task)
        if task is not None and not isinstance(task, str):
            self._type = task
        super().__init__(
            task=name,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options={**(options or {}), **more_options},
            subtask_type=subtask_type,
            immutable=immutable,
        )

    @classmethod
    def register_type(cls, name: str | None = None) -> Callable[[type[Signature]], type[Signature]]:
        """Return a class decorator: dicts with this `subtask_type` become that class."""

        def register(kind: type[Signature]) -> type[Signature]:
            cls.TYPES[name or kind.__name__] = kind
            return kind

        return register

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], app: Any = None) -> Signature:
        """Return the signature that a dict stands for. Raises: ValueError for an unknown kind."""
        name = fields.get("subtask_type")
        if not name:
            return Signature(dict(fields), app=app)
        kind = cls.TYPES.get(name)
        if kind is None:
            raise ValueError(
                f"unknown subtask_type {name!r} of {fields.get('task')!r}: it is none or one of "
                f"{', '.join(sorted(cls.TYPES))}"
            )
        return kind.from_dict(fields, app=app)

    # -- what it says

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self["task"])

    @property
    def args(self) -> Any:
        """Positional arguments."""
        return self["args"]

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments."""
        return self["kwargs"]  # type: ignore[no-any-return]  # a dict's values are Any

    @property
    def options(self) -> dict[str, Any]:
        """Options of `apply_async`."""
        return self["options"]  # type: ignore[no-any-return]  # a dict's values are Any

    @property
    def subtask_type(self) -> str | None:
        """The kind, None for a plain call."""
        return self.get("subtask_type")

    @property
    def immutable(self) -> bool:
        """True when it takes no further arguments."""
        return bool(self.get("immutable"))

    @property
    def id(self) -> str | None:
        """The id it will run under, once frozen."""
        return self.options.get("task_id")

    @property
    def parent_id(self) -> str | None:
        """The id of the task that sends it, once frozen."""
        return self.options.get("parent_id")

    @property
    def root_id(self) -> str | None:
        """The id of the first task of its workflow, once frozen."""
        return self.options.get("root_id")

    name = task

    @property
    def app(self) -> Any:
        """The app that sends it."""
        return self.app_or_none() or current.get_current_app()

    def app_or_none(self) -> Any:
        """Return the app that it is known to belong to."""
        return self._app or getattr(self._type, "app", None)

    @property
    def type(self) -> Any:
        """The task. Raises: NotRegistered."""
        return self._type or self.app.tasks[self.task]

    # -- sending

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Send it with these arguments in front of its own."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        route_name: str | None = None,
        **options: Any,
    ) -> Any:
        """Send it and return its AsyncResult; a task that is not known here is sent by name."""
        all_args, all_kwargs, all_options = self.merged(args, kwargs, options)
        if route_name:
            all_options["route_name"] = route_name
        try:
            task = self.type
        except NotRegistered:
            return self.app.send_task(self.task, all_args, all_kwargs, **all_options)
        return task.apply_async(all_args, all_kwargs, **all_options)

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run it here and return its EagerResult."""
        all_args, all_kwargs, all_options = self.merged(args, kwargs, options)
        return self.type.apply(all_args, all_kwargs, **all_options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now."""
        all_args, all_kwargs, _ = self.merged(args, kwargs)
        return self.type(*all_args, **all_kwargs)

    def __invert__(self) -> Any:
        """Send it and wait for the value."""
        return self.apply_async().get()

    def unfold(self, plan: Plan, args: Any = None, kwargs: Any = None, options: Any = None) -> Any:
        """Lay it out in `plan`, completed by these; return the result it will have. Uses it up."""
        all_args, all_kwargs, all_options = self.merged(args, kwargs, given(options))
        return plan.add(self._type or self.task, all_args, all_kwargs, all_options)

    # -- composing

    def __or__(self, other: Any) -> Any:
        """Return both in sequence: `other` is called with the value of this one."""
        if not isinstance(other, Signature):
            return NotImplemented
        return Signature.TYPES["chain"].joined(self, other)

    __ior__ = __or__

    @classmethod
    def joined(cls, first: Signature, second: Signature) -> Signature:
        """Return two signatures in sequence: chains know how."""
        return cls.TYPES["chain"].joined(first, second)

    @classmethod
    def from_steps(cls, steps: list[Signature], app: Any) -> Signature:
        """Return the chain of these steps, as they are."""
        return cls.TYPES["chain"].from_steps(steps, app)

    # -- completing

    def merged(
        self,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Return arguments, keywords and options with these added."""
        own = self.options
        fixed = _FIXED_OPTIONS.union(own.get(stamping.NAMES) or ())
        added = {
            name: value
            for name, value in (options or {}).items()
            if name not in fixed or name not in own
        }
        all_options = {**own, **added}
        if self.immutable and not force:
            return tuple(self.args), dict(self.kwargs), all_options
        return (*(args or ()), *self.args), {**self.kwargs, **(kwargs or {})}, all_options

    def clone(
        self, args: Any = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature:
        """Return a copy with these added."""
        all_args, all_kwargs, all_options = self.merged(args, kwargs, options)
        fields = {
            **self,
            "args": all_args,
            "kwargs": copy.deepcopy(all_kwargs),
            "options": copy.deepcopy(all_options),
        }
        return Signature.from_dict(fields, app=self._app).with_type(self._type)

    partial = clone

    def replace(
        self,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Signature:
        """Return a copy with these instead of its own; None keeps."""
        made = self.clone()
        for key, value in (("args", args), ("kwargs", kwargs), ("options", options)):
            if value is not None:
                made[key] = value
        return made

    def set(self, immutable: bool | None = None, **options: Any) -> Signature:
        """Set options of `apply_async`, and return itself."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Say whether it takes further arguments."""
        self["immutable"] = immutable

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give it its id before it is sent, and return the result it will have."""
        app, options = self.app, self.options
        task_id = options.setdefault("task_id", _id or new_id())
        options.setdefault("reply_to", app.oid)
        kept = {"root_id": root_id, "parent_id": parent_id, "group_id": group_id}
        for name, value in kept.items():
            if value is not None:
                options.setdefault(name, value)
        if chord is not None:
            options["chord"] = chord
        if group_index is not None:
            options["group_index"] = group_index
        return result_of(app, self._type or self.task, task_id)

    #: Freeze what nobody else holds: what has parts need not copy them first.
    settle = freeze

    def with_type(self, task: Any) -> Signature:
        """Remember the task itself, so that it need not be looked up; returns this signature."""
        self._type = task
        return self

    # -- links

    def link(self, callback: Any) -> Any:
        """Send `callback` with the value when this call has succeeded; returns `callback`."""
        return self.append_to_list_option("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Call `errback` when this call has failed; returns `errback`."""
        return self.append_to_list_option("link_error", errback)

    def on_error(self, errback: Any) -> Signature:
        """Do as `link_error`, and return this signature."""
        self.link_error(errback)
        return self

    def append_to_list_option(self, key: str, value: Any) -> Any:
        """Add to an option that is a list, once."""
        items = listed(self.options.get(key))
        if value not in items:
            items.append(value)
        self.options[key] = items
        return value

    def extend_list_option(self, key: str, values: Any) -> None:
        """Add one or many to an option that is a list."""
        for value in listed(values):
            self.append_to_list_option(key, value)

    def flatten_links(self) -> list[Any]:
        """Return this signature and all it links to, depth first."""
        found: list[Any] = [self]
        for entry in listed(self.options.get("link")):
            found.extend(signature(entry, app=self._app).flatten_links())
        return found

    def member(self, value: Any) -> Signature:
        """Return a part of this signature as a signature of its app."""
        made: Signature = maybe_signature(value, app=self._app)
        return made

    # -- being a value

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """Return it as a call in Python."""
        all_args, all_kwargs, _ = self.merged(args, kwargs, {}, True)
        words = [repr(arg) for arg in all_args]
        words += [f"{name}={value!r}" for name, value in all_kwargs.items()]
        return f"{self.task}({', '.join(words)})"

    def __repr__(self) -> str:
        return self.reprcall()

    def __deepcopy__(self, memo: dict[int, Any]) -> Signature:
        memo[id(self)] = self
        # The app and the task are not part of the value: copies share them.
        made = Signature.from_dict(copy.deepcopy(dict(self), memo), app=self._app)
        return made.with_type(self._type)

    def __copy__(self) -> Signature:
        return self.clone()

    def __reduce__(self) -> Any:
        return signature, (dict(self),)

    def __json__(self) -> dict[str, Any]:
        return dict(self)


def signature(varies: Any, *args: Any, **kwargs: Any) -> Signature:
    """Return a signature of a task, a task's name, a dict, or (a copy of) a signature."""
    app = kwargs.get("app")
    if isinstance(varies, Signature):
        return varies.clone()
    if isinstance(varies, dict):
        return Signature.from_dict(varies, app=app)
    return Signature(varies, *args, **kwargs)


def maybe_signature(value: Any, app: Any = None, clone: bool = False) -> Any:
    """Return a signature of a dict or signature; None stays None."""
    if value is None or isinstance(value, Signature):
        return value.clone() if clone and value is not None else value
    return signature(value, app=app)


def plain(value: Any) -> Any:
    """Return a signature, or a list of them, as plain dicts for the wire."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


#: Celery's old name.
subtask = signature

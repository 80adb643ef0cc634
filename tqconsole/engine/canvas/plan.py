"""A workflow laid out as what must be written to begin it: messages, and chords to be opened.

A plan is made without any I/O, so that one and the same laying out serves who sends (one trip for
all messages), a run (its messages leave in the trip that settles it) and who runs everything here.
What comes later travels inside the messages: a chain's rest, a chord's body, links.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tqconsole.engine.protocol.identity import new_id


class Call:
    """One message. `target` is a task or its name, `options` those of `apply_async`."""

    __slots__ = ("args", "kwargs", "options", "result", "target")

    def __init__(
        self, target: Any, args: Any, kwargs: Any, options: dict[str, Any], result: Any
    ) -> None:
        self.target = target
        self.args = args
        self.kwargs = kwargs
        self.options = options
        self.result = result


class ChordStart(NamedTuple):
    """A chord that begins: `size` parts are to come back under `group_id`.

    `tree` is the result of the header where it has groups inside (they shape the body's argument),
    else None: then the parts are the argument, in order.
    """

    group_id: str
    size: int
    tree: Any = None


class Plan:
    """What begins a workflow, in order. `root_id`: the root of all calls that name none."""

    def __init__(self, app: Any, root_id: str | None = None) -> None:
        self.app = app
        self.root_id = root_id
        self.calls: list[Call] = []
        self.chords: list[ChordStart] = []

    def add(self, target: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        """Add one message; return its result."""
        task_id = options.get("task_id")
        if task_id is None:
            task_id = options["task_id"] = new_id()
        if not options.get("root_id"):
            # What is sent together has one root, so that it can be seen as one flow.
            options["root_id"] = self.root_id = self.root_id or task_id
        elif self.root_id is None:
            self.root_id = options["root_id"]
        result = result_of(self.app, target, task_id)
        self.calls.append(Call(target, args, kwargs, options, result))
        return result


def result_of(app: Any, target: Any, task_id: str) -> Any:
    """Return the result of a call: it lies in the task's own store where that has one."""
    task = app.tasks.get(target) if isinstance(target, str) else target
    if task is not None and task.has_own_store:
        return app.AsyncResult(task_id, backend=task.backend, task_name=task.name)
    return app.AsyncResult(task_id, task_name=target if isinstance(target, str) else task.name)


def given(options: Any) -> dict[str, Any]:
    """Return the options that say something."""
    return {name: value for name, value in (options or {}).items() if value is not None}


def listed(value: Any) -> list[Any]:
    """Return one or many as a list; None is none."""
    if value is None or value == ():
        return []
    return list(value) if isinstance(value, list | tuple) else [value]

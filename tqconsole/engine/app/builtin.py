"""The tasks every app has: those that Celery's clients send by name for `map`, `starmap`, chunks.

They run in a worker like any other task; the inner task must be registered there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tqconsole.engine.canvas.signature import signature


def add_builtin_tasks(app: Any) -> None:
    """Make Celery's built-in tasks part of `app`."""

    def inner(call: Mapping[str, Any]) -> Any:
        return signature(dict(call), app=app).type

    def xmap(task: Mapping[str, Any], it: list[Any]) -> list[Any]:
        """Call a task with each item."""
        function = inner(task)
        return [function(item) for item in it]

    def xstarmap(task: Mapping[str, Any], it: list[Any]) -> list[Any]:
        """Call a task with each item's parts as its arguments."""
        function = inner(task)
        return [function(*item) for item in it]

    def chunks(task: Mapping[str, Any], it: list[Any], n: int) -> list[Any]:
        """Call a task as starmap does; `n` was the sender's."""
        return xstarmap(task, it)

    def accumulate(*args: Any, index: int | None = None, **kwargs: Any) -> Any:
        """Return the arguments, or the one at `index`."""
        return args if index is None else args[index]

    tasks = {
        "celery.map": xmap,
        "celery.starmap": xstarmap,
        "celery.chunks": chunks,
        "celery.accumulate": accumulate,
    }
    for name, function in tasks.items():
        app.task_from_function(function, {"name": name})

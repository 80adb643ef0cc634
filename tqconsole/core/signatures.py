"""What the tasks are, where their app is at hand: their arguments, and which can be aborted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tqconsole.core.sanitize import clean

#: Reads the tasks by name; it may import the user's modules, so it runs in a thread.
ReadTasks = Callable[[], Mapping[str, Any]]


class Signatures:
    """Task name -> signature. Empty until `read`, which may run in any thread."""

    def __init__(self) -> None:
        self._by_name: dict[str, inspect.Signature] = {}
        self._abortable: frozenset[str] = frozenset()

    def read(self, read_tasks: ReadTasks) -> None:
        """Take the signatures of an app's tasks."""
        found: dict[str, inspect.Signature] = {}
        tasks = read_tasks()
        for name, task in tasks.items():
            try:
                found[name] = inspect.signature(task.run)
            except (AttributeError, TypeError, ValueError):
                continue  # Not a function of Python's: nothing can be said of it.
        self._by_name = found
        self._abortable = frozenset(name for name, task in tasks.items() if _is_abortable(task))

    def text(self, name: str) -> str:
        """Return `(a: int, b: int = 2)`, "" where it is not known."""
        signature = self._by_name.get(name)
        if signature is None:
            return ""
        bare = signature.replace(
            parameters=[
                parameter.replace(annotation=_bare(parameter.annotation))
                for parameter in signature.parameters.values()
            ],
            return_annotation=inspect.Signature.empty,
        )
        return clean(str(bare), 300)

    def is_abortable(self, name: str) -> bool:
        """True for a task that looks whether it is to stop."""
        return name in self._abortable

    def complaint(self, name: str, args: list[Any], kwargs: Mapping[str, Any]) -> str:
        """Return why the task cannot be called so, "" when it can or nothing is known."""
        signature = self._by_name.get(name)
        try:
            if signature is not None:
                signature.bind(*args, **kwargs)
        except TypeError as error:
            return clean(str(error), 200)
        return ""


def _is_abortable(task: Any) -> bool:
    """True for a descendant of ours or of Celery's, which is not imported for the question."""
    return any(kind.__name__ == "AbortableTask" for kind in type(task).__mro__)


class _Bare(str):
    """An annotation that prints as it was written, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _bare(annotation: Any) -> Any:
    return _Bare(annotation) if isinstance(annotation, str) else annotation

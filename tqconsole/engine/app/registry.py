"""The tasks of an app: names, the registry, and how a function becomes a task."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqconsole.engine import current
from tqconsole.engine.app.models import OPTIONS as MODEL_OPTIONS
from tqconsole.engine.app.models import Models
from tqconsole.engine.exceptions import DuplicateTaskNameWarning, NotRegistered
from tqconsole.engine.task import Task


class TaskRegistry(dict[str, Any]):
    """Name -> task. An unknown name raises NotRegistered."""

    def __missing__(self, name: str) -> Any:
        raise NotRegistered(name)

    def register(self, task: Any) -> None:
        """Take in a task instance, or a class that is made one here."""
        instance = task() if isinstance(task, type) else task
        self[instance.name] = instance

    def unregister(self, task: Any) -> None:
        """Drop a task, given it or its name. Raises: NotRegistered."""
        name = getattr(task, "name", task)
        if name not in self:
            raise NotRegistered(name)
        del self[name]

    def regular(self) -> dict[str, Any]:
        """Return all tasks (periodic ones are entries of a schedule, not a kind of task)."""
        return dict(self)


def task_name(app_main: str | None, name: str, module_name: str) -> str:
    """Return `module.function`, with the app's name or the file's in place of `__main__`."""
    if module_name == "__main__":
        module_name = app_main or main_name()
    return f"{module_name}.{name}" if module_name else name


def main_name() -> str:
    """Return how the program that was started would be imported."""
    module = sys.modules.get("__main__")
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.name:
        # `python -m package.module`
        return str(spec.name)
    path = getattr(module, "__file__", None)
    return Path(path).stem if path else "__main__"


def make_task(
    app: Any, function: Callable[..., Any], base: type[Task], options: dict[str, Any]
) -> Any:
    """Return the task a function becomes in `app`, registered and bound.

    The first function under a name stays; a different one under the same name is warned about.
    """
    given = dict(options)
    is_bound = given.pop("bind", False)
    name = given.pop("name", None) or app.gen_task_name(_name_of(function), _module_of(function))
    registry = app.registry
    if name in registry:
        known = registry[name]
        if not _is_same(known, function):
            warnings.warn(
                f"A task {name!r} exists already ({_place(known)}); "
                f"this other function under the name is not used ({_place(function)})",
                DuplicateTaskNameWarning,
                stacklevel=4,
            )
        return known
    asked = {option: given.pop(option) for option in MODEL_OPTIONS if option in given}
    run = function
    if asked.get("pydantic"):
        models = Models(app, name, function, asked, is_bound=is_bound)
        run = models.wrapped()
        given["_models"] = models
    fields = {
        "app": app,
        "name": name,
        "abstract": False,
        "run": run if is_bound else staticmethod(run),
        "__doc__": function.__doc__,
        "__module__": _module_of(function),
        "__wrapped__": function,
        **given,
    }
    task = type(_name_of(function), (base,), fields)()
    registry[name] = task
    task.bind(app)
    return task


def register_task(app: Any, task: Any, options: dict[str, Any]) -> Any:
    """Register a class or an instance with `run`, and return the instance."""
    instance = task() if isinstance(task, type) else task
    for attribute, value in options.items():
        setattr(instance, attribute, value)
    if not instance.name:
        kind = type(instance)
        instance.name = app.gen_task_name(kind.__name__, kind.__module__)
    app.registry[instance.name] = instance
    instance.bind(app)
    return instance


def shared_task(*args: Any, **options: Any) -> Any:
    """Make a function a task of every app: for modules that are used by many projects.

    Returns a stand-in for the current app's task of that name.
    """

    def share(function: Callable[..., Any]) -> Any:
        def join(app: Any) -> Any:
            return app.task_from_function(function, dict(options))

        current.on_app_finalize(join)
        for app in current.known_apps():
            if app.finalized:
                join(app)

        def find() -> Any:
            app = current.get_current_app()
            name = options.get("name") or app.gen_task_name(
                _name_of(function), _module_of(function)
            )
            return app.tasks[name]

        return current.Proxy(find, names=names_of(function))

    if len(args) == 1 and callable(args[0]):
        return share(args[0])
    if args:
        raise TypeError(f"@shared_task takes options by name, not {args!r}")
    return share


def names_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what documentation tools ask of a function, for its stand-in."""
    return {
        "__name__": _name_of(function),
        "__doc__": function.__doc__,
        "__wrapped__": function,
    }


def load_object(path: Any) -> Any:
    """Return the object behind "module:Name" or "module.Name"; what is no text stays as it is."""
    if not isinstance(path, str):
        return path
    module_name, separator, attribute = path.partition(":")
    if not separator:
        module_name, _, attribute = path.rpartition(".")
    found: Any = importlib.import_module(module_name)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _module_of(function: Any) -> str:
    return str(getattr(function, "__module__", None) or "")


def _is_same(task: Any, function: Any) -> bool:
    """Return True when the task was made of that function, also of an earlier import of it."""
    known = getattr(type(task), "__wrapped__", None)
    if known is function:
        return True
    return known is not None and _place(known) == _place(function)


def _place(function: Any) -> str:
    source = getattr(type(function), "__wrapped__", function)
    code = getattr(source, "__code__", None)
    if code is None:
        return f"{_module_of(source)}.{_name_of(source)}"
    return f"{code.co_filename}:{code.co_firstlineno}"

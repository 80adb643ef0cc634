"""The app's side of its tasks: the decorator, the registry, and the moment when tasks are made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, overload

from tqconsole.engine import current, signals
from tqconsole.engine.app import registry as app_registry
from tqconsole.engine.app.builtin import add_builtin_tasks
from tqconsole.engine.app.registry import TaskRegistry, load_object
from tqconsole.engine.task import Task as TaskClass


class TaskHolder:
    """The part of an app that has tasks."""

    autofinalize: bool
    finalized: bool
    main: str | None
    on_after_finalize: signals.Signal
    registry: TaskRegistry
    _bound_task_class: type[TaskClass] | None
    _lock: threading.RLock
    _pending: list[Any]
    _task_class: Any

    @overload
    def task(self, function: Callable[..., Any], /) -> TaskClass: ...

    @overload
    def task(self, **options: Any) -> Callable[[Callable[..., Any]], TaskClass]: ...

    def task(self, *args: Any, **options: Any) -> Any:
        """Make a function a task: `@app.task` or `@app.task(bind=True, max_retries=5, ...)`.

        The task is made at its first use; `lazy=False` makes it now, `shared=True` makes it in
        every app of this process too.
        """
        if len(args) == 1 and callable(args[0]):
            return self._task_later(args[0], options)
        if args:
            raise TypeError(f"@task takes one function, and options by name, not {args!r}")
        return lambda function: self._task_later(function, options)

    def task_from_function(self, function: Callable[..., Any], options: Mapping[str, Any]) -> Any:
        """Return the task a function becomes, made now; the one there is under its name."""
        given = dict(options)
        base = given.pop("base", None) or self.Task
        with self._lock:
            return app_registry.make_task(self, function, base, given)

    def register_task(self, task: Any, **options: Any) -> Any:
        """Register a task class or instance that has `run`, and return the instance."""
        return app_registry.register_task(self, task, options)

    def gen_task_name(self, name: str, module: str) -> str:
        """Return the name of a task that gives itself none. For overriding."""
        return app_registry.task_name(self.main, name, module)

    @property
    def tasks(self) -> TaskRegistry:
        """Name -> task. Looking at it finalises the app. Unknown names raise NotRegistered."""
        if not self.finalized:
            self.finalize(auto=True)
        return self.registry

    @property
    def Task(self) -> type[TaskClass]:
        """The class that this app's tasks are made of."""
        if self._bound_task_class is None:
            base = load_object(self._task_class) or TaskClass
            fields = {"app": self, "abstract": True}
            self._bound_task_class = type(str(base.__name__), (base,), fields)
        return self._bound_task_class

    @Task.setter
    def Task(self, base: type[TaskClass]) -> None:
        self._task_class, self._bound_task_class = base, None

    def finalize(self, auto: bool = False) -> None:
        """Make all tasks that were declared so far, also the shared and built-in ones.

        Raises: RuntimeError when it happens by itself and `autofinalize` is off.
        """
        with self._lock:
            if self.finalized:
                return
            if auto and not self.autofinalize:
                raise RuntimeError("Contract breach: app not finalized")
            self.finalized = True
            add_builtin_tasks(self)
            current.announce_finalized(self)
            while self._pending:
                current.evaluate(self._pending.pop(0))
        self.on_after_finalize.send(sender=self)

    @property
    def current_task(self) -> Any:
        """The task this thread runs, None outside."""
        return current.get_current_task()

    @property
    def current_worker_task(self) -> Any:
        """The task this thread runs for a message, None outside."""
        return current.get_current_worker_task()

    def _task_later(self, function: Callable[..., Any], options: Mapping[str, Any]) -> Any:
        given = dict(options)
        is_lazy = given.pop("lazy", True)
        if given.pop("shared", False):
            current.on_app_finalize(
                lambda app: None if app is self else app.task_from_function(function, given)
            )
        if not is_lazy or self.finalized:
            return self.task_from_function(function, given)
        stand_in = current.Proxy(
            lambda: self.task_from_function(function, given),
            is_final=True,
            names=app_registry.names_of(function),
        )
        self._pending.append(stand_in)
        return stand_in

"""Which app and which task is current here: state of threads, kept in one place.

Celery's users reach their app without passing it on (`shared_task`, `current_app`); that is what
this file is for. The engine itself never asks it: it is given its app.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

#: Set to "1" it makes a missing `app=` an error, to find where an app chain breaks (Celery's name).
TRACE_VARIABLE = "CELERY_TRACE_APP"


class _AwaitedRun:
    """What a thread keeps for itself, kept for one of the many runs of an event loop's thread."""

    __slots__ = ("stacks", "tasks")

    def __init__(self) -> None:
        self.tasks: list[Any] = []
        self.stacks: dict[Any, list[Any]] = {}


_awaited_run: ContextVar[_AwaitedRun | None] = ContextVar("awaited_run", default=None)


class _Thread(threading.local):
    """What one thread has chosen."""

    app: Any = None
    #: True in a thread whose event loop has many runs at once: its stacks are those of contexts.
    is_shared: bool = False

    def __init__(self) -> None:
        self.tasks: list[Any] = []
        self.is_joining_allowed = False

    def __getattr__(self, name: str) -> Any:
        # Asked only where the attribute was taken away, so that other threads pay nothing.
        if name == "tasks":
            return _present_run().tasks
        raise AttributeError(name)


class _Process:
    """What all threads share."""

    def __init__(self) -> None:
        self.default_app: Any = None
        self.make_default: Callable[[], Any] | None = None
        self.apps: weakref.WeakSet[Any] = weakref.WeakSet()
        self.on_finalize: list[Callable[[Any], None]] = []
        self.lock = threading.RLock()


_thread = _Thread()
_process = _Process()


def _present_run() -> _AwaitedRun:
    return _awaited_run.get() or _AwaitedRun()


def share_thread() -> None:
    """Say that this thread's event loop has many runs at once. Before any of them begins."""
    if not _thread.is_shared:
        _thread.is_shared = True
        del _thread.tasks


def is_thread_shared() -> bool:
    """Return True in a thread whose runs are told apart by their contexts."""
    return _thread.is_shared


def begin_awaited_run() -> None:
    """Give the run in the present context stacks of its own."""
    _awaited_run.set(_AwaitedRun())


def stack_of(owner: Any) -> list[Any]:
    """Return what the present run keeps for `owner` in a shared thread."""
    return _present_run().stacks.setdefault(owner, [])


def carried(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` for another thread, where what runs here now is what runs there too."""
    app = _thread.app
    running = [(task, task.request) for task in _thread.tasks]

    def call(*args: Any, **kwargs: Any) -> Any:
        before, _thread.app = _thread.app, app
        for task, request in running:
            push_task(task)
            task.push_request(request)
        try:
            return function(*args, **kwargs)
        finally:
            for task, _ in running:
                task.pop_request()
                pop_task()
            _thread.app = before

    return call


def unwrapped(value: Any) -> Any:
    """Return the object behind a proxy, or what is none itself: for who asks it many things."""
    return value._get_current_object() if type(value) is Proxy else value  # noqa: SLF001 - Celery's name for it


class Proxy:
    """Stands for an object that is found or made when it is first used.

    With `is_final` the object is kept once found (a lazy task); else it is found anew each time
    (the current app).
    """

    __slots__ = ("__weakref__", "_find", "_is_final", "_kept", "_names")

    def __init__(
        self,
        find: Callable[[], Any],
        *,
        is_final: bool = False,
        names: dict[str, Any] | None = None,
    ) -> None:
        object.__setattr__(self, "_find", find)
        object.__setattr__(self, "_is_final", is_final)
        object.__setattr__(self, "_kept", None)
        object.__setattr__(self, "_names", names or {})

    def _get_current_object(self) -> Any:
        kept = object.__getattribute__(self, "_kept")
        if kept is not None:
            return kept
        found = object.__getattribute__(self, "_find")()
        if object.__getattribute__(self, "_is_final"):
            object.__setattr__(self, "_kept", found)
        return found

    def __getattr__(self, name: str) -> Any:
        kept = self._kept
        return getattr(self._get_current_object() if kept is None else kept, name)

    def _named(self, name: str) -> Any:
        # Documentation tools ask these of every function; they must not bring the object about.
        names = object.__getattribute__(self, "_names")
        return names[name] if name in names else getattr(self._get_current_object(), name)

    @property
    def __name__(self) -> str:
        return str(self._named("__name__"))

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]  # read only, unlike a class's
        doc = self._named("__doc__")
        return None if doc is None else str(doc)

    @property
    def __wrapped__(self) -> Any:
        return self._named("__wrapped__")

    @property  # type: ignore[misc]  # read only, unlike an object's
    def __class__(self) -> Any:
        return self._get_current_object().__class__

    @property
    def __dict__(self) -> Any:  # type: ignore[override]  # the other object's
        return self._get_current_object().__dict__

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._get_current_object(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._get_current_object(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the other object."""
        return self._get_current_object()(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._get_current_object())

    def __bool__(self) -> bool:
        return bool(self._get_current_object())

    def __eq__(self, other: object) -> bool:
        return bool(self._get_current_object() == other)

    def __hash__(self) -> int:
        return hash(self._get_current_object())

    def __dir__(self) -> list[str]:
        return dir(self._get_current_object())

    def __getitem__(self, key: Any) -> Any:
        return self._get_current_object()[key]

    def __or__(self, other: Any) -> Any:
        return self._get_current_object() | other

    def __enter__(self) -> Any:
        return self._get_current_object().__enter__()

    def __exit__(self, *error: Any) -> Any:
        return self._get_current_object().__exit__(*error)

    def __reduce__(self) -> Any:
        return self._get_current_object().__reduce__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._get_current_object().__reduce_ex__(protocol)


def evaluate(stand_in: Any) -> Any:
    """Return the object behind a proxy, brought about if need be; other objects as they are."""
    find = getattr(type(stand_in), "_get_current_object", None)
    return stand_in if find is None else find(stand_in)


def get_current_app() -> Any:
    """Return this thread's app: the one set here, else the process's default, made if need be."""
    return _thread.app or get_default_app()


def get_default_app() -> Any:
    """Return the app that threads without one of their own use."""
    with _process.lock:
        if _process.default_app is None:
            if _process.make_default is None:
                raise RuntimeError("no app was made yet: create one with App(...)")
            _process.default_app = _process.make_default()
        return _process.default_app


def set_default_factory(factory: Callable[[], Any]) -> None:
    """Say how a default app is made (the hub does, so that this file stays below it)."""
    _process.make_default = factory


def set_current_app(app: Any) -> None:
    """Make `app` this thread's current app; None: fall back to the default again."""
    _thread.app = app


def set_default_app(app: Any) -> None:
    """Make `app` the one that threads without a choice of their own use."""
    _process.default_app = app


def app_or_default(app: Any = None) -> Any:
    """Return `app`, or the current one when it is None.

    Raises: RuntimeError when it is None and CELERY_TRACE_APP asks for such places.
    """
    if app is not None:
        return app
    if os.environ.get(TRACE_VARIABLE):
        raise RuntimeError("DEFAULT APP: app_or_default() was called without an app")
    return get_current_app()


def register_app(app: Any) -> None:
    """Remember an app, so that shared tasks reach it."""
    _process.apps.add(app)


def deregister_app(app: Any) -> None:
    """Forget a closed app, also as the current or default one."""
    _process.apps.discard(app)
    if _process.default_app is app:
        _process.default_app = None
    if _thread.app is app:
        _thread.app = None


def known_apps() -> list[Any]:
    """Return the apps that are alive in this process."""
    return list(_process.apps)


def on_app_finalize(callback: Callable[[Any], None]) -> None:
    """Call `callback(app)` when any app is finalised, and at once for those that already are."""
    _process.on_finalize.append(callback)


def announce_finalized(app: Any) -> None:
    """Run what waits for an app to be finalised, in the order it was asked for."""
    for callback in tuple(_process.on_finalize):
        callback(app)


def push_task(task: Any) -> None:
    """Note that this thread begins to run `task`."""
    _thread.tasks.append(task)


def pop_task() -> None:
    """Note that the task begun last has ended."""
    _thread.tasks.pop()


def get_current_task() -> Any:
    """Return the task this thread runs, None outside."""
    return _thread.tasks[-1] if _thread.tasks else None


def get_current_worker_task() -> Any:
    """Return the outermost task whose run came from a message, None outside.

    A task that is called as a function inside another one sends in the outer one's name.
    """
    for task in reversed(_thread.tasks):
        if not task.request.called_directly:
            return task
    return None


def is_joining_forbidden() -> bool:
    """Return True while this thread runs a task from a message and was not allowed to wait.

    A task that waits for another one holds a slot that the other may need: with all slots held so,
    nothing goes on.
    """
    if _thread.is_joining_allowed:
        return False
    task = get_current_worker_task()
    return task is not None and not task.request.is_eager


def allow_joining(*, is_allowed: bool) -> bool:
    """Allow or forbid waiting for results inside tasks of this thread; return what held before."""
    before = _thread.is_joining_allowed
    _thread.is_joining_allowed = is_allowed
    return before


#: The current app of the thread that asks.
current_app: Any = Proxy(get_current_app)
#: The task the asking thread runs; false outside of one.
current_task: Any = Proxy(get_current_task)

"""A task: a function with a name, options and a way to be called somewhere else.

The class that users subclass and the decorator makes subclasses of. It sends nothing itself: the
hub that owns it does (`task_run.Hub`). What its run sees stands in `task_run.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from tqconsole.engine import current
from tqconsole.engine.canvas.parallel import chunks, xmap, xstarmap
from tqconsole.engine.canvas.signature import Signature
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.task_parts import take_parts
from tqconsole.engine.task_run import Hub, RunningTask
from tqconsole.engine.unique import check_unique, send_unique

__all__ = ["Context", "Hub", "Task"]

#: What a call's arguments may come in, the usual ones first: each call is asked for it.
LISTS, MAPS = (list, tuple), (dict, Mapping)

#: Attribute of a task -> setting it takes its value from while it has none of its own.
_FROM_SETTINGS = {
    "acks_late": "task_acks_late",
    "acks_on_failure": "task_acks_on_failure",
    "acks_on_failure_or_timeout": "task_acks_on_failure_or_timeout",
    "acks_on_timeout": "task_acks_on_timeout",
    "ignore_result": "task_ignore_result",
    "priority": "task_default_priority",
    "rate_limit": "task_default_rate_limit",
    "reject_on_worker_lost": "task_reject_on_worker_lost",
    "retry_on_worker_lost": "task_retry_on_worker_lost",
    "serializer": "task_serializer",
    "store_eager_result": "task_store_eager_result",
    "store_errors_even_if_ignored": "task_store_errors_even_if_ignored",
    "track_started": "task_track_started",
}

#: Attributes of a task that are defaults of the same option of `apply_async`.
_SENT_OPTIONS = (
    "compression",
    "delivery_mode",
    "exchange",
    "exchange_type",
    "expires",
    "priority",
    "queue",
    "routing_key",
    "serializer",
    "soft_time_limit",
    "time_limit",
)


class Task(RunningTask):
    """A function that can be called elsewhere. Attributes that are None follow the settings."""

    abstract = True

    app: Any = None
    name: str = ""
    run: Callable[..., Any]

    #: Errors that are part of the task's work: logged without traceback.
    throws: tuple[type[BaseException], ...] = ()
    #: Check arguments against the function before sending; None: as the app says.
    typing: bool | None = None
    send_events: bool = True
    #: A class whose methods are told, in the worker, what becomes of each run; or its name.
    Request: Any = None
    #: Longest repr of a result in logs and events.
    resultrepr_maxsize: int = 1024

    acks_late: bool | None = None
    acks_on_failure: bool | None = None
    acks_on_failure_or_timeout: bool | None = None
    acks_on_timeout: bool | None = None
    compression: str | None = None
    delivery_mode: int | str | None = None
    exchange: str | None = None
    exchange_type: str | None = None
    expires: Any = None
    ignore_result: bool | None = None
    priority: int | None = None
    queue: Any = None
    rate_limit: str | float | None = None
    #: "worker": each worker keeps the rate; "cluster": all together do (Redis or SQLite results).
    rate_limit_scope: str = "worker"
    reject_on_worker_lost: bool | None = None
    retry_on_worker_lost: bool | None = None
    routing_key: str | None = None
    serializer: str | None = None
    soft_time_limit: float | None = None
    store_eager_result: bool | None = None
    store_errors_even_if_ignored: bool | None = None
    time_limit: float | None = None
    track_started: bool | None = None
    #: Of calls with one key, one is on its way at a time: True, a text as "{0}", or a function.
    unique_key: Any = None
    #: What becomes of a second one: "refuse" (DuplicateTaskError) or "join" (the first's result).
    unique_policy: str = "refuse"
    #: Seconds after which a key is free, whatever became of its call.
    unique_for_s: float = 3600.0

    _backend: Any = None
    #: What knows the pydantic models of the function; None: they are not asked for.
    _models: Any = None
    _parameters: inspect.Signature | None = None
    #: Numbers of positional arguments that fit without keywords: the usual call is checked by one
    #: comparison, which costs a hundredth of binding it.
    _fitting_counts: range = range(0)

    # -- being part of an app

    def bind(self, app: Any) -> Task:
        """Join `app`: take from its settings what the task leaves open. Called once by the hub."""
        self.app = app
        take_parts(self)
        for attribute, setting in _FROM_SETTINGS.items():
            if getattr(self, attribute) is None:
                setattr(self, attribute, app.conf[setting])
        if self.typing is None:
            self.typing = app.strict_typing
        self._parameters = _parameters_of(self.run)
        self._fitting_counts = _fitting_counts(self._parameters)
        self.annotate(app.annotations)
        if self.unique_key is not None:
            check_unique(self)
            # In place of the method, so that other tasks pay nothing.
            self.apply_async = partial(send_unique, self, self.apply_async)  # type: ignore[method-assign]  # as said
        self.on_bound(app)
        return self

    def annotate(self, annotations: Any) -> None:
        """Replace attributes by what `task_annotations` says of this task ("*" first).

        An attribute called "@name" wraps the method of that name.
        """
        for attributes in _annotations_for(self, annotations):
            for attribute, value in attributes.items():
                if attribute.startswith("@"):
                    method = attribute[1:]
                    setattr(self, method, value(getattr(self, method)))
                else:
                    setattr(self, attribute, value)

    def __init_subclass__(cls, **more: Any) -> None:
        """Take `backend = "redis://..."` of a class or decorator for the URL it is."""
        super().__init_subclass__(**more)
        given = cls.__dict__.get("backend")
        if given is not None and not isinstance(given, property):
            cls._backend = given
            del cls.backend

    @property
    def has_own_store(self) -> bool:
        """True when results of this task go elsewhere than the app's."""
        return self._backend is not None

    @property
    def backend(self) -> Any:
        """Where results of this task go: its own store (opened at the first use) or the app's."""
        if self._backend is None:
            return self.app.backend
        if isinstance(self._backend, str):
            self._backend = self.app.open_store(self._backend)
        return self._backend

    @backend.setter
    def backend(self, backend: Any) -> None:
        self._backend = backend

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here and now, as a function.

        Within a run that came through a `__call__` of the user's it is the end of that way: the
        function then sees the run's own request.
        """
        if self.request.__dict__.pop("awaits_call", False):
            return self.run(*args, **kwargs)
        current.push_task(self)
        self.push_request(args=args, kwargs=kwargs)
        try:
            return self.run(*args, **kwargs)
        finally:
            self.pop_request()
            current.pop_task()

    @property
    def has_own_call(self) -> bool:
        """True when a class of the user's puts something around each run by its own `__call__`."""
        return type(self).__call__ is not Task.__call__

    def enter(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function as a run does: by way of the user's `__call__` where there is one."""
        if not self.has_own_call:
            return self.run(*args, **kwargs)
        self.request.awaits_call = True
        return self(*args, **kwargs)

    # -- calling

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Send a call with these arguments and return its AsyncResult."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> Any:
        """Send a call and return its AsyncResult.

        Options: countdown, eta, expires, queue, exchange, routing_key, priority, headers,
        serializer, compression, ignore_result, time_limit, soft_time_limit, retry, retry_policy,
        and Celery's others.
        Raises: TypeError when the arguments do not fit the function; EncodeError when they cannot
        be serialised; QueueNotFound; OperationalError when the broker cannot be reached. Nothing
        was sent then.
        """
        if self.typing:
            self.check_arguments(args or (), kwargs or {})
        if self._models is not None:
            args, kwargs = self.plain_arguments(args, kwargs, options)
        if self.app.conf["task_always_eager"]:
            given = {"task_id": task_id, "link": link, "link_error": link_error, **options}
            return self.app.apply_eagerly(self, args, kwargs, given)
        shown = shadow or self.shadow_name(args, kwargs, options)
        given = {**self.sent_options(), **options, "task_type": self}
        # Named one by one, since each name that is passed on has its price.
        if shown is not None:
            given["shadow"] = shown
        if task_id is not None:
            given["task_id"] = task_id
        if link is not None:
            given["link"] = link
        if link_error is not None:
            given["link_error"] = link_error
        if producer is not None:
            given["producer"] = producer
        return self.app.send_task(self.name, args, kwargs, **given)

    async def adelay(self, *args: Any, **kwargs: Any) -> Any:
        """Send a call with these arguments, as `delay`, without holding up the event loop."""
        return await self.aapply_async(args, kwargs)

    async def aapply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send a call, as `apply_async`, without holding up the event loop: in a thread."""
        from tqconsole.engine.awaiting import send_in_thread  # noqa: PLC0415 - brings asyncio

        return await send_in_thread(self.apply_async, args, kwargs, **options)

    def apply(
        self,
        args: Any = None,
        kwargs: Any = None,
        link: Any = None,
        link_error: Any = None,
        task_id: str | None = None,
        retries: int = 0,
        throw: bool | None = None,
        **options: Any,
    ) -> Any:
        """Run a call here, as a worker would, and return its EagerResult."""
        options.update(link=link, link_error=link_error, task_id=task_id, retries=retries)
        return self.app.apply_eagerly(self, args, kwargs, {**options, "throw": throw})

    def check_arguments(self, args: Any, kwargs: Any) -> None:
        """Raise TypeError unless the function can be called so."""
        if not isinstance(args, LISTS) or not isinstance(kwargs, MAPS):
            wrong = kwargs if isinstance(args, LISTS) else args
            raise TypeError(
                f"{self.name}() takes a list or tuple of arguments and a map of keywords,"
                f" not {wrong!r:.60}"
            )
        if self._parameters is None or (not kwargs and len(args) in self._fitting_counts):
            return
        try:
            self._parameters.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}() {error}") from None

    def plain_arguments(self, args: Any, kwargs: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        """Return the arguments as they are sent: models dumped, unless pickle carries them."""
        if self._models is None or (options.get("serializer") or self.serializer) == "pickle":
            return args, kwargs
        dumped: tuple[Any, Any] = self._models.dumped(args, kwargs)
        return dumped

    def sent_options(self) -> dict[str, Any]:
        """Return the task's own defaults of `apply_async` options."""
        options = {
            name: value for name in _SENT_OPTIONS if (value := getattr(self, name)) is not None
        }
        options["ignore_result"] = self.ignore_result
        return options

    def shadow_name(self, args: Any, kwargs: Any, options: dict[str, Any]) -> str | None:
        """Return another name for logs and events; None for the task's own. For overriding."""
        return None

    def signature(self, args: Any = None, *starargs: Any, **starkwargs: Any) -> Signature:
        """Return a call of this task that is not sent yet."""
        starkwargs.setdefault("app", self.app)
        return Signature(self, args, *starargs, **starkwargs)

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        """Return a call with these arguments; earlier results are put in front of them."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Signature:
        """Return a call with exactly these arguments, whatever came before."""
        return self.signature(args, kwargs, immutable=True)

    subtask = signature

    def map(self, it: Iterable[Any]) -> Signature:
        """Return one call that calls this task with each item, one after another."""
        return xmap(self.s(), it, app=self.app)

    def starmap(self, it: Iterable[Any]) -> Signature:
        """Return one call that calls this task with each item's parts, one after another."""
        return xstarmap(self.s(), it, app=self.app)

    def chunks(self, it: Iterable[Any], n: int) -> chunks:
        """Return a group of `starmap`s, of `n` items each."""
        return chunks(self.s(), it, n, app=self.app)

    def AsyncResult(self, task_id: str, **fields: Any) -> Any:
        """Return the result of a call of this task by its id."""
        return self.app.AsyncResult(task_id, backend=self.backend, task_name=self.name, **fields)

    # -- being a value

    @property
    def __name__(self) -> str:
        return str(getattr(self.run, "__name__", self.name))

    def __repr__(self) -> str:
        return f"<@task: {self.name}>" if self.name else f"<unbound {type(self).__name__}>"

    def __reduce__(self) -> Any:
        # By name: the other end has the app, and a task is the app's.
        return _task_by_name, (self.name,)


def _task_by_name(name: str) -> Any:
    return current.get_current_app().tasks[name]


def _parameters_of(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        # Some built-in callables tell nothing; then everything is allowed.
        return None


def _fitting_counts(signature: inspect.Signature | None) -> range:
    if signature is None:
        return range(0)
    required_count = most_count = 0
    for parameter in signature.parameters.values():
        is_required = parameter.default is parameter.empty
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            required_count += is_required
            most_count += 1
        elif parameter.kind is parameter.KEYWORD_ONLY and is_required:
            return range(0)
    return range(required_count, most_count + 1)


def _annotations_for(task: Task, annotations: Any) -> Iterator[dict[str, Any]]:
    if not annotations:
        return
    for entry in annotations if isinstance(annotations, list | tuple) else (annotations,):
        if isinstance(entry, dict):
            found = [entry.get("*"), entry.get(task.name)]
        elif hasattr(entry, "annotate"):
            found = [
                entry.annotate_any() if hasattr(entry, "annotate_any") else None,
                entry.annotate(task),
            ]
        else:
            raise ImproperlyConfigured(f"task_annotations: {entry!r} has no annotate()")
        yield from (attributes for attributes in found if attributes)

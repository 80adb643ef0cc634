"""The side of a task that its run sees: the request, retrying, telling how far it is, the handlers.

In the process that runs tasks, a stack of requests for each thread says which run is on; the runner
pushes and pops them.
"""

from __future__ import annotations

import logging
import random
import threading
from typing import Any, NoReturn, Protocol

from tqconsole.engine import current
from tqconsole.engine.canvas.join import ends_in_group, last_call
from tqconsole.engine.canvas.plan import given
from tqconsole.engine.canvas.signature import Signature
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import (
    Directive,
    ImproperlyConfigured,
    MaxRetriesExceededError,
    OperationalError,
    Retry,
    SoftTimeLimitExceeded,
)
from tqconsole.engine.protocol.identity import derived_id

logger = logging.getLogger(__name__)


class Hub(Protocol):
    """What a task needs of the app that owns it."""

    conf: Any

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send a call and return its AsyncResult."""
        ...

    def apply_eagerly(self, task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        """Run a call here and return its EagerResult."""
        ...

    def publish_retry(self, request: Context, retry: Retry) -> None:
        """Publish the next attempt of a run at once."""
        ...

    def replace_run(self, sig: Any, request: Context) -> BaseException:
        """Return the directive by which a run hands its place to a workflow."""
        ...

    def grow_chord(self, group_id: str, task_id: str) -> None:
        """Have a chord wait for one more part."""
        ...

    def store_state(self, task_id: str, state: str, meta: Any, request: Context) -> None:
        """Store a record that is no end."""
        ...

    def send_event_of(self, hostname: str | None, event_type: str, **fields: Any) -> None:
        """Tell whoever listens, in the name of a node."""
        ...


class RunningTask:
    """What a task can say and do while it runs."""

    app: Any = None
    name: str = ""

    #: How often `retry` may ask for another run; None: without end.
    max_retries: int | None = 3
    #: Seconds before a retry that names no time.
    default_retry_delay: float = 180
    #: Remember what a run has sent (the result's children).
    trail: bool = True
    #: Errors after which the task runs again by itself, and those among them that do not.
    autoretry_for: tuple[type[BaseException], ...] = ()
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    retry_kwargs: dict[str, Any] = {}  # noqa: RUF012 - read only; replaced as a whole
    #: True or a factor in seconds: delays double with each retry.
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600
    #: Spread the delays evenly between 0 and what the backoff says.
    retry_jitter: bool = True

    MaxRetriesExceededError = MaxRetriesExceededError

    def __init__(self) -> None:
        self._runs = _Runs()

    @property
    def backend(self) -> Any:
        """Where results of this task go."""
        return self.app.backend

    def signature(self, args: Any = None, *starargs: Any, **starkwargs: Any) -> Signature:
        """Return a call of this task that is not sent yet."""
        starkwargs.setdefault("app", self.app)
        return Signature(self, args, *starargs, **starkwargs)

    @property
    def request(self) -> Context:
        """The run this thread is in; outside of one, a request that says `called_directly`."""
        stack = self._runs.stack
        return stack[-1] if stack else self._runs.outside

    def push_request(self, *fields: Any, **more: Any) -> None:
        """Begin a run in this thread: with a Context, or with the fields of one."""
        given = fields[0] if len(fields) == 1 and isinstance(fields[0], Context) else None
        self._runs.stack.append(given or Context(*fields, **more))

    def pop_request(self) -> None:
        """End the run begun last in this thread."""
        self._runs.stack.pop()

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: Any = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """Ask for another run of this call; write `raise self.retry(...)`.

        The same id runs again after `countdown` seconds or at `eta` (else `default_retry_delay`).
        The runner sends it when the raised Retry reaches it; with throw=False it is sent here.
        Raises: Retry; after the last one `exc`, or MaxRetriesExceededError without one.
        """
        request = self.request
        if request.called_directly:
            _raise_cause(exc or Retry("Task can be retried", None))
        if not eta and countdown is None:
            countdown = self.default_retry_delay
        allowed_count = self.max_retries if max_retries is None else max_retries
        retries = (request.retries or 0) + 1
        signature = self.signature_from_request(
            request, args, kwargs, countdown=countdown, eta=eta, retries=retries, **options
        )
        if allowed_count is not None and retries > allowed_count:
            if exc is not None:
                _raise_cause(exc)
            raise MaxRetriesExceededError(
                f"Can't retry {self.name}[{request.id}] args:{signature.args} "
                f"kwargs:{signature.kwargs}",
                task_args=signature.args,
                task_kwargs=signature.kwargs,
            )
        retry = Retry(exc=exc, when=eta or countdown, is_eager=request.is_eager, sig=signature)
        if throw:
            _raise_cause(retry)
        if not request.is_eager:
            self.app.publish_retry(request, retry)
        return retry

    def autoretry(self, error: BaseException) -> BaseException:
        """Return what is to stand for `error`, which the run raised: a Retry, or what ends the run.

        The runner calls it for every Exception of a task with `autoretry_for`.
        """
        if not isinstance(error, tuple(self.autoretry_for)) or isinstance(
            error, (Directive, SoftTimeLimitExceeded, *self.dont_autoretry_for)
        ):
            return error
        options = dict(self.retry_kwargs)
        if self.retry_backoff:
            options["countdown"] = self.backoff_s(self.request.retries or 0)
        try:
            return self.retry(exc=error, **options)
        except Exception as outcome:  # noqa: BLE001 - Retry, or the error that ends the run
            return outcome

    def backoff_s(self, retries: int, rng: random.Random | None = None) -> float:
        """Return the delay before retry number `retries` + 1, in seconds."""
        factor = 1.0 if self.retry_backoff is True else max(1.0, float(self.retry_backoff))
        # Beyond 2**64 seconds only the maximum counts; a float would overflow some day.
        delay_s = min(self.retry_backoff_max, factor * 2 ** min(retries, 64))
        if self.retry_jitter:
            delay_s = (rng or random.SystemRandom()).randrange(int(delay_s) + 1)
        return max(0, int(delay_s))

    def signature_from_request(
        self,
        request: Context | None = None,
        args: Any = None,
        kwargs: Any = None,
        queue: Any = None,
        **extra: Any,
    ) -> Signature:
        """Return the call that sends a run again, to where it came from."""
        run = request or self.request
        options = {**run.as_execution_options(), **extra}
        delivery = run.delivery_info or {}
        if delivery.get("priority") is not None:
            options.setdefault("priority", delivery["priority"])
        routing_key = delivery.get("routing_key")
        if queue:
            options["queue"] = queue
        elif delivery.get("exchange"):
            options.update(exchange=delivery["exchange"], routing_key=routing_key)
        elif routing_key:
            options["queue"] = routing_key
        return self.signature(
            run.args if args is None else args,
            run.kwargs if kwargs is None else kwargs,
            options=options,
        )

    def replace(self, sig: Any) -> Any:
        """Hand this run's place to a signature, which goes on under its id: in its chain, its
        group, its chord, with its links. Write `raise self.replace(...)` or `return ...`.

        Raises: Replaced (an Ignore) inside a run; ImproperlyConfigured for what cannot stand here.
        Called as a function, it runs the signature here and returns its value.
        """
        request = self.request
        if "chord" in sig.options:
            raise ImproperlyConfigured("A signature replacing a task must not be part of a chord")
        if sig.subtask_type == "chain" and not sig.tasks:
            raise ImproperlyConfigured("Cannot replace with an empty chain")
        if request.called_directly:
            return sig.apply().get()
        return self.on_replace(_in_place_of(request, sig, self.app))

    def add_to_chord(self, sig: Any, lazy: bool = False) -> Any:
        """Add a call to the chord that this run is part of: its value comes last. Return its
        result, or with `lazy` the signature, which must be sent then.

        Raises: ValueError outside of a chord; NotSupportedError, OperationalError.
        """
        request = self.request
        if not request.chord or not request.group:
            raise ValueError("Current task is not member of any chord")
        # When this run comes again, it adds the same calls.
        number = request.__dict__["added_count"] = request.__dict__.get("added_count", 0) + 1
        sig.set(
            task_id=derived_id(f"{request.id}:{number}"),
            group_id=request.group,
            group_index=None,
            chord=request.chord,
            root_id=request.root_id,
        )
        self.app.grow_chord(str(request.group), sig.options["task_id"])
        return sig if lazy else sig.delay()

    def update_state(
        self,
        task_id: str | None = None,
        state: str | None = None,
        meta: Any = None,
        **fields: Any,
    ) -> None:
        """Store a state of one's own for this run; a stored SUCCESS stays."""
        run = self.request
        wanted_id = task_id or run.id
        if wanted_id is None:
            raise ValueError("update_state outside of a run needs a task_id")
        if fields:
            run = Context(run.__dict__, **fields)
        self.app.store_state(wanted_id, state or "PROGRESS", meta, run)

    def progress(self, done: float, total: float | None = None, **fields: Any) -> None:
        """Tell how far this run is: a `task-progress` event, and a PROGRESS record with results on.

        Outside of a run it does nothing, so that the function stays callable as one.
        """
        run = self.request
        if run.id is None or run.called_directly:
            return
        meta = {"done": done, "total": total, **fields}
        try:
            self.send_event("task-progress", **meta)
        except OperationalError as error:
            # Only news: the work itself goes on.
            logger.warning("progress of %s[%s] was not told: %s", self.name, run.id, error)
        if not run.ignore_result and not run.is_eager and self.backend.is_enabled:
            self.update_state(state="PROGRESS", meta=meta)

    def send_event(
        self, type_: str, retry: bool = True, retry_policy: Any = None, **fields: Any
    ) -> None:
        """Send an event about this run to whoever listens."""
        run = self.request
        self.app.send_event_of(
            run.hostname, type_, **{"uuid": run.id, "retries": run.retries, **fields}
        )

    def add_trail(self, result: Any) -> Any:
        """Note the result of what this run has sent."""
        if self.trail:
            self.request.add_trail(result)
        return result

    # -- handlers, for overriding

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Run before the function."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Run after the function returned."""

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Run when another run was asked for."""

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Run when the function failed."""

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Run last, whatever became of the run."""

    def on_replace(self, sig: Any) -> Any:
        """Send what replaces this run. For overriding. Raises: Replaced."""
        raise self.app.replace_run(sig, self.request)

    def on_bound(self, app: Any) -> None:
        """Run once when the task has joined its app."""


class _Runs(threading.local):
    """The runs a thread is in, the innermost last."""

    def __init__(self) -> None:
        if not current.is_thread_shared():
            self.stack: list[Context] = []
        self.outside = Context()

    def __getattr__(self, name: str) -> Any:
        if name == "stack":
            return current.stack_of(self)
        raise AttributeError(name)


def _in_place_of(request: Context, sig: Any, app: Any) -> Any:
    """Return a signature that stands where a run stood."""
    # What comes after this run gets one value: the list.
    one_value = app.tasks["celery.accumulate"].s(index=0)
    sig = sig | one_value if ends_in_group(sig) else sig.clone()
    for callback in request.callbacks or ():
        sig.link(sig.member(callback))
    for errback in request.errbacks or ():
        sig.link_error(sig.member(errback))
    sig.freeze(request.id)
    last_call(sig).options["reply_to"] = request.reply_to
    place = {
        "chain": request.chain,
        "chord": request.chord,
        "group_id": request.group,
        "group_index": request.group_index,
        "root_id": request.root_id,
    }
    sig.set(**given(place))
    nesting = (request.replaced_task_nesting or 0) + 1
    rest = [sig.member(step) for step in request.chain or ()]
    for step in (sig, *(sig.tasks if sig.subtask_type == "chain" else ()), *rest):
        step.set(replaced_task_nesting=nesting)
    return sig


def _raise_cause(error: BaseException) -> NoReturn:
    """Raise `error` from what is being handled, so that its traceback tells the whole story."""
    raise error

"""One run, from the payload's bytes to the outcome's: the edge between the engine and user code.

It runs wherever the pool runs it: in a prefork child, a thread, or the worker's own thread. It
never raises, whatever the message holds and the task does; what it cannot decode comes back as a
REJECTED outcome whose note is the reason for the dead letter. It settles nothing and publishes
nothing: all that goes back in the outcome, and leaves in the trip that settles the message.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tqconsole.engine import current, states
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import (
    Ignore,
    RefusedError,
    Reject,
    Replaced,
    Retry,
    SoftTimeLimitExceeded,
    WorkerLostError,
)
from tqconsole.engine.middleware import chain as chain_module
from tqconsole.engine.middleware import handlers, limits
from tqconsole.engine.middleware.base import Run, RunHub
from tqconsole.engine.middleware.chain import Chain, Plan
from tqconsole.engine.middleware.chords import refuse_twin
from tqconsole.engine.middleware.defaults import default_chain
from tqconsole.engine.middleware.einfo import ExceptionInfo
from tqconsole.engine.middleware.fallout import failure_writes, fallout_of
from tqconsole.engine.middleware.links import fail_links
from tqconsole.engine.pools.alarm import find_alarm
from tqconsole.engine.pools.process import set_process_title
from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.limits import Reason
from tqconsole.engine.protocol.saferepr import saferepr
from tqconsole.engine.protocol.task import decode_body
from tqconsole.engine.protocol.transfer import Delivery, Publication
from tqconsole.engine.signals import (
    Signal,
    task_internal_error,
    worker_before_create_process,
    worker_process_init,
    worker_process_shutdown,
)
from tqconsole.engine.worker.inspecting import listen_to_usr2
from tqconsole.engine.worker.outcome import Outcome, encode_outcome
from tqconsole.engine.worker.payload import Packed, RunPayload, decode_payload
from tqconsole.engine.worker.request import request_of
from tqconsole.engine.worker.values import NOTHING_AFTER, After

logger = logging.getLogger(__name__)

#: Frames of these files above a task's own are cut from tracebacks.
_OWN_FILES = frozenset(module.__file__ or "" for module in (chain_module, handlers, limits)) | {
    __file__
}


class RunnerHub(RunHub, Protocol):
    """What running tasks needs of the app."""

    accept_content: frozenset[str]
    on_after_fork: Signal


class TaskRunner:
    """Payload -> outcome, for the tasks of one app. Made before the pool, used in its slots."""

    def __init__(self, app: RunnerHub, hostname: str, chain: Chain | None = None) -> None:
        self._app = app
        self._hostname = hostname
        self._chain = chain or default_chain(app)
        self._clock = app.wall_clock
        self._accept: frozenset[str] | None = None

    def before_fork(self) -> None:
        """Tell that a child is about to be made: for `PoolOptions.before_fork`."""
        worker_before_create_process.send(sender=None)

    def start_child(self) -> None:
        """Set up a process of the pool: for `PoolOptions.on_child_start`."""
        if find_alarm() is not None:
            name = multiprocessing.current_process().name
            set_process_title(f"[celeryd: {self._hostname}:{name}]", name)
            listen_to_usr2()
        self._app.on_after_fork.send(sender=self._app)
        worker_process_init.send(sender=None)

    def stop_child(self) -> None:
        """Tear down a process of the pool: for `PoolOptions.on_child_stop`."""
        worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)

    def __call__(self, packed: Packed) -> bytes:
        """Run one task in a process of the pool. Never raises."""
        try:
            return encode_outcome(self.outcome_of(decode_payload(packed)))
        except BaseException as error:  # noqa: BLE001 - logged there
            return encode_outcome(failed_machinery(error))

    def run_here(self, payload: RunPayload) -> Outcome:
        """Run one task in the worker's own process. Never raises."""
        try:
            return self.outcome_of(payload)
        except BaseException as error:  # noqa: BLE001 - logged there
            return failed_machinery(error)

    def outcome_of(self, payload: RunPayload) -> Outcome:
        """Return what became of a run."""
        if self._accept is None:
            self._accept = self._app.accept_content
        try:
            body = decode_body(payload.message, self._accept)
            request = request_of(payload, body)
        except RefusedError as error:
            return Outcome(states.REJECTED, 0.0, text=error.detail, note=str(error.reason))
        name = str(request.task)
        task = self._app.tasks.get(name)
        if task is None:
            return Outcome(states.REJECTED, 0.0, text=name, note=Reason.UNKNOWN_TASK.value)
        if request.ignore_result is None:
            request.ignore_result = bool(task.ignore_result)
        run = Run(task, request, payload.redelivered)
        # Worked out at a task's first run, in the process that runs it.
        plan = self._chain.plan_of(task)
        current.set_current_app(self._app)
        current.push_task(task)
        task.push_request(request)
        try:
            self._perform(run, plan)
            return outcome_of_run(run, is_told=payload.is_told)
        finally:
            task.pop_request()
            current.pop_task()
            if run.einfo is not None:
                run.einfo.forget_frames()

    # -- the steps of a run

    def _perform(self, run: Run, plan: Plan) -> None:
        request, mono = run.request, self._clock.mono
        began_mono = mono()
        try:
            try:
                if request.headers:
                    refuse_twin(self._app, request)
                for hook in plan.before_run:
                    hook(run)
                run.value = plan.function(*request.args, **request.kwargs)
            finally:
                run.runtime_s = mono() - began_mono
        except BaseException as error:  # noqa: BLE001 - the run's end, whatever it is
            self._end(run, plan, error)
        else:
            self._succeed(run, plan)
        self._finish(run, plan)

    def _finish(self, run: Run, plan: Plan) -> None:
        for hook in plan.after_run:
            try:
                hook(run)
            except Exception as error:  # noqa: BLE001 - logged there; the outcome stands
                self._report(run, error)

    def _succeed(self, run: Run, plan: Plan) -> None:
        run.state = states.SUCCESS
        try:
            for hook in plan.after_success:
                hook(run)
        except Exception as error:  # noqa: BLE001 - it becomes the run's end
            # The value cannot be recorded or sent on (EncodeError): the run has failed after all.
            run.results.clear()
            run.publications.clear()
            self._end(run, plan, error)

    def _end(self, run: Run, plan: Plan, error: BaseException) -> None:
        """Decide what an error, or a directive, makes of the run."""
        if isinstance(error, Ignore):
            run.state, run.value = states.IGNORED, error
            if isinstance(error, Replaced):
                run.publications.extend(error.publications)
        elif isinstance(error, Reject):
            run.state, run.value = states.REJECTED, error
            run.einfo = ExceptionInfo(error, _OWN_FILES)
        elif isinstance(error, Retry):
            self._retry(run, plan, error)
        elif not isinstance(error, Exception):
            # SystemExit and its like would end whoever reads the record, or this process.
            lost = WorkerLostError(f"The task tried to end its process: {error!r}")
            self._fail(run, plan, lost, error)
        else:
            stand_in = plan.steered(run, error)
            if isinstance(stand_in, Retry):
                self._retry(run, plan, stand_in)
            else:
                self._fail(run, plan, stand_in)

    def _retry(self, run: Run, plan: Plan, retry: Retry) -> None:
        run.state, run.value = states.RETRY, retry
        run.einfo = ExceptionInfo(retry, _OWN_FILES)
        try:
            for hook in plan.after_retry:
                hook(run)
        except Exception as error:  # noqa: BLE001 - it becomes the run's end
            run.results.clear()
            run.publications.clear()
            self._fail(run, plan, error)

    def _fail(
        self, run: Run, plan: Plan, error: BaseException, cause: BaseException | None = None
    ) -> None:
        run.state, run.value = states.FAILURE, error
        if cause is not None:
            error.__traceback__ = cause.__traceback__
        run.einfo = ExceptionInfo(error, _OWN_FILES)
        for hook in plan.after_failure:
            try:
                hook(run)
            except Exception as failure:  # noqa: BLE001 - logged there; the outcome stands
                self._report(run, failure)

    def _report(self, run: Run, error: Exception) -> None:
        """Tell that the engine's own code around a run failed."""
        request, einfo = run.request, ExceptionInfo(error)
        einfo.internal = True
        logger.error(
            "Task %s[%s]: the engine failed\n%s", run.task.name, request.id, einfo.traceback
        )
        task_internal_error.send(
            sender=run.task,
            task_id=request.id,
            args=request.args,
            kwargs=request.kwargs,
            request=request,
            exception=error,
            traceback=error.__traceback__,
            einfo=einfo,
        )


def make_runner(app: RunnerHub, hostname: str) -> TaskRunner:
    """Return the runner of an app's tasks: a pool's `Runner`, bytes to bytes."""
    return TaskRunner(app, hostname)


def make_failure_links(
    app: RunnerHub, hostname: str
) -> Callable[[Delivery, TaskHeader, BaseException], Sequence[Publication]]:
    """Return what gives the errbacks of a task that the worker itself has to fail (its process
    died, its time was up): those that are sent, as messages; those that are called are called.

    It reads the body, which the loop has not done. Never raises.
    """

    def links_of(
        delivery: Delivery, header: TaskHeader, error: BaseException
    ) -> Sequence[Publication]:
        request = _request_in(app, hostname, delivery, header)
        if request is None or not request.errbacks:
            return ()
        return fail_links(app, request, error, "")

    return links_of


def make_fallout(
    app: RunnerHub, hostname: str
) -> Callable[[Delivery, TaskHeader, str, BaseException], After]:
    """Return what tells how the end of a task that the worker itself ends strikes its chord and the
    rest of its chain. It reads the body, which the loop has not done. Never raises.
    """

    def after(delivery: Delivery, header: TaskHeader, state: str, error: BaseException) -> After:
        request = _request_in(app, hostname, delivery, header)
        if request is None or not (request.chord or request.chain):
            return NOTHING_AFTER
        try:
            fallout = fallout_of(app, request, state, error)
            writes = failure_writes(app, fallout.calls, error, "")
        except Exception:
            # A user's signature at the edge: the task's own end is recorded all the same.
            logger.exception("What comes after task %s cannot be told of its end", request.id)
            return NOTHING_AFTER
        return After(tuple(writes), tuple(fallout.parts))

    return after


def _request_in(
    app: RunnerHub, hostname: str, delivery: Delivery, header: TaskHeader
) -> Context | None:
    """Return the request in a message that no child has read; None when it cannot be read."""
    payload = RunPayload(
        delivery.message,
        hostname,
        delivery.queue,
        delivery.exchange,
        delivery.routing_key,
        header.priority,
        delivery.is_redelivered,
    )
    try:
        request: Context = request_of(payload, decode_body(delivery.message, app.accept_content))
    except RefusedError:
        return None
    request.ignore_result = bool(request.ignore_result)
    return request


def failed_machinery(error: BaseException) -> Outcome:
    """The edge: the machinery itself failed. The message counts as a failed run."""
    logger.error("A run failed outside of its task", exc_info=error)
    return Outcome(states.FAILURE, 0.0, saferepr(error), ExceptionInfo(error).traceback)


def outcome_of_run(run: Run, *, is_told: bool) -> Outcome:
    """Return the run as the loop needs it. `is_told`: somebody wants to read the value."""
    task, value, einfo = run.task, run.value, run.einfo
    if run.state == states.SUCCESS:
        text = saferepr(value, task.resultrepr_maxsize) if is_told else ""
        return Outcome(
            states.SUCCESS,
            run.runtime_s,
            text,
            results=tuple(run.results),
            publications=tuple(run.publications),
        )
    note = ""
    shown: Any = value
    if run.state == states.RETRY:
        note = _safe_text(value)
        # An explicit message or no cause leaves the directive itself to speak.
        shown = value if value.exc is None else value.exc
    elif run.state == states.REJECTED:
        shown = value.reason
    return Outcome(
        state=run.state,
        runtime_s=run.runtime_s,
        text=saferepr(shown, task.resultrepr_maxsize),
        traceback="" if einfo is None else einfo.traceback,
        note=note,
        is_expected=run.state == states.FAILURE and isinstance(value, tuple(task.throws)),
        is_requeued=run.state == states.REJECTED and bool(value.requeue),
        is_timeout=isinstance(value, SoftTimeLimitExceeded),
        results=tuple(run.results),
        publications=tuple(run.publications),
    )


def _safe_text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - a user's cause may fail in its own repr
        return f"{type(error).__name__}: {type(failure).__name__} in its text"

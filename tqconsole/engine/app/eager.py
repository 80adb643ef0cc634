"""A run here and now: what `apply()` and `task_always_eager` do, for tests and small programs.

It follows what a worker does around a run as far as the caller can see: handlers, signals, retries,
links, workflows and states. There is no message, no time limit and no process of its own.
"""

from __future__ import annotations

import inspect
import logging
import socket
import threading
import traceback
from collections import deque
from typing import Any, Protocol

from tqconsole.engine import current, serialization, states
from tqconsole.engine.app import workflows
from tqconsole.engine.canvas.plan import Call, Plan, listed
from tqconsole.engine.canvas.signature import Signature, signature
from tqconsole.engine.context import Context
from tqconsole.engine.coroutine import run_to_end
from tqconsole.engine.exceptions import ChordError, Ignore, Reject, Replaced, Retry
from tqconsole.engine.middleware.fallout import Fallout, ReturnedPart, fail_call, fallout_of
from tqconsole.engine.middleware.links import is_called
from tqconsole.engine.protocol.chord import shaped
from tqconsole.engine.protocol.identity import new_id
from tqconsole.engine.result import EagerResult
from tqconsole.engine.signals import (
    task_failure,
    task_postrun,
    task_prerun,
    task_retry,
    task_success,
)
from tqconsole.engine.task import Task

logger = logging.getLogger(__name__)


class EagerApp(Protocol):
    """What an eager run needs of the App."""

    conf: Any

    @property
    def tasks(self) -> Any:
        """Name -> task."""
        ...

    def store_outcome(self, task: Any, run: Context, state: str, value: Any, trace: str) -> None:
        """Store the record of an end."""
        ...


def apply_eagerly(
    app: EagerApp, task: Task, args: Any, kwargs: Any, options: dict[str, Any]
) -> EagerResult:
    """Run `task` and what follows it, and return its result; retries run at once, one after
    another.

    Raises what the task raised when `throw` (else `task_eager_propagates`) says so.
    """
    bench = Bench(app)
    task_id = options.get("task_id") or new_id()
    result = bench.run(task, args, kwargs, {**options, "task_id": task_id})
    bench.run_all()
    return bench.results.get(task_id, result)


def apply_canvas(
    app: EagerApp, sig: Signature, args: Any, kwargs: Any, options: dict[str, Any]
) -> Any:
    """Run a workflow and return its result, as it would be sent."""
    workflows.take_own_options(options)
    throw = options.pop("throw", None)
    plan, result = workflows.plan_of(app, sig, args, kwargs, options)
    bench = Bench(app, throw)
    bench.add(plan)
    bench.run_all()
    return None if result is None else workflows.told_result(sig, bench.settled(result))


class Bench:
    """Runs the calls of a workflow one after another, and what comes of them, until nothing is
    left: what workers, broker and store do together.
    """

    def __init__(self, app: EagerApp, throw: bool | None = None) -> None:
        self._app = app
        self._is_thrown = app.conf.task_eager_propagates if throw is None else throw
        self._pending: deque[Call] = deque()
        self._chords: dict[str, _Chord] = {}
        #: Task id -> what its run became.
        self.results: dict[str, EagerResult] = {}

    def add(self, plan: Plan) -> None:
        """Have a plan's calls run, in order."""
        for start in plan.chords:
            self._chords.setdefault(start.group_id, _Chord(start.size, start.tree))
        self._pending.extend(plan.calls)

    def grow(self, group_id: str) -> None:
        """Have a chord wait for one more part."""
        self._chords[group_id].size += 1

    def run_all(self) -> None:
        """Run what is to be run, and what that brings about."""
        while self._pending:
            call = self._pending.popleft()
            target = call.target
            task = self._app.tasks[target] if isinstance(target, str) else target
            throw = {"throw": self._is_thrown}
            self.run(task, call.args, call.kwargs, {**task.sent_options(), **call.options, **throw})

    def run(self, task: Task, args: Any, kwargs: Any, options: dict[str, Any]) -> EagerResult:
        """Run one call, and put what follows it among what is to be run. Raises as `throw` says."""
        app, throw = self._app, options.get("throw")
        if app.conf.task_always_eager:
            args, kwargs = _as_received(task, args, kwargs)
        run = _request(task, args, kwargs, options)
        _benches.stack.append(self)
        try:
            while True:
                state, value, trace = _run_once(task, run)
                if state != states.RETRY or value.sig is None:
                    break
                run = _next_request(run, value.sig)
            result = EagerResult(str(run.id), value, state, trace or None, task.name, app)
            if not isinstance(value, Replaced):
                self.results[str(run.id)] = result
            self._follow(run, state, value, trace)
        finally:
            _benches.stack.pop()
        if task.store_eager_result and not run.ignore_result:
            app.store_outcome(task, run, state, value, trace)
        is_thrown = app.conf.task_eager_propagates if throw is None else throw
        if state in states.PROPAGATE_STATES and is_thrown and isinstance(value, BaseException):
            raise value
        return result

    def settled(self, result: Any) -> Any:
        """Return a result that stands for the future as what has become of it."""
        if result is None:
            return None
        members = getattr(result, "results", None)
        if members is not None:
            made = result.app.GroupResult(result.id, [self.settled(it) for it in members])
        else:
            pending = EagerResult(result.id, None, states.PENDING, None, None, self._app)
            made = self.results.get(result.id, pending)
        made.parent = self.settled(result.parent)
        return made

    # -- what follows a run

    def _follow(self, run: Context, state: str, value: Any, trace: str) -> None:
        lineage = {"parent_id": run.id, "root_id": run.root_id}
        if isinstance(value, Replaced):
            self._send(value.sig, (), {})
        elif state == states.SUCCESS:
            for callback in run.callbacks or ():
                self._send(callback, (value,), lineage)
            if run.chain:
                self._send(run.chain[-1], (value,), {"chain": run.chain[:-1], **lineage})
            if run.chord and run.group:
                where = (str(run.id), run.group, run.group_index, str(run.root_id), run.chord)
                self._return(ReturnedPart(*where, state, value))
        elif state in (states.FAILURE, states.REJECTED):
            self._call_errbacks(run, value, trace)
            fallout = fallout_of(self._app, run, states.FAILURE, value)
            self._fail(fallout, value)

    def _send(self, call: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        sig = signature(call, app=self._app)
        self.add(workflows.plan_of(self._app, sig, args, {}, dict(options))[0])

    def _call_errbacks(self, run: Context, error: Any, trace: str) -> None:
        for errback in run.errbacks or ():
            sig = signature(errback, app=self._app)
            if is_called(sig):
                sig(run, error, trace)
            else:
                self._send(sig, (str(run.id),), {"parent_id": run.id, "root_id": run.root_id})

    def _fail(self, fallout: Fallout, error: BaseException) -> None:
        for call in fallout.calls:
            if call.id:
                fields = (call.id, error, states.FAILURE, None, call.task, self._app)
                self.results.setdefault(call.id, EagerResult(*fields))
        for part in fallout.parts:
            self._return(part)

    # -- chords

    def _return(self, part: ReturnedPart) -> None:
        chord = self._chords.get(part.group_id)
        if chord is None or not chord.take(part):
            return
        del self._chords[part.group_id]
        body = signature(dict(part.chord), app=self._app)
        try:
            values = chord.values()
        except ChordError as error:
            fallout = Fallout(part.root_id)
            for call in fail_call(self._app, fallout, body, error):
                fields = {"id": call.id, "task": call.task, "root_id": part.root_id}
                errbacks = listed(call.options.get("link_error"))
                run = Context(**fields, errbacks=errbacks, is_eager=True, called_directly=False)
                self._call_errbacks(run, error, "")
            self._fail(fallout, error)
        else:
            self._send(body, (values,), {"parent_id": part.task_id})


class _Chord:
    """A chord whose parts come back one after another."""

    def __init__(self, size: int, tree: Any) -> None:
        self.size = size
        self._tree = tree
        self._parts: list[ReturnedPart] = []

    def take(self, part: ReturnedPart) -> bool:
        """Take a part; True when it is the last."""
        self._parts.append(part)
        return len(self._parts) == self.size

    def values(self) -> list[Any]:
        """Return the values in order. Raises: ChordError for the first part that failed."""
        last = float("inf")
        self._parts.sort(key=lambda it: last if it.group_index is None else it.group_index)
        for part in self._parts:
            if part.state in states.PROPAGATE_STATES:
                text = f"Dependency {part.task_id} raised {part.value!r}"
                raise ChordError(text) from part.value
        if self._tree is None:
            return [part.value for part in self._parts]
        return shaped(self._tree, {part.task_id: part.value for part in self._parts})


class _Benches(threading.local):
    """The benches that a thread is at, the innermost last."""

    def __init__(self) -> None:
        self.stack: list[Bench] = []


_benches = _Benches()


def grow_chord(group_id: str) -> bool:
    """Have the chord of the run that goes on here wait for one more part; False: no run does."""
    if not _benches.stack:
        return False
    _benches.stack[-1].grow(group_id)
    return True


def _as_received(task: Task, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return the arguments as a worker would get them; raises EncodeError as sending would."""
    content_type, encoding, payload = serialization.encode(
        [list(args or ()), dict(kwargs or {})], task.serializer or "json"
    )
    decoded = serialization.decode(payload, content_type, encoding, frozenset({content_type}))
    return decoded[0], decoded[1]


def _request(task: Task, args: Any, kwargs: Any, options: dict[str, Any]) -> Context:
    task_id = options.get("task_id") or new_id()
    ignore_result = options.get("ignore_result")
    return Context(
        id=task_id,
        task=task.name,
        root_id=options.get("root_id") or task_id,
        parent_id=options.get("parent_id"),
        args=list(args or ()),
        kwargs=dict(kwargs or {}),
        retries=options.get("retries") or 0,
        is_eager=True,
        called_directly=False,
        chain=options.get("chain"),
        chord=options.get("chord"),
        replaced_task_nesting=options.get("replaced_task_nesting") or 0,
        stamped_headers=options.get("stamped_headers"),
        stamps={name: options.get(name) for name in options.get("stamped_headers") or ()},
        hostname=socket.gethostname(),
        callbacks=_listed(options.get("link")),
        errbacks=_listed(options.get("link_error")),
        headers=options.get("headers"),
        group=options.get("group_id"),
        group_index=options.get("group_index"),
        ignore_result=task.ignore_result if ignore_result is None else ignore_result,
        delivery_info={
            "is_eager": True,
            "exchange": options.get("exchange"),
            "routing_key": options.get("routing_key"),
            "priority": options.get("priority"),
        },
    )


def _next_request(run: Context, again: Any) -> Context:
    made = Context({key: value for key, value in run.__dict__.items() if key != "_children"})
    made.update(args=again.args, kwargs=again.kwargs, retries=again.options["retries"])
    return made


def _run_once(task: Task, run: Context) -> tuple[str, Any, str]:
    """Return (state, value or exception, traceback) of one run."""
    task_id, args, kwargs = str(run.id), run.args, run.kwargs
    current.push_task(task)
    task.push_request(run)
    state, value, trace = states.FAILURE, None, ""
    try:
        task_prerun.send(sender=task, task_id=task_id, task=task, args=args, kwargs=kwargs)
        state, value, trace = _call(task, run)
        _tell(task, run, state, value, trace)
        task.after_return(state, value, task_id, args, kwargs, trace or None)
    finally:
        task_postrun.send(
            sender=task,
            task_id=task_id,
            task=task,
            args=args,
            kwargs=kwargs,
            retval=value,
            state=state,
        )
        task.pop_request()
        current.pop_task()
    return state, value, trace


def _call(task: Task, run: Context) -> tuple[str, Any, str]:
    try:
        task.before_start(str(run.id), run.args, run.kwargs)
        value = task.enter(*run.args, **run.kwargs)
        return states.SUCCESS, run_to_end(value) if inspect.iscoroutine(value) else value, ""
    except Ignore as ignored:
        return states.IGNORED, ignored, ""
    except Reject as rejected:
        return states.REJECTED, rejected, ""
    except Retry as retry:
        return states.RETRY, retry, traceback.format_exc()
    except Exception as error:  # noqa: BLE001 - the task's failure is the result
        outcome = task.autoretry(error)
        trace = traceback.format_exc()
        return (states.RETRY if isinstance(outcome, Retry) else states.FAILURE), outcome, trace


def _tell(task: Task, run: Context, state: str, value: Any, trace: str) -> None:
    """Call the handlers and signals of a run's end."""
    call = (str(run.id), run.args, run.kwargs)
    if state == states.SUCCESS:
        task_success.send(sender=task, result=value)
        task.on_success(value, *call)
    elif state == states.RETRY:
        task_retry.send(sender=task, request=run, reason=value, einfo=trace)
        task.on_retry(value.exc, *call, trace)
    elif state == states.FAILURE:
        task_failure.send(
            sender=task,
            task_id=call[0],
            exception=value,
            args=run.args,
            kwargs=run.kwargs,
            traceback=value.__traceback__,
            einfo=trace,
        )
        task.on_failure(value, *call, trace)


def _listed(value: Any) -> list[Any] | None:
    if not value:
        return None
    return list(value) if isinstance(value, list | tuple) else [value]

"""The app's side of calls: sending one or many, sending again, running here, and the results."""

from __future__ import annotations

import threading
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tqconsole.engine import current
from tqconsole.engine.app.registry import TaskRegistry, load_object
from tqconsole.engine.canvas.signature import Signature, maybe_signature, signature
from tqconsole.engine.clock import Clock
from tqconsole.engine.context import Context
from tqconsole.engine.current import unwrapped
from tqconsole.engine.exceptions import (
    AlwaysEagerIgnored,
    OperationalError,
    Replaced,
    Retry,
)
from tqconsole.engine.fork_locks import own_pid
from tqconsole.engine.patience import Patience, patience_of
from tqconsole.engine.protocol.identity import new_id
from tqconsole.engine.result_cache import ResultCache
from tqconsole.engine.result_waiter import ResultWaiters
from tqconsole.engine.settings import Settings
from tqconsole.engine.task import LISTS, Task

if TYPE_CHECKING:
    from tqconsole.engine.app.send import Sender
    from tqconsole.engine.app.telling import Sending
    from tqconsole.engine.backends.base import Backend
    from tqconsole.engine.canvas.plan import Plan
    from tqconsole.engine.events.facade import Events
    from tqconsole.engine.middleware.records import Records
    from tqconsole.engine.protocol.result import ResultRecord
    from tqconsole.engine.protocol.transfer import (
        ChordEnd,
        Publication,
        QueueSpec,
        ResultWrite,
    )
    from tqconsole.engine.result import AsyncResult, EagerResult, GroupResult, ResultSet

#: An app that has sent nothing yet does not need it: importing the engine stays quick.
SENDER = "tqconsole.engine.app.send:Sender"


class Caller:
    """The part of an app that sends calls and knows what became of them."""

    conf: Settings
    wall_clock: Clock
    _excluded: set[str]
    _oids: threading.local
    _selected: list[str] | None
    _lock: threading.RLock
    _made_sender: Sender | None
    _made_records: Records | None = None
    #: What the settings say of a store that fails, at one version of theirs.
    _known_patience: tuple[int, Patience] | None = None
    _result_class: type[AsyncResult] | None = None
    _group_result_class: type[GroupResult] | None = None

    @property
    @abstractmethod
    def backend(self) -> Backend:
        """The result store."""

    @property
    @abstractmethod
    def tasks(self) -> TaskRegistry:
        """Name -> task."""

    @property
    @abstractmethod
    def events(self) -> Events:
        """Senders and readers of events."""

    @property
    @abstractmethod
    def result_content_type(self) -> str:
        """Content type of the records this app writes."""

    @property
    def oid(self) -> str:
        """The address of this thread, under which results reach it: a UUID."""
        known = getattr(self._oids, "known", None)
        pid = own_pid()
        if known is None or known[0] != pid:
            # A forked child must not listen at its parent's address.
            known = self._oids.known = (pid, new_id())
        return str(known[1])

    @cached_property
    def result_waiters(self) -> ResultWaiters:
        """Who waits for results that are awaited."""
        return ResultWaiters(self.wall_clock)

    @cached_property
    def result_cache(self) -> ResultCache | None:
        """Values that are kept here (`result_cache_max` as it is at the first result)."""
        most_count = self.conf.result_cache_max
        return None if most_count is None or most_count < 0 else ResultCache(int(most_count))

    @property
    def store_patience(self) -> Patience:
        """How a store that fails is asked again."""
        # The version of before: who looks first has the settings loaded, which makes it another.
        known, version = self._known_patience, self.conf.version
        if known is None or known[0] != version:
            known = self._known_patience = (version, patience_of(self.conf))
        return known[1]

    @property
    def origin(self) -> str:
        """This process's name as a sender: `gen<pid>@<host>`."""
        return self._sender.origin()

    def send_task(
        self, name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> AsyncResult:
        """Send a call by its task's name and return its result; options as `apply_async`.

        Raises: EncodeError, QueueNotFound, OperationalError. Nothing was sent then.
        """
        if options.get("task_type") is None and self.conf.task_always_eager:
            warnings.warn(
                "task_always_eager has no effect on send_task: the message is sent",
                AlwaysEagerIgnored,
                stacklevel=2,
            )
        sender = self._sender
        sending = sender.build(name, args, kwargs, options)
        sender.send((sending,))
        return sending.result

    def send_many(self, calls: Sequence[Any]) -> list[AsyncResult]:
        """Send many calls in one write and return their results, in order.

        Each is a signature, or (task, its name or a signature[, args[, kwargs[, options]]]). All
        are built before the first is sent. Raises: as `send_task`, and TypeError.
        """
        sendings = [self._built(call) for call in calls]
        self._sender.send(sendings)
        return [sending.result for sending in sendings]

    def build_call(
        self, name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> tuple[Publication, AsyncResult]:
        """Return a call as a publication that somebody else sends, and its result."""
        sending = self._sender.build(name, args, kwargs, options)
        return sending.publication, sending.result

    def build_signature(
        self, call: Any, args: Any = None, kwargs: Any = None, **options: Any
    ) -> tuple[Publication, AsyncResult]:
        """Return a signature, completed by these, as `build_call` does."""
        sending = self._built((call, args, kwargs, options))
        return sending.publication, sending.result

    def send_canvas(
        self, sig: Signature, args: Any = None, kwargs: Any = None, **options: Any
    ) -> Any:
        """Send a workflow, its first messages in one write, and return its result.

        Raises: as `send_many`; NotSupportedError for a chord without a store that can count.
        """
        if self.conf.task_always_eager:
            return self.apply_canvas(sig, args, kwargs, **options)
        is_noted = self._workflows().take_own_options(options)
        plan, result = self._workflows().plan_of(self, sig, args, kwargs, options)
        sendings = self._opened(plan)
        self._sender.send(sendings)
        task = current.get_current_worker_task()
        if is_noted and task is not None and result is not None:
            task.add_trail(result)
        return self._workflows().told_result(sig, result)

    def build_canvas(
        self, sig: Signature, args: Any = None, kwargs: Any = None, **options: Any
    ) -> tuple[list[Publication], Any]:
        """Return a workflow, completed by these, as the publications that begin it, which somebody
        else sends, and its result. Raises: as `send_canvas`.
        """
        plan, result = self._workflows().plan_of(self, sig, args, kwargs, options)
        return [sending.publication for sending in self._opened(plan)], result

    def apply_canvas(
        self, sig: Signature, args: Any = None, kwargs: Any = None, **options: Any
    ) -> Any:
        """Run a workflow here and return its result."""
        from tqconsole.engine.app import eager as app_eager  # noqa: PLC0415 - only tests come here

        return app_eager.apply_canvas(self, sig, args, kwargs, options)

    def replace_run(self, sig: Signature, request: Context) -> Replaced:
        """Return the directive by which a run hands its place to a workflow."""
        if request.is_eager:
            return Replaced(sig)
        return Replaced(sig, tuple(self.build_canvas(sig)[0]))

    def _opened(self, plan: Plan) -> list[Sending]:
        """Build a plan's messages, and open its chords. Nothing is opened when one cannot be."""
        sendings = [self._built(parts) for parts in self._workflows().call_parts(plan)]
        for call, sending in zip(plan.calls, sendings, strict=True):
            call.result.ignored = sending.result.ignored
        self._workflows().open_chords(self, plan)
        return sendings

    def build_retry(self, request: Context, retry: Retry) -> Publication:
        """Return the publication of the next attempt that a raised Retry asks for."""
        call = retry.sig
        task = self.tasks.get(call.task)
        options = {**(task.sent_options() if task else {}), **call.options, "add_to_parent": False}
        options["root_id"] = options.get("root_id") or request.root_id or request.id
        options["parent_id"] = options.get("parent_id") or request.id
        return self._sender.build(call.task, call.args, call.kwargs, options).publication

    def publish(self, publications: Sequence[Publication], **options: Any) -> None:
        """Publish messages in one trip, by the publish policy. Raises: OperationalError."""
        self._sender.publish(publications, options)

    def publish_end(self, publications: Sequence[Publication], end: ChordEnd) -> bool:
        """Publish what a chord ends in and close it, in one step: where results are kept at the
        broker's own place, and that can; else return False. Raises: OperationalError.
        """
        return self._sender.publish_end(publications, end)

    def publish_retry(self, request: Context, retry: Retry) -> None:
        """Publish the next attempt of a run now."""
        self.publish([self.build_retry(request, retry)])

    def apply_eagerly(
        self, task: Task, args: Any, kwargs: Any, options: dict[str, Any]
    ) -> EagerResult:
        """Run a call here and return its result."""
        from tqconsole.engine.app import eager as app_eager  # noqa: PLC0415 - only tests come here

        return app_eager.apply_eagerly(self, task, args, kwargs, options)

    def signature(self, *args: Any, **kwargs: Any) -> Signature:
        """Return a call that is not sent yet."""
        return signature(*args, **{"app": self, **kwargs})

    def AsyncResult(self, id: str, **fields: Any) -> AsyncResult:
        """Return the result of a call by its id."""
        made = self._result_class
        if made is None:
            made = self._result_class = self._results().AsyncResult
        return made(id, app=self, **fields)

    @property
    def GroupResult(self) -> Any:
        """The class of results of groups, for this app."""
        made = self._group_result_class
        if made is None:
            base = self._results().GroupResult
            made = self._group_result_class = type("GroupResult", (base,), {"home": self})
        return made

    def ResultSet(self, results: Any = None) -> ResultSet:
        """Return results that are waited for together."""
        made: ResultSet = self._results().ResultSet(results, app=self)
        return made

    def queues(self) -> list[QueueSpec]:
        """Return the queues a worker of this app consumes. Raises: QueueNotFound."""
        return self._sender.queues.to_consume(self._selected, self._excluded)

    def queue_spec(self, queue: Any) -> QueueSpec:
        """Return the spec of a queue by name, or of a kombu Queue. Raises: QueueNotFound."""
        return self._sender.queues.spec(queue)

    @property
    def no_ack_queues(self) -> frozenset[str]:
        """Names of the queues with `no_ack`."""
        return self._sender.queues.no_ack_names()

    def select_queues(self, names: Sequence[str]) -> None:
        """Consume from these only (`-Q`). Raises: QueueNotFound."""
        for name in names:
            self.queue_spec(name)
        self._selected = list(dict.fromkeys(names))

    def deselect_queues(self, names: Sequence[str]) -> None:
        """Do not consume from these (`-X`)."""
        self._excluded.update(names)

    # -- what runs tell

    def send_event(self, event_type: str, **fields: Any) -> None:
        """Tell whoever listens. Raises: OperationalError, EncodeError."""
        self.events.default_dispatcher().send(event_type, **fields)

    def send_event_of(self, hostname: str | None, event_type: str, **fields: Any) -> None:
        """Tell whoever listens, in the name of a node. Raises: OperationalError, EncodeError."""
        named = {"hostname": hostname} if hostname else {}
        self.send_event(event_type, **named, **fields)

    def store_state(self, task_id: str, state: str, meta: Any, request: Context) -> None:
        """Store a record that is no end; a stored SUCCESS stays. Raises: OperationalError."""
        run = request if request.id == task_id else Context(request.__dict__, id=task_id)
        writes = [self._records.write_of(run, state, meta)]
        try:
            self.backend.store(writes)
        except OperationalError as error:
            self.store_patience.outlast(lambda: self.backend.store(writes), error, self.wall_clock)

    def store_outcome(self, task: Any, run: Context, state: str, value: Any, trace: str) -> None:
        """Store the record of a run that ended here. Raises: OperationalError."""
        task.backend.store([self._records.write_of(run, state, value, trace)])

    def result_write(self, record: ResultRecord, reply_to: str | None) -> ResultWrite:
        """Return the write of a record as the settings want it. Raises: EncodeError."""
        return self._records.write(record, reply_to)

    def grow_chord(self, group_id: str, task_id: str) -> None:
        """Have a chord wait for the part of one more task. Raises: OperationalError,
        NotSupportedError.
        """
        self._workflows().joiner_of(self).grow_chord(group_id, task_id, self.chord_expires_s)

    @property
    def chord_expires_s(self) -> float | None:
        """How long what belongs to a chord is kept, None for ever."""
        expires_s: float | None = self._workflows().chord_expires_s(self)
        return expires_s

    @staticmethod
    def _workflows() -> Any:
        from tqconsole.engine.app import workflows  # noqa: PLC0415 - as below

        return workflows

    @staticmethod
    def _results() -> Any:
        from tqconsole.engine import result  # noqa: PLC0415 - what was never asked for costs nothing

        return result

    @property
    def _records(self) -> Records:
        if self._made_records is None:
            from tqconsole.engine.middleware.records import Records  # noqa: PLC0415 - needed late

            self._made_records = Records(self)
        return self._made_records

    @property
    def _sender(self) -> Sender:
        if self._made_sender is None:
            with self._lock:
                if self._made_sender is None:
                    made: Sender = load_object(SENDER)(self)
                    self._made_sender = made
        return self._made_sender

    def _built(self, call: Any) -> Sending:
        """Return a call of `send_many` as a sending. Raises: TypeError for what is no call."""
        parts = call if isinstance(call, LISTS) else (call,)
        if not 1 <= len(parts) <= 4:
            raise TypeError(f"a call is (task, args, kwargs, options) or a signature, not {call!r}")
        target, args, kwargs, options = (*parts, None, None, None)[:4]
        target = unwrapped(target)
        if isinstance(target, dict):
            made = maybe_signature(target, app=self)
            args, kwargs, options = made.merged(args, kwargs, options)
            target = made.task
        return self._built_named(target, args, kwargs, options or {})

    def _built_named(self, target: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> Sending:
        task = self.tasks.get(target) if isinstance(target, str) else target
        if task is None:
            return self._sender.build(str(target), args, kwargs, options)
        if task.typing:
            task.check_arguments(args or (), kwargs or {})
        args, kwargs = task.plain_arguments(args, kwargs, options)
        given = {**task.sent_options(), "task_type": task, **options}
        if "shadow" not in options:
            given["shadow"] = task.shadow_name(args, kwargs, options)
        return self._sender.build(task.name, args, kwargs, given)

"""Celery's signals: named moments at which user code is told what happens.

A receiver runs in the process and thread of the sender. What it raises is logged and goes no
further: a mistake in an observer must not change what becomes of a task.
"""

from __future__ import annotations

import inspect
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

from tqconsole.engine.fork_locks import give_lock

logger = logging.getLogger(__name__)

Receiver = Callable[..., Any]

#: Stands for "from any sender" among the senders.
_ANY = object()


class Signal:
    """One moment. `connect` is also a decorator, with or without arguments."""

    _lock: threading.Lock

    def __init__(
        self, providing_args: tuple[str, ...] | None = None, name: str | None = None
    ) -> None:
        self.providing_args = frozenset(providing_args or ())
        self.name = name
        give_lock(self, "_lock", threading.Lock)
        #: (key, sender or "any", receiver or weak reference); empty: sending costs nothing. To be
        #: read only. Replaced as a whole on every change, so that `send` reads it without the lock.
        self.receivers: tuple[tuple[Any, Any, Any], ...] = ()

    def connect(
        self,
        *receivers: Receiver,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> Any:
        """Call `receiver(signal=, sender=, **named)` from now on.

        Args:
            receivers: The receiver; none when used as a decorator with arguments.
            sender: Only what this sender sends; for tasks the task, its name or a lazy task.
            weak: Hold a weak reference, so that a receiver nobody else holds goes away.
            dispatch_uid: Connecting twice under one uid keeps the first.
            retry: Call the receiver again when it raises, up to three times.
        """

        def add(receiver: Receiver) -> Receiver:
            self._add(receiver, sender, dispatch_uid, is_weak=weak and not retry, is_retried=retry)
            return receiver

        return add(receivers[0]) if receivers else add

    def disconnect(
        self, receiver: Receiver | None = None, sender: Any = None, dispatch_uid: Any = None
    ) -> bool:
        """Stop calling it; False when it was not connected."""
        key = _key_of(receiver, sender, dispatch_uid)
        with self._lock:
            kept = tuple(entry for entry in self.receivers if entry[0] != key)
            was_there = len(kept) != len(self.receivers)
            self.receivers = kept
        return was_there

    def has_listeners(self, sender: Any = None) -> bool:
        """Return True when somebody would be called."""
        return bool(self.receivers) and bool(self._live(sender))

    def send(self, sender: Any = None, **named: Any) -> list[tuple[Receiver, Any]]:
        """Call every receiver; return (receiver, what it returned or raised). Never raises."""
        if not self.receivers:
            return []
        replies: list[tuple[Receiver, Any]] = []
        for receiver in self._live(sender):
            try:
                reply = receiver(signal=self, sender=sender, **named)
            except Exception as error:
                # The edge of user code: the moment itself goes on as if nobody had listened.
                logger.exception("Receiver %r of signal %s failed", receiver, self.name)
                reply = error
            replies.append((receiver, reply))
        return replies

    #: Receivers' errors never reach the sender, so both names do the same.
    send_robust = send

    def _add(
        self, receiver: Receiver, sender: Any, uid: Any, *, is_weak: bool, is_retried: bool
    ) -> None:
        if not _accepts_more(receiver):
            raise ValueError("a receiver of signals must accept keyword arguments (**kwargs)")
        key = _key_of(receiver, sender, uid)
        held: Any = _retrying(receiver) if is_retried else receiver
        if is_weak:
            forget = self._forgetting(key)
            is_method = hasattr(receiver, "__self__") and hasattr(receiver, "__func__")
            make: Any = weakref.WeakMethod if is_method else weakref.ref
            held = make(receiver, forget)
        source = _ANY if sender is None else _identity(sender)
        with self._lock:
            if all(entry[0] != key for entry in self.receivers):
                self.receivers = (*self.receivers, (key, source, held))

    def _forgetting(self, key: Any) -> Callable[[Any], None]:
        def forget(_reference: Any) -> None:
            with self._lock:
                self.receivers = tuple(entry for entry in self.receivers if entry[0] != key)

        return forget

    def _live(self, sender: Any) -> list[Receiver]:
        source = None if sender is None else _identity(sender)
        found = []
        for _key, wanted, held in self.receivers:
            if wanted is not _ANY and wanted != source:
                continue
            receiver = held() if isinstance(held, weakref.ReferenceType) else held
            if receiver is not None:
                found.append(receiver)
        return found

    def __repr__(self) -> str:
        return f"<Signal: {self.name} providing_args={set(self.providing_args)!r}>"


def _identity(sender: Any) -> Any:
    """Return what tells senders apart: names by value, tasks by name, all else by identity."""
    if isinstance(sender, str):
        return sender
    name = getattr(sender, "name", None)
    return name if isinstance(name, str) and hasattr(sender, "apply_async") else id(sender)


def _key_of(receiver: Receiver | None, sender: Any, uid: Any) -> Any:
    source = None if sender is None else _identity(sender)
    if uid is not None:
        return (uid, source)
    function = getattr(receiver, "__func__", None)
    if function is not None:
        return (id(getattr(receiver, "__self__", None)), id(function), source)
    return (id(receiver), source)


def _accepts_more(receiver: Receiver) -> bool:
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _retrying(receiver: Receiver, attempt_count: int = 3) -> Receiver:
    def call(**named: Any) -> Any:
        for _attempt in range(attempt_count - 1):
            try:
                return receiver(**named)
            except Exception as error:  # noqa: BLE001 - the last attempt's error is the answer
                logger.warning("Receiver %r failed, trying again: %r", receiver, error)
        return receiver(**named)

    return call


def _signal(name: str, *args: str) -> Signal:
    return Signal(args, name)


before_task_publish = _signal(
    "before_task_publish", "body", "exchange", "routing_key", "headers", "properties", "declare",
    "retry_policy",
)  # fmt: skip
after_task_publish = _signal("after_task_publish", "body", "exchange", "routing_key", "headers")
task_received = _signal("task_received", "request")
task_prerun = _signal("task_prerun", "task_id", "task", "args", "kwargs")
task_postrun = _signal("task_postrun", "task_id", "task", "args", "kwargs", "retval")
task_success = _signal("task_success", "result", "runtime")
task_retry = _signal("task_retry", "request", "reason", "einfo")
task_failure = _signal(
    "task_failure", "task_id", "exception", "args", "kwargs", "traceback", "einfo"
)
task_internal_error = _signal(
    "task_internal_error", "task_id", "args", "kwargs", "request", "exception", "traceback",
    "einfo",
)  # fmt: skip
task_revoked = _signal("task_revoked", "request", "terminated", "signum", "expired")
task_rejected = _signal("task_rejected", "message", "exc")
task_unknown = _signal("task_unknown", "message", "exc", "name", "id")
#: Celery's old name for the moment after a publish.
task_sent = _signal("task_sent", "task_id", "task", "args", "kwargs", "eta", "taskset")

celeryd_init = _signal("celeryd_init", "instance", "conf", "options")
celeryd_after_setup = _signal("celeryd_after_setup", "instance", "conf")
import_modules = _signal("import_modules")
worker_init = _signal("worker_init")
worker_before_create_process = _signal("worker_before_create_process")
worker_process_init = _signal("worker_process_init")
worker_process_shutdown = _signal("worker_process_shutdown")
worker_ready = _signal("worker_ready")
worker_shutdown = _signal("worker_shutdown")
worker_shutting_down = _signal("worker_shutting_down", "sig", "how", "exitcode")
heartbeat_sent = _signal("heartbeat_sent")

setup_logging = _signal("setup_logging", "loglevel", "logfile", "format", "colorize")
after_setup_logger = _signal(
    "after_setup_logger", "logger", "loglevel", "logfile", "format", "colorize"
)
after_setup_task_logger = _signal(
    "after_setup_task_logger", "logger", "loglevel", "logfile", "format", "colorize"
)

beat_init = _signal("beat_init")
beat_embedded_init = _signal("beat_embedded_init")

eventlet_pool_started = _signal("eventlet_pool_started")
eventlet_pool_preshutdown = _signal("eventlet_pool_preshutdown")
eventlet_pool_postshutdown = _signal("eventlet_pool_postshutdown")
eventlet_pool_apply = _signal("eventlet_pool_apply", "target", "args", "kwargs")
user_preload_options = _signal("user_preload_options", "app", "options")

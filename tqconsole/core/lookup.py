"""Finds out what can be known of one task beyond its events.

Events carry texts, cut by the client at 1024 characters. Real arguments stand in the result store
(when `result_extended` is on), in the message while it waits, and in the worker that has it in
hand; else the text of the event is read as a Python literal, never evaluated. Runs in a thread of
the session's pool; returns values and never raises.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tqconsole.core.sanitize import clean, clean_lines, clean_name, shown
from tqconsole.core.views import TaskFacts, TaskRow
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.exceptions import EngineError, RefusedError
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import JSON_ONLY
from tqconsole.engine.protocol.result import ResultRecord, decode_record
from tqconsole.engine.protocol.task import decode_body, read_header, upgrade
from tqconsole.engine.states import PENDING, RECEIVED, STARTED
from tqconsole.remote_control import RemoteControl

#: Waiting messages of the task's queue that are looked through.
PEEK_COUNT = 500
#: Characters of an argument list worth editing in a terminal.
EDIT_CHARS = 65_536
#: Characters of a result that the detail shows.
RESULT_CHARS = 65_536

CUT_NOTE = (
    "the arguments were cut by the client: only the beginning is known"
    " (it can be told to send more: app.amqp.argsrepr_maxsize)"
)
NO_STORE_NOTE = "no result store is configured here"
NO_RECORD_NOTE = "the result store has nothing on it"


@dataclass(frozen=True, slots=True)
class KnownTask:
    """What the row says, copied so that another thread may read it."""

    task_id: str
    name: str = ""
    queue: str = ""
    state: str = PENDING
    worker: str = ""
    args: str = ""
    kwargs: str = ""
    result: str = ""
    exception: str = ""
    traceback: str = ""

    @classmethod
    def of(cls, task_id: str, row: TaskRow | None) -> KnownTask:
        """Return what is known, also of a task without a row."""
        if row is None:
            return cls(task_id)
        return cls(**{name: getattr(row, name) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Call:
    """Real arguments and where they were found."""

    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    name: str = ""
    queue: str = ""


class Lookup:
    """Asks result store, broker and workers. Any thread."""

    def __init__(self, broker: Broker, backend: Backend | None, remote: RemoteControl) -> None:
        self._broker = broker
        self._backend = backend
        self._remote = remote

    def fetch(self, known: KnownTask) -> TaskFacts:
        """Return everything that can be found."""
        record, note = self._record(known.task_id)
        facts = _with_record(_from_row(known), record)
        call = self._call(known, record)
        if call is None:
            notes = [note] if note else []
            if _is_cut(known.args) or _is_cut(known.kwargs):
                notes.append(CUT_NOTE)
            elif known.args or known.kwargs:
                notes.append("the arguments are known as text only, which is no literal")
            return replace(facts, note="; ".join(notes))
        return _with_call(replace(facts, note=note), call)

    def find_call(self, known: KnownTask) -> Call | None:
        """Return the real arguments, None when they are not to be had."""
        record, _ = self._record(known.task_id)
        return self._call(known, record)

    def _record(self, task_id: str) -> tuple[ResultRecord | None, str]:
        if self._backend is None or not self._backend.is_enabled:
            return None, NO_STORE_NOTE
        try:
            payload = self._backend.fetch([task_id]).get(task_id)
            if payload is None:
                return None, NO_RECORD_NOTE
            return decode_record(payload), ""
        except EngineError as error:
            return None, clean(f"the result store could not be read: {error}", 300)

    def _call(self, known: KnownTask, record: ResultRecord | None) -> Call | None:
        if record is not None:
            call = _call_of_record(record)
            if call is not None:
                return call
        try:
            if known.state in (RECEIVED, STARTED) and known.worker:
                call = self._call_of_worker(known)
            elif known.queue:
                call = self._call_of_message(known)
            else:
                call = None
        except EngineError:
            call = None  # One source less; the text of the event is left.
        return call or _call_of_text(known)

    def _call_of_worker(self, known: KnownTask) -> Call | None:
        answers = self._remote.query_task([known.task_id], [known.worker])
        for reply in answers.replies.values():
            entry = reply.get(known.task_id) if isinstance(reply, Mapping) else None
            if (
                isinstance(entry, list | tuple)
                and len(entry) == 2
                and isinstance(entry[1], Mapping)
            ):
                call = _call(entry[1].get("args"), entry[1].get("kwargs"), "worker")
                if call is not None:
                    return call
        return None

    def _call_of_message(self, known: KnownTask) -> Call | None:
        if not self._broker.capabilities.can_peek:
            return None
        for message in self._broker.peek(known.queue, PEEK_COUNT):
            if message.headers.get("id") == known.task_id:
                return call_of_message(message)
        return None


def call_of_message(message: Message) -> Call | None:
    """Return the call in a waiting message, None when it cannot be read."""
    try:
        message = upgrade(message, JSON_ONLY, DEFAULT_LIMITS)
        header = read_header(message, DEFAULT_LIMITS)
        body = decode_body(message, JSON_ONLY, DEFAULT_LIMITS)
    except RefusedError:
        return None
    return Call(body.args, body.kwargs, "waiting message", clean_name(header.task_name))


def _call_of_record(record: ResultRecord) -> Call | None:
    extended = record.extended
    call = _call(extended.get("args"), extended.get("kwargs"), "result store")
    if call is None:
        return None
    return replace(
        call, name=clean_name(extended.get("name")), queue=clean_name(extended.get("queue"))
    )


def _call_of_text(known: KnownTask) -> Call | None:
    if not known.args and not known.kwargs:
        return None
    if _is_cut(known.args) or _is_cut(known.kwargs):
        return None
    args, kwargs = _literal(known.args or "()"), _literal(known.kwargs or "{}")
    return _call(args, kwargs, "event text")


def _call(args: object, kwargs: object, source: str) -> Call | None:
    """Values become a call only when they have its shape and JSON can carry them."""
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping):
        return None
    call = Call(list(args), {str(key): value for key, value in kwargs.items()}, source)
    try:
        json.dumps([call.args, call.kwargs])
    except (TypeError, ValueError, RecursionError):
        return None
    return call


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def text_facts(known: KnownTask) -> TaskFacts:
    """Return what the row alone tells."""
    call = _call_of_text(known)
    facts = _from_row(known)
    return facts if call is None else _with_call(facts, call)


def _is_cut(text: str) -> bool:
    """True when a repr was cut: by the client ("..." within or at the end) or by this console."""
    return "..." in text or "…" in text


def _from_row(known: KnownTask) -> TaskFacts:
    return TaskFacts(
        task_id=known.task_id,
        name=known.name,
        queue=known.queue,
        state=known.state,
        args=known.args,
        kwargs=known.kwargs,
        result=known.result,
        exception=known.exception,
        traceback=known.traceback,
    )


def _with_record(facts: TaskFacts, record: ResultRecord | None) -> TaskFacts:
    if record is None:
        return facts
    facts = replace(
        facts,
        state=clean(record.state, 40),
        has_result=True,
        children=_children(record.children),
        done_at=record.date_done_at,
        name=facts.name or clean_name(record.extended.get("name")),
        queue=facts.queue or clean_name(record.extended.get("queue")),
    )
    if isinstance(record.result, BaseException):
        return replace(
            facts,
            result="",
            exception=clean(exception_text(record.result)),
            traceback=clean_lines(record.traceback) or facts.traceback,
        )
    return replace(facts, result=clean_lines(pretty(record.result), RESULT_CHARS))


def _with_call(facts: TaskFacts, call: Call) -> TaskFacts:
    args_json, kwargs_json = json.dumps(call.args), json.dumps(call.kwargs)
    if len(args_json) + len(kwargs_json) > EDIT_CHARS:
        return replace(facts, note="the arguments are too long to be edited here")
    return replace(
        facts,
        name=facts.name or call.name,
        queue=facts.queue or call.queue,
        args=shown(tuple(call.args), EDIT_CHARS),
        kwargs=shown(call.kwargs, EDIT_CHARS),
        # JSON escapes whatever is not printable, so this is clean as it is.
        args_json=args_json,
        kwargs_json=kwargs_json,
        args_source=call.source,
        is_args_complete=True,
    )


def pretty(value: object) -> str:
    """Return a value as indented JSON where it is some, else its repr."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, indent=2, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return shown(value, RESULT_CHARS)


def exception_text(error: BaseException) -> str:
    """Return an error as `Class: words`, whatever its class does when it is printed."""
    try:
        return f"{type(error).__name__}: {error}" if str(error) else repr(error)
    except Exception:  # noqa: BLE001 - a rebuilt class of the user's may fail to print itself
        return type(error).__name__


def _children(children: object) -> tuple[str, ...]:
    """Return the ids in Celery's result tuples `[[id, parent], children]`."""
    found: list[str] = []
    for child in children if isinstance(children, list) else ():
        head = child[0] if isinstance(child, list | tuple) and child else None
        task_id = head[0] if isinstance(head, list | tuple) and head else head
        if isinstance(task_id, str):
            found.append(clean_name(task_id))
    return tuple(found[:1000])

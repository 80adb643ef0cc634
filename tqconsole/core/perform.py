"""Carries actions out: the commands through `RemoteControl`, calls through the broker by name.

Runs in the threads of the session's pool; nothing here touches the model. Whatever goes wrong
becomes the `error` of the answer. Read-only refuses here for what goes to the broker and in
`RemoteControl` for what goes to workers: one flag, given to both.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from tqconsole.core.aborting import abort
from tqconsole.core.action_fields import INSPECTABLE
from tqconsole.core.action_input import read_fields
from tqconsole.core.actions import ACTIONS, Action, ActionRequest
from tqconsole.core.equivalent import call_command, equivalent_command
from tqconsole.core.errors import ActionError
from tqconsole.core.lookup import KnownTask, Lookup
from tqconsole.core.sanitize import clean, clean_name, shown
from tqconsole.core.undo import old_limits, undo_of
from tqconsole.core.views import ActionDone, NodeAnswer
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import Clock
from tqconsole.engine.control.answer import Answers
from tqconsole.engine.dead_letters import edited
from tqconsole.engine.exceptions import EngineError, RefusedError
from tqconsole.engine.protocol.instant import epoch_instant, iso_instant
from tqconsole.engine.protocol.task import TaskCall, encode_task
from tqconsole.engine.protocol.transfer import Publication
from tqconsole.remote_control import RemoteControl

logger = logging.getLogger(__name__)

#: The header by which a re-run names the task it repeats.
RERUN_HEADER = "tq_rerun_of"
ORIGIN = "tqconsole"
#: Dead letters looked through for the one that is edited.
LETTER_LIMIT = 10_000
READ_ONLY_ERROR = "this session is read-only: nothing was sent"


@dataclass(frozen=True, slots=True)
class Sent:
    """A call that went out, so that the model can show it before any worker tells of it."""

    task_id: str
    name: str
    args: str
    kwargs: str
    queue: str


@dataclass(frozen=True, slots=True)
class Performed:
    """The answer for the screen, and the calls for the model."""

    done: ActionDone
    sent: tuple[Sent, ...] = ()
    undo: ActionRequest | None = None


class Performer:
    """Does what a request asks. Any thread; blocks until it is done."""

    def __init__(
        self,
        broker: Broker,
        remote: RemoteControl,
        lookup: Lookup,
        clock: Clock,
        *,
        default_queue: str = "celery",
        backend: Backend | None = None,
    ) -> None:
        self._broker = broker
        self._remote = remote
        self._lookup = lookup
        self._clock = clock
        self._default_queue = default_queue
        self._backend = backend

    def run(self, request: ActionRequest, known: Mapping[str, KnownTask]) -> Performed:
        """Carry `request` out; `known` tells of its target tasks. Never raises."""
        began_mono = self._clock.mono()
        action = ACTIONS.get(request.action_id)
        if action is None:
            return Performed(ActionDone(request.action_id, error="no such action"))
        try:
            performed = self._checked(action, request, known)
        except (ActionError, EngineError) as error:
            performed = _failed(clean(str(error), 500))
        except Exception as error:
            # A thread's edge: the user must learn that it failed, and the log why.
            logger.exception("action %s failed", request.action_id)
            performed = _failed(clean(f"{type(error).__name__}: {error}", 500))
        done = replace(
            performed.done,
            title=title_of(action, request),
            elapsed_s=self._clock.mono() - began_mono,
            equivalent=performed.done.equivalent or equivalent_command(request),
        )
        return replace(performed, done=done)

    def _checked(
        self, action: Action, request: ActionRequest, known: Mapping[str, KnownTask]
    ) -> Performed:
        if action.does_change and self._remote.is_read_only:
            raise ActionError(READ_ONLY_ERROR)
        given = read_fields(action, request.arguments)
        if action.target_kind not in ("worker", "cluster") and not request.targets:
            raise ActionError("nothing was chosen")
        if not action.can_bulk and len(request.targets) > 1:
            raise ActionError(f"{action.label} takes one at a time")
        if request.action_id in ("task.call", "beat.run"):
            return self._call(given)
        if request.action_id == "task.rerun":
            return self._rerun(request.targets, given, known)
        if request.action_id == "dead.edit":
            return Performed(self._edit_letter(request.targets[0], given))
        broker_action = self._of_broker().get(request.action_id)
        if broker_action is not None:
            return Performed(broker_action(request.targets))
        before = old_limits(request, self._remote)
        done = _done(_REMOTE[request.action_id](self._remote, request.targets, given))
        if request.action_id == "worker.shutdown":
            return Performed(_without_farewell(done))
        return Performed(done, undo=undo_of(request, done, before))

    def _of_broker(self) -> dict[str, Callable[[tuple[str, ...]], ActionDone]]:
        return {
            "queue.purge": self._purge,
            "dead.replay": self._replay,
            "dead.drop": self._drop,
            "task.abort": self._abort,
        }

    def _abort(self, targets: tuple[str, ...]) -> ActionDone:
        return _told(targets[0], abort(self._backend, targets[0]))

    def _purge(self, targets: tuple[str, ...]) -> ActionDone:
        count = self._broker.purge(targets[0])
        return _told(targets[0], f"{count:,} messages deleted")

    def _replay(self, targets: tuple[str, ...]) -> ActionDone:
        count = self._broker.replay(targets)
        return _told("broker", f"{count:,} of {len(targets):,} put back into their queues")

    def _edit_letter(self, letter_id: str, given: Mapping[str, Any]) -> ActionDone:
        letters = {it.letter_id: it for it in self._broker.dead_letters(None, LETTER_LIMIT)}
        if letter_id not in letters:
            raise ActionError("this dead letter is not there any more")
        try:
            publication = edited(letters[letter_id], given.get("args"), given.get("kwargs"))
        except RefusedError as error:
            text = f"its arguments cannot be read ({error}): give both args and kwargs"
            raise ActionError(text) from error
        # Sent first: a crash in between leaves a letter too many, never one too few.
        self._broker.publish([publication])
        self._broker.drop([letter_id])
        return _told(publication.routing_key, "put back with these arguments")

    def _drop(self, targets: tuple[str, ...]) -> ActionDone:
        count = self._broker.drop(targets)
        return _told("broker", f"{count:,} of {len(targets):,} deleted")

    def _call(self, given: Mapping[str, Any]) -> Performed:
        eta, expires = self._times(given)
        expires_s = given.get("expires")
        call = TaskCall(
            task_id=given.get("task_id") or str(uuid4()),
            task_name=given["task_name"],
            args=given.get("args") or [],
            kwargs=given.get("kwargs") or {},
            eta=eta,
            expires=expires,
            expiration_ms=None if expires_s is None else round(expires_s * 1000),
            priority=given.get("priority"),
            ignore_result=True if given.get("ignore_result") else None,
            origin=ORIGIN,
        )
        sent = self._publish(call, given.get("queue") or self._default_queue)
        answer = NodeAnswer(sent.queue, f"sent as {sent.task_id}")
        return Performed(ActionDone("", (answer,), task_id=sent.task_id), (sent,))

    def _times(self, given: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """Return ETA and expiry as instants in UTC. Raises: ActionError."""
        eta_at, expires_at = None, None
        now_at = self._clock.now()
        try:
            if given.get("eta"):
                eta_at = epoch_instant(given["eta"])
            elif given.get("countdown") is not None:
                eta_at = now_at + given["countdown"]
            if given.get("expires") is not None:
                expires_at = now_at + given["expires"]
            eta = None if eta_at is None else iso_instant(eta_at)
            expires = None if expires_at is None else iso_instant(expires_at)
        except (ValueError, OverflowError) as error:
            raise ActionError(f"not a time: {error}") from error
        return eta, expires

    def _publish(self, call: TaskCall, queue: str) -> Sent:
        self._broker.publish([Publication(encode_task(call), routing_key=queue)])
        return Sent(
            call.task_id,
            clean_name(call.task_name),
            shown(tuple(call.args)),
            shown(dict(call.kwargs)),
            clean_name(queue),
        )

    def _rerun(
        self, targets: tuple[str, ...], given: Mapping[str, Any], known: Mapping[str, KnownTask]
    ) -> Performed:
        answers: list[NodeAnswer] = []
        sent: list[Sent] = []
        commands: list[str] = []
        for task_id in targets:
            try:
                call, queue = self._rerun_call(known.get(task_id, KnownTask(task_id)), given)
                sent.append(self._publish(call, queue))
            except (ActionError, EngineError) as error:
                answers.append(NodeAnswer(task_id, "", clean(str(error), 300)))
                continue
            answers.append(NodeAnswer(task_id, f"sent again as {call.task_id}"))
            arguments = json.dumps(call.args), json.dumps(call.kwargs)
            commands.append(call_command(call.task_name, *arguments, queue))
        failed_count = len(targets) - len(sent)
        done = ActionDone(
            "",
            tuple(answers),
            error=f"{failed_count:,} of {len(targets):,} could not be sent" if failed_count else "",
            equivalent=commands[0] if len(commands) == 1 else "",
            task_id=sent[0].task_id if len(sent) == 1 else "",
        )
        return Performed(done, tuple(sent))

    def _rerun_call(self, known: KnownTask, given: Mapping[str, Any]) -> tuple[TaskCall, str]:
        args, kwargs = given.get("args"), given.get("kwargs")
        name, queue = known.name, given.get("queue") or known.queue
        if args is None or kwargs is None or not name:
            found = self._lookup.find_call(known)
            if found is None:
                raise ActionError("its arguments are not known whole: give args and kwargs")
            args = found.args if args is None else args
            kwargs = found.kwargs if kwargs is None else kwargs
            name, queue = name or found.name, queue or found.queue
        if not name:
            raise ActionError("the name of this task is not known")
        call = TaskCall(
            task_id=str(uuid4()),
            task_name=name,
            args=args,
            kwargs=kwargs,
            origin=ORIGIN,
            headers={RERUN_HEADER: known.task_id},
        )
        return call, queue or self._default_queue


def title_of(action: Action, request: ActionRequest) -> str:
    """Return the heading of an answer: what was done to what."""
    if action.action_id == "task.call":
        return clean(f"Call {request.arguments.get('task_name', '')}", 200)
    if action.group == "stamps":
        return clean(f"{action.label}: {request.arguments.get('stamps', '')}", 200)
    if not request.targets:
        return f"{action.label}: every worker" if action.target_kind == "worker" else action.label
    if len(request.targets) == 1:
        return clean(f"{action.label}: {request.targets[0]}", 200)
    return f"{action.label}: {len(request.targets):,} {action.target_kind}s"


def _failed(error: str) -> Performed:
    return Performed(ActionDone("", error=error))


def _told(who: str, text: str) -> ActionDone:
    return ActionDone("", (NodeAnswer(clean_name(who), text),))


def _done(answers: Answers) -> ActionDone:
    told = tuple(_node_answer(name, value) for name, value in sorted(answers.replies.items()))
    return ActionDone(
        "",
        told,
        missing=tuple(clean_name(name) for name in answers.missing),
        error="" if told else "no worker answered",
    )


def _without_farewell(done: ActionDone) -> ActionDone:
    """Return what came of a shutdown: a worker of Celery's stops without an answer."""
    silent = done.missing or (() if done.answers else ("every worker",))
    asked = tuple(NodeAnswer(name, "asked; Celery's stop without an answer") for name in silent)
    return replace(done, answers=done.answers + asked, missing=(), error="")


def _node_answer(name: str, value: object) -> NodeAnswer:
    name = clean_name(name)
    if isinstance(value, Mapping) and value.keys() == {"error"}:
        return NodeAnswer(name, "", shown(value["error"], 500))
    if isinstance(value, Mapping) and value.keys() == {"ok"}:
        return NodeAnswer(name, shown(value["ok"], 500))
    return NodeAnswer(name, "done" if value is None else shown(value, 500))


def _names(text: object) -> list[str] | None:
    names = [name.strip() for name in str(text or "").split(",") if name.strip()]
    return names or None


Targets = tuple[str, ...]
_Remote = Callable[[RemoteControl, Targets, Mapping[str, Any]], Answers]


def _restart(remote: RemoteControl, targets: Targets, given: Mapping[str, Any]) -> Answers:
    return remote.pool_restart(None, targets or None, is_reloading=bool(given.get("reload")))


def _revoke_stamped(remote: RemoteControl, _targets: Targets, given: Mapping[str, Any]) -> Answers:
    signal = given.get("signal", "no")
    is_terminating = signal != "no"
    return remote.revoke_by_stamped_headers(
        given["stamps"],
        is_terminating=is_terminating,
        signal_name=signal if is_terminating else "SIGTERM",
    )


def _inspect(remote: RemoteControl, targets: Targets, given: Mapping[str, Any]) -> Answers:
    what = given["what"]
    if what not in INSPECTABLE:
        raise ActionError(f"{what!r} cannot be asked")
    return remote.run(what, {}, targets or None)


_REMOTE: dict[str, _Remote] = {
    "task.revoke": lambda remote, targets, _given: remote.revoke(targets),
    "task.terminate": lambda remote, targets, given: remote.terminate(
        targets, given.get("signal", "SIGTERM")
    ),
    "task.revoke_by_stamped_headers": _revoke_stamped,
    "worker.ping": lambda remote, targets, _given: remote.ping(targets or None),
    "worker.inspect": _inspect,
    "worker.shutdown": lambda remote, targets, _given: remote.shutdown(targets or None),
    "worker.pool_grow": lambda remote, targets, given: remote.pool_grow(
        given["count"], targets or None
    ),
    "worker.pool_shrink": lambda remote, targets, given: remote.pool_shrink(
        given["count"], targets or None
    ),
    "worker.autoscale": lambda remote, targets, given: remote.autoscale(
        given["max"], given["min"], targets or None
    ),
    "worker.pool_restart": _restart,
    "worker.add_consumer": lambda remote, targets, given: remote.add_consumer(
        given["queue"], targets or None
    ),
    "worker.cancel_consumer": lambda remote, targets, given: remote.cancel_consumer(
        given["queue"], targets or None
    ),
    "worker.rate_limit": lambda remote, targets, given: remote.rate_limit(
        given["task_name"], given["rate_limit"], targets or None
    ),
    "worker.time_limit": lambda remote, targets, given: remote.time_limit(
        given["task_name"], given.get("soft"), given.get("hard"), targets or None
    ),
    "events.enable": lambda remote, targets, _given: remote.enable_events(targets or None),
    "events.disable": lambda remote, targets, _given: remote.disable_events(targets or None),
    "type.rate_limit": lambda remote, targets, given: remote.rate_limit(
        targets[0], given["rate_limit"]
    ),
    "type.time_limit": lambda remote, targets, given: remote.time_limit(
        targets[0], given.get("soft"), given.get("hard")
    ),
    "queue.add_consumer": lambda remote, targets, given: remote.add_consumer(
        targets[0], _names(given.get("workers"))
    ),
    "queue.cancel_consumer": lambda remote, targets, given: remote.cancel_consumer(
        targets[0], _names(given.get("workers"))
    ),
}

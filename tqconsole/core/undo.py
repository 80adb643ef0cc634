"""What takes an action back, where something does.

Only what changed is taken back: a worker that refused, or where it was so already, is left alone.
Limits need to be asked for before they are overwritten; revokes, purges and shutdowns stay done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tqconsole.core.actions import ActionRequest
from tqconsole.core.views import ActionDone
from tqconsole.engine.exceptions import EngineError
from tqconsole.remote_control import RemoteControl

#: Action -> the one that takes it back with the same arguments.
_OPPOSITES = {
    "events.enable": "events.disable",
    "events.disable": "events.enable",
    "worker.add_consumer": "worker.cancel_consumer",
    "worker.cancel_consumer": "worker.add_consumer",
    "worker.pool_grow": "worker.pool_shrink",
    "worker.pool_shrink": "worker.pool_grow",
    "queue.add_consumer": "queue.cancel_consumer",
    "queue.cancel_consumer": "queue.add_consumer",
}
#: Actions that overwrite a limit of a task type, and which attributes of the task these are.
_LIMITS: dict[str, Mapping[str, str]] = {
    "worker.rate_limit": {"rate_limit": "rate_limit"},
    "type.rate_limit": {"rate_limit": "rate_limit"},
    "worker.time_limit": {"hard": "time_limit", "soft": "soft_time_limit"},
    "type.time_limit": {"hard": "time_limit", "soft": "soft_time_limit"},
}
#: What a field says when the attribute was not set.
_UNSET = {"rate_limit": "0"}


def old_limits(request: ActionRequest, remote: RemoteControl) -> Mapping[str, str] | None:
    """Return a type's limits before they change, by the fields of the action.

    None when the action sets none, nobody answered, or the workers did not agree. Asks the workers.
    """
    wanted = _LIMITS.get(request.action_id)
    if wanted is None:
        return None
    is_type = request.action_id.startswith("type.")
    name = request.targets[0] if is_type else str(request.arguments.get("task_name", "")).strip()
    workers = None if is_type else request.targets or None
    try:
        answers = remote.registered(list(wanted.values()), workers)
    except EngineError:
        return None
    told = [_attributes(reply, name) for reply in answers.replies.values()]
    known = [attributes for attributes in told if attributes is not None]
    if not known or any(attributes != known[0] for attributes in known):
        return None
    return {
        field: known[0].get(attribute, _UNSET.get(field, "")) for field, attribute in wanted.items()
    }


def undo_of(
    request: ActionRequest, done: ActionDone, before: Mapping[str, str] | None
) -> ActionRequest | None:
    """Return what takes `request` back, None when nothing does or nothing changed."""
    changed = tuple(
        answer.worker
        for answer in done.answers
        if not answer.error and "already" not in answer.text
    )
    if not changed:
        return None
    make = _MAKERS[request.action_id.partition(".")[0]]
    if before is not None:
        return make(request.action_id, request, changed, before)
    opposite = _OPPOSITES.get(request.action_id)
    return make(opposite, request, changed, {}) if opposite is not None else None


def _attributes(reply: object, name: str) -> dict[str, str] | None:
    """Return the attributes in `name [a=1 b=2]`, None when the worker does not know the task."""
    if not isinstance(reply, Sequence):
        return None
    for line in reply:
        told, _, rest = str(line).partition(" [")
        if told == name:
            pairs = (pair.partition("=") for pair in rest.rstrip("]").split())
            return {key: value for key, _, value in pairs}
    return None


def _of_workers(
    action_id: str, request: ActionRequest, changed: tuple[str, ...], given: Mapping[str, str]
) -> ActionRequest:
    return ActionRequest(action_id, changed, {**request.arguments, **given})


def _of_queue(
    action_id: str, request: ActionRequest, changed: tuple[str, ...], _given: Mapping[str, str]
) -> ActionRequest:
    return ActionRequest(action_id, request.targets, {"workers": ",".join(changed)})


def _of_type(
    action_id: str, request: ActionRequest, _changed: tuple[str, ...], given: Mapping[str, str]
) -> ActionRequest:
    return ActionRequest(action_id, request.targets, given)


_Maker = Callable[[str, ActionRequest, tuple[str, ...], Mapping[str, str]], ActionRequest]
_MAKERS: dict[str, _Maker] = {
    "worker": _of_workers,
    "events": _of_workers,
    "queue": _of_queue,
    "type": _of_type,
    "task": _of_workers,
    "dead": _of_workers,
}

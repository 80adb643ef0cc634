"""From a workflow to what is written to begin it: chords opened in the store, messages built.

The phase before `send` for signatures that are more than one message. The chords are opened before
any message leaves; one that is opened and never begun expires with its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tqconsole.engine import current, serialization
from tqconsole.engine.backends.base import Backend, Joiner
from tqconsole.engine.canvas.plan import Plan
from tqconsole.engine.canvas.signature import Signature
from tqconsole.engine.exceptions import EncodeError, NotSupportedError
from tqconsole.engine.protocol.chord import group_key


class ChordApp(Protocol):
    """What opening chords needs of the App."""

    conf: Any

    @property
    def backend(self) -> Backend:
        """The result store."""
        ...


def plan_of(
    app: Any, sig: Signature, args: Any, kwargs: Any, options: dict[str, Any]
) -> tuple[Plan, Any]:
    """Return what begins a workflow, and its result. The signature stays as it is.

    Raises: EncodeError for one that contains itself; TypeError for one that cannot be sent.
    """
    sending_task = current.get_current_worker_task()
    request = None if sending_task is None else sending_task.request
    plan = Plan(app, root_id=None if request is None else request.root_id or request.id)
    try:
        return plan, sig.clone().unfold(plan, args, kwargs, options)
    except RecursionError:
        raise EncodeError(
            f"this {sig.subtask_type or 'call'} of {sig.task} contains itself, or is nested too"
            " deeply to be sent"
        ) from None


def open_chords(app: ChordApp, plan: Plan) -> None:
    """Make the store ready for what comes back. Raises: NotSupportedError, OperationalError."""
    if not plan.chords:
        return
    joiner = joiner_of(app)
    expires_s = chord_expires_s(app)
    for start in plan.chords:
        if start.tree is not None:
            fields = {"result": start.tree}
            tree = serialization.encode(fields, app.conf.result_serializer)[2]
            app.backend.put(group_key(start.group_id), tree, expires_s)
        joiner.open_chord(start.group_id, start.size, expires_s)


def joiner_of(app: ChordApp) -> Joiner:
    """Return where chords come together. Raises: NotSupportedError."""
    joiner = app.backend.joiner
    if joiner is None:
        raise NotSupportedError(
            f"A chord needs a store that counts its parts, and {app.backend.url} does not: set"
            " result_backend to redis:// or sqlite://"
        )
    return joiner


def chord_expires_s(app: ChordApp) -> float | None:
    """Return how long what belongs to a chord is kept, None for ever."""
    conf = app.conf
    name = "result_expires" if conf.result_chord_expires is None else "result_chord_expires"
    return conf.seconds(name)  # type: ignore[no-any-return]  # settings are Any


def take_own_options(options: dict[str, Any]) -> bool:
    """Take out what says how to send; return whether the result is noted by the sending task."""
    for name in ("producer", "publisher", "connection", "router", "result_cls"):
        options.pop(name, None)
    return bool(options.pop("add_to_parent", True))


def call_parts(plan: Plan) -> Sequence[tuple[Any, Any, Any, dict[str, Any]]]:
    """Return the plan's calls as `send_many` takes them. The sending task notes the whole only."""
    return [
        (call.target, call.args, call.kwargs, {**call.options, "add_to_parent": False})
        for call in plan.calls
    ]


def told_result(sig: Signature, result: Any) -> Any:
    """Return what the sender is given: for a group of nothing but `a | group(b, c)` the inner
    group, as in Celery.
    """
    members = list(getattr(result, "results", None) or ())
    if sig.subtask_type == "group" and len(members) == 1 and hasattr(members[0], "results"):
        return members[0]
    return result

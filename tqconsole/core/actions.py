"""The table of everything that can be done from the console, and what a screen posts to ask for it.

One table: from it come the dialogs, the action menu, the help, the keys' meaning and the palette.
How an action is carried out stands in `perform.py`; its command line in `equivalent.py`.
Rule: an action that changes the cluster has an uppercase key, always asks, and is gone in
read-only mode; every other one has a lowercase key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tqconsole.core.action_fields import (
    CALL_FIELDS,
    COUNT,
    HARD,
    INSPECTABLE,
    QUEUE,
    RATE,
    SIGNAL,
    SOFT,
    STAMPS_FIELDS,
    TASK_NAME,
    Field,
)


class Confirm(Enum):
    """What the dialog asks before the action goes out."""

    #: Nothing: it changes nothing.
    NONE = "none"
    #: A dialog with Cancel focused.
    PLAIN = "plain"
    #: The target's name must be typed (see `confirm_word`).
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done to a task, worker, queue, type, beat, dead or the cluster.

    `group` gathers the actions that share a key and a dialog (P on workers: grow, shrink, ...).
    `can_bulk`: it takes several targets at once.
    """

    action_id: str
    label: str
    help: str
    key: str
    target_kind: str
    group: str
    does_change: bool = True
    is_danger: bool = False
    confirm: Confirm = Confirm.PLAIN
    can_bulk: bool = True
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What a screen asks for. `targets`: task ids, node names, queue names or letter ids.

    `arguments` by the names of the action's fields; text as typed is fine, it is checked here.
    For worker actions no target means "every worker".
    """

    action_id: str
    targets: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)


_TABLE: tuple[Action, ...] = (
    Action(
        "task.rerun",
        "Re-run",
        "Send the same call again under a new id, with the real arguments when they can be found.",
        "R",
        "task",
        "rerun",
        fields=(
            Field("args", "Args", "json-list", help="empty: as the task had them"),
            Field("kwargs", "Kwargs", "json-object", help="empty: as the task had them"),
            Field("queue", "Queue", help="empty: as the task had it"),
        ),
    ),
    Action(
        "task.revoke",
        "Revoke",
        "Workers will discard it instead of starting it; what already runs goes on.",
        "X",
        "task",
        "revoke",
        is_danger=True,
    ),
    Action(
        "task.terminate",
        "Terminate",
        "Revoke it and kill the process that runs it (prefork pool only).",
        "X",
        "task",
        "revoke",
        is_danger=True,
        fields=(SIGNAL,),
    ),
    Action(
        "task.abort",
        "Abort",
        "Ask an AbortableTask to stop: it looks for that in the result store when it likes.",
        "X",
        "task",
        "revoke",
        can_bulk=False,
    ),
    Action(
        "task.revoke_by_stamped_headers",
        "Revoke by stamp",
        "Workers discard every task that carries one of these stamps, also those sent later.",
        "S",
        "cluster",
        "stamps",
        is_danger=True,
        can_bulk=False,
        fields=STAMPS_FIELDS,
    ),
    Action(
        "task.call",
        "New call",
        "Send a task by its name.",
        "N",
        "cluster",
        "call",
        can_bulk=False,
        fields=CALL_FIELDS,
    ),
    Action(
        "worker.ping",
        "Ping",
        "Ask who answers.",
        "b",
        "worker",
        "ping",
        does_change=False,
        confirm=Confirm.NONE,
    ),
    Action(
        "worker.inspect",
        "Inspect",
        "Ask a worker what it has.",
        "i",
        "worker",
        "inspect",
        does_change=False,
        confirm=Confirm.NONE,
        fields=(Field("what", "What", "choice", "stats", INSPECTABLE, is_required=True),),
    ),
    Action(
        "worker.shutdown",
        "Shut down",
        "Warm shutdown: it finishes what runs, takes nothing new and ends.",
        "X",
        "worker",
        "shutdown",
        is_danger=True,
        confirm=Confirm.NAME,
    ),
    Action(
        "worker.pool_grow",
        "Grow the pool",
        "Add processes or threads until the worker restarts.",
        "P",
        "worker",
        "pool",
        fields=(COUNT,),
    ),
    Action(
        "worker.pool_shrink",
        "Shrink the pool",
        "Remove processes or threads; what runs is finished first.",
        "P",
        "worker",
        "pool",
        fields=(COUNT,),
    ),
    Action(
        "worker.autoscale",
        "Autoscale",
        "Set the bounds of a worker that was started with --autoscale.",
        "P",
        "worker",
        "pool",
        fields=(
            Field("max", "Most", "int", is_required=True),
            Field("min", "Least", "int", is_required=True),
        ),
    ),
    Action(
        "worker.pool_restart",
        "Restart the pool",
        "Replace all processes; the worker needs worker_pool_restarts.",
        "P",
        "worker",
        "pool",
        is_danger=True,
        fields=(Field("reload", "Reload modules", "bool", "false"),),
    ),
    Action(
        "worker.add_consumer",
        "Consume from a queue",
        "Until the worker restarts.",
        "Q",
        "worker",
        "consumers",
        fields=(QUEUE,),
    ),
    Action(
        "worker.cancel_consumer",
        "Stop consuming from a queue",
        "Until the worker restarts.",
        "Q",
        "worker",
        "consumers",
        fields=(QUEUE,),
    ),
    Action(
        "worker.rate_limit",
        "Rate limit",
        "Set a task type's rate on these workers; 0 switches it off.",
        "L",
        "worker",
        "limits",
        fields=(
            TASK_NAME,
            RATE,
        ),
    ),
    Action(
        "worker.time_limit",
        "Time limits",
        "Set a task type's limits on these workers, for later runs.",
        "L",
        "worker",
        "limits",
        fields=(
            TASK_NAME,
            HARD,
            SOFT,
        ),
    ),
    Action(
        "events.enable",
        "Enable task events",
        "Until the worker restarts; no target means every worker.",
        "E",
        "worker",
        "events",
    ),
    Action(
        "events.disable",
        "Disable task events",
        "The console then sees only what inspect tells.",
        "E",
        "worker",
        "events",
    ),
    Action(
        "type.rate_limit",
        "Rate limit",
        "Set this type's rate on every worker; 0 switches it off.",
        "L",
        "type",
        "limits",
        can_bulk=False,
        fields=(RATE,),
    ),
    Action(
        "type.time_limit",
        "Time limits",
        "Set this type's limits on every worker, for later runs.",
        "L",
        "type",
        "limits",
        can_bulk=False,
        fields=(
            HARD,
            SOFT,
        ),
    ),
    Action(
        "queue.purge",
        "Purge",
        "Delete all waiting messages of this queue for good.",
        "P",
        "queue",
        "purge",
        is_danger=True,
        confirm=Confirm.NAME,
        can_bulk=False,
    ),
    Action(
        "queue.add_consumer",
        "Let workers consume from it",
        "No worker given: all of them.",
        "Q",
        "queue",
        "consumers",
        can_bulk=False,
        fields=(Field("workers", "Workers", help="names, separated by commas"),),
    ),
    Action(
        "queue.cancel_consumer",
        "Stop workers consuming from it",
        "No worker given: all of them.",
        "Q",
        "queue",
        "consumers",
        is_danger=True,
        can_bulk=False,
        fields=(Field("workers", "Workers", help="names, separated by commas"),),
    ),
    Action(
        "beat.run",
        "Run now",
        "Send what this entry of the schedule sends; the schedule goes on as it was.",
        "B",
        "beat",
        "run",
        can_bulk=False,
        fields=CALL_FIELDS,
    ),
    Action(
        "dead.replay",
        "Replay",
        "Put these dead letters back into their queues.",
        "R",
        "dead",
        "replay",
    ),
    Action(
        "dead.edit",
        "Edit and replay",
        "Put this dead letter back with other arguments; the letter goes.",
        "R",
        "dead",
        "replay",
        can_bulk=False,
        fields=(
            Field("args", "Args", "json-list", help="empty: as the letter has them"),
            Field("kwargs", "Kwargs", "json-object", help="empty: as the letter has them"),
        ),
    ),
    Action(
        "dead.drop",
        "Drop",
        "Delete these dead letters for good.",
        "X",
        "dead",
        "drop",
        is_danger=True,
    ),
)

ACTIONS: dict[str, Action] = {action.action_id: action for action in _TABLE}


def actions_for(target_kind: str) -> tuple[Action, ...]:
    """Return the actions of a kind of target, in the order of the menus."""
    return tuple(action for action in _TABLE if action.target_kind == target_kind)


def actions_of_group(target_kind: str, group: str) -> tuple[Action, ...]:
    """Return the actions that share one key and one dialog."""
    return tuple(action for action in actions_for(target_kind) if action.group == group)


def confirm_word(action: Action, targets: Sequence[str]) -> str:
    """Return what must be typed before `action` may go out, "" when a plain dialog is enough.

    More than one target always wants their count: a mark too many is found by counting.
    """
    if not action.does_change:
        return ""
    if len(targets) > 1:
        return str(len(targets))
    if action.confirm is Confirm.NAME:
        return targets[0] if targets else "all"
    return ""

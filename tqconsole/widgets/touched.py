"""What an action will touch, in words, for its dialog: whom, how many, and what becomes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tqconsole.core.actions import Action
from tqconsole.core.port import ConsoleSession
from tqconsole.core.views import Snapshot, WorkerView
from tqconsole.widgets import figures

#: Targets named one by one; the rest is counted.
NAMED = 3
#: Tasks looked at to tell waiting ones from running ones.
LOOKED_AT = 5000
#: Pools that can kill the process of one task.
KILLING_POOLS = frozenset({"prefork"})

Notes = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Tasks:
    """What tasks do now, and on which workers those run that run."""

    waiting: int = 0
    running: int = 0
    ended: int = 0
    unseen: int = 0
    workers: tuple[str, ...] = ()


def why_off(session: ConsoleSession, action: Action, targets: Sequence[str]) -> str:
    """Return why an action cannot be asked for on these targets, "" when it can."""
    if action.does_change and session.is_read_only:
        return "off: read-only"
    if action.action_id == "task.abort" and not _are_abortable(session, targets):
        return "off: no AbortableTask by the app at hand (-A)"
    return ""


def _are_abortable(session: ConsoleSession, targets: Sequence[str]) -> bool:
    rows = [session.task(task_id) for task_id in targets[:LOOKED_AT]]
    return all(row is not None and session.is_abortable(row.name) for row in rows)


def targets_text(action: Action, targets: Sequence[str]) -> str:
    """Return the targets for a title: one by name, several by count."""
    noun = {"dead": "dead letter", "type": "task type"}.get(action.target_kind, action.target_kind)
    if not targets:
        return "every worker" if action.target_kind == "worker" else ""
    if len(targets) == 1:
        return targets[0][:8] if action.target_kind == "task" else targets[0]
    return figures.plural(len(targets), noun)


def targets_names(target_kind: str, targets: Sequence[str]) -> str:
    """Return the first targets by name and how many more there are."""
    if not targets:
        return "every worker that answers" if target_kind == "worker" else "the cluster"
    # An id is known by its beginning, and three whole ones fit no line.
    named = [target[:8] if target_kind == "task" else target for target in targets[:NAMED]]
    shown = ", ".join(named)
    more = len(targets) - NAMED
    return f"{shown} and {more:,} more" if more > 0 else shown


def touched(
    session: ConsoleSession,
    snapshot: Snapshot,
    target_kind: str,
    group: str,
    targets: Sequence[str],
) -> Notes:
    """Return (word, text) lines on what an action of this group will do to its targets."""
    match target_kind, group:
        case "task", _:
            return _of_tasks(session, snapshot, group, targets)
        case "cluster", "stamps":
            return [
                ("reach", _reach(snapshot)),
                ("kept", "in the workers' memory; it cannot be taken back"),
            ]
        case "worker", "shutdown" | "pool":
            return _of_workers(snapshot, group, targets)
        case "worker" | "type", _:
            return [("reach", _reach(snapshot))] if not targets or target_kind == "type" else []
        case "queue", "purge":
            return _of_purge(snapshot, targets)
        case "queue", "consumers":
            return _of_consumers(snapshot, targets)
        case _:
            return []


def _of_tasks(
    session: ConsoleSession, snapshot: Snapshot, group: str, targets: Sequence[str]
) -> Notes:
    tasks = _looked_at(session, targets)
    counts = (
        (tasks.waiting, "not started"),
        (tasks.running, "running"),
        (tasks.ended, "ended already"),
        (tasks.unseen, "never seen here"),
    )
    now = ", ".join(f"{count:,} {words}" for count, words in counts if count)
    notes = [("now", now), ("reach", _reach(snapshot))]
    if group == "revoke":
        notes.append(("kept", "in the workers' memory: --statedb keeps it over a restart"))
        notes += _unkillable(snapshot, tasks.workers)
    if group == "rerun":
        notes.append(("sends", "each with its real arguments; who has none is left out and told"))
    return notes


def _looked_at(session: ConsoleSession, targets: Sequence[str]) -> _Tasks:
    waiting = running = ended = unseen = 0
    workers: list[str] = []
    for task_id in targets[:LOOKED_AT]:
        row = session.task(task_id)
        if row is None:
            unseen += 1
        elif row.ended_at is not None:
            ended += 1
        elif row.started_at is not None:
            running += 1
            workers.append(row.worker)
        else:
            waiting += 1
    return _Tasks(waiting, running, ended, unseen, tuple(workers))


def _unkillable(snapshot: Snapshot, names: Sequence[str]) -> Notes:
    """Return a warning where tasks run in pools that cannot kill one of them."""
    pools = {view.name: view.pool for view in snapshot.workers}
    kinds = Counter(
        pool for name in names if (pool := pools.get(name, "")) and pool not in KILLING_POOLS
    )
    if not kinds:
        return []
    where = ", ".join(f"{count:,} in a pool of {pool}" for pool, count in kinds.items())
    return [("terminate", f"does nothing to {where}: only prefork can kill a task")]


def _of_workers(snapshot: Snapshot, group: str, targets: Sequence[str]) -> Notes:
    views = [view for view in snapshot.workers if not targets or view.name in targets]
    online = [view for view in views if view.status == "online"]
    busy = sum(view.active_count or 0 for view in online)
    running = f"{figures.plural(busy, 'task')} running there" if busy else "nothing runs there"
    ending = ", which will be finished" if busy and group == "shutdown" else ""
    notes = [("now", f"{running}{ending}")]
    silent = [view.name for view in views if view.status in ("silent", "lost")]
    if silent:
        notes.append(("silent", f"{targets_names('worker', silent)}: may not answer"))
    return notes


def _of_purge(snapshot: Snapshot, targets: Sequence[str]) -> Notes:
    view = next((view for view in snapshot.queues if view.name in targets), None)
    if view is None or view.ready_count is None:
        return [("deletes", "all that waits there; how many that is, is not known")]
    count = figures.plural(view.ready_count, "message")
    notes = [("deletes", f"{count} that wait there now, for good")]
    if view.unacked_count:
        notes.append(("not touched", f"{view.unacked_count:,} that workers have in hand"))
    return notes


def _of_consumers(snapshot: Snapshot, targets: Sequence[str]) -> Notes:
    names = consumers_of(snapshot.workers, targets[0]) if targets else []
    return [("consumed by", targets_names("queue", names) if names else "nobody that answers")]


def consumers_of(workers: Sequence[WorkerView], queue: str) -> list[str]:
    """Return the names of the workers that said they consume from a queue and are not gone."""
    return [view.name for view in workers if queue in view.queues and view.status != "gone"]


def _reach(snapshot: Snapshot) -> str:
    totals = snapshot.totals
    return f"{totals.workers_online} of {figures.plural(totals.workers_known, 'worker')} online"

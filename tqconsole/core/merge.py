"""Folds one event of a task into its row, so that the order of arrival does not matter.

Events come late, twice, out of order, and from several machines. What decides is, in this order:
SUCCESS is never taken back; a sent call is known least; then the worker's own time stamp (put on
this console's clock by the caller), then how far along the state is, then the worker's name. No
global logical clock is asked: it starts again with each restart of a worker.
Facts that belong to the deciding event (worker, end, result, run time, progress) are replaced with
it; facts of the call (name, args, ...) come from the newest `task-received`, else `task-sent`; an
exception from the newest failure or retry. So any permutation of the same events gives one row.
One thing is decided by arrival: when a task was held for lost, the next worker that has it wins.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

from tqconsole.core.sanitize import NAME_CHARS, clean, clean_lines, clean_name
from tqconsole.core.views import TaskRow
from tqconsole.engine import states

Event = Mapping[str, Any]

#: How far along a life is, for events with one time stamp; a custom state ranks with STARTED.
_PROGRESS = {
    states.PENDING: 0,
    states.RECEIVED: 1,
    states.STARTED: 2,
    states.RETRY: 4,
    states.REJECTED: 5,
    states.REVOKED: 6,
    states.FAILURE: 7,
    states.SUCCESS: 8,
}
_CUSTOM_PROGRESS = 3

#: What decides before any clock: a call that was only sent, what a worker told, success.
_LEVELS = {states.PENDING: 0, states.SUCCESS: 2}
_USUAL_LEVEL = 1

#: States that end a run (a retry ends one and waits for the next).
ENDINGS = frozenset({states.SUCCESS, states.FAILURE, states.RETRY, states.REVOKED, states.REJECTED})
#: States after which nothing more is awaited.
ENDED = ENDINGS - {states.RETRY}
#: States of rows that are worth keeping longer than others.
PROBLEMS = frozenset({states.FAILURE, states.RETRY, states.REVOKED, states.REJECTED})
#: States in which nobody works on the task: all others mean that it runs.
RESTING = frozenset({states.PENDING, states.RECEIVED, "CANCELLED"}) | ENDINGS

#: task event -> the state it tells; any other suffix is its own state, upper-cased as in Celery.
_STATES = {
    "task-sent": states.PENDING,
    "task-received": states.RECEIVED,
    "task-started": states.STARTED,
    "task-progress": states.STARTED,
    "task-succeeded": states.SUCCESS,
    "task-failed": states.FAILURE,
    "task-retried": states.RETRY,
    "task-revoked": states.REVOKED,
    "task-rejected": states.REJECTED,
}


def state_of(event_type: str) -> str:
    """Return the state that a `task-...` event tells."""
    return _STATES.get(event_type) or sys.intern(clean(event_type[5:], 40).upper())


def merge(row: TaskRow, event: Event, at: float, worker: str) -> bool:
    """Fold `event`, which `worker` sent at `at` by the console's clock, into `row`.

    Returns whether it decides the state of the row now. Never raises, whatever the event says.
    """
    event_type = event["type"]
    state, level, note = _KINDS.get(event_type) or _kind(event_type)
    if level == 0:
        worker = ""  # A client tells of it.
    row.revision += 1
    row.source = "events"
    row.search = ""
    if note is not None:
        note(row, event, at)
    # Nearly every event is newer than all before it, and no less known: that decides.
    is_plain = at > row.updated_at and level >= _LEVELS.get(row.state, _USUAL_LEVEL)
    has_decided = (is_plain and not row.is_lost) or _decides(row, state, at, worker)
    if has_decided:
        _take_over(row, event, state, at, worker)
    if row.state in PROBLEMS:
        _derive_runtime(row)
    return has_decided


def _decides(row: TaskRow, state: str, at: float, worker: str) -> bool:
    if row.is_lost and worker and worker != row.worker:
        return True
    level, old_level = _LEVELS.get(state, _USUAL_LEVEL), _LEVELS.get(row.state, _USUAL_LEVEL)
    if level != old_level:
        return level > old_level
    if at != row.updated_at:
        return at > row.updated_at
    return (_rank(state), worker) > (_rank(row.state), row.worker)


def _rank(state: str) -> int:
    return _PROGRESS.get(state, _CUSTOM_PROGRESS)


def _take_over(row: TaskRow, event: Event, state: str, at: float, worker: str) -> None:
    row.state = state
    row.updated_at = at
    row.is_lost = False
    if worker:
        row.worker = worker
    row.result = ""
    row.runtime_s = None
    row.ended_at = None
    row.progress_done = row.progress_total = None
    if state in ENDINGS:
        row.ended_at = at
        _take_ending(row, event, state)
    elif event["type"] == "task-progress":
        row.progress_done = number(event.get("done"))
        row.progress_total = number(event.get("total"))


def _take_ending(row: TaskRow, event: Event, state: str) -> None:
    if state == states.SUCCESS:
        row.result = clean(event.get("result"))
        row.runtime_s = number(event.get("runtime"))
        row.exception = row.traceback = ""
        row.failed_at = None
    elif state == states.REVOKED:
        row.result = _why_revoked(event)
    elif state == states.REJECTED:
        row.result = "requeued" if event.get("requeue") else "rejected"


def _why_revoked(event: Event) -> str:
    if event.get("expired"):
        return "expired"
    if event.get("terminated"):
        return clean(f"terminated, signal {event.get('signum')}", 80)
    return "revoked"


def _derive_runtime(row: TaskRow) -> None:
    """A run that failed has no run time of its own in its event: it is the end less the start."""
    if row.started_at is not None and row.ended_at is not None:
        ran_s = row.ended_at - row.started_at
        row.runtime_s = ran_s if ran_s >= 0 else None


def _note_sent(row: TaskRow, event: Event, at: float) -> None:
    is_newest = row.sent_at is None or at >= row.sent_at
    if is_newest:
        row.sent_at = at
    _note_call(row, event, overrides=is_newest and row.received_at is None)


def _note_received(row: TaskRow, event: Event, at: float) -> None:
    is_newest = row.received_at is None or at >= row.received_at
    if is_newest:
        row.received_at = at
    _note_call(row, event, overrides=is_newest)


def _note_started(row: TaskRow, _event: Event, at: float) -> None:
    if row.started_at is None or at > row.started_at:
        row.started_at = at


def _note_failed(row: TaskRow, event: Event, at: float) -> None:
    if row.state == states.SUCCESS:
        return
    exception = clean(event.get("exception"))
    known_at = row.failed_at if row.failed_at is not None else float("-inf")
    if (at, exception) >= (known_at, row.exception):
        row.failed_at = at
        row.exception = exception
        row.traceback = clean_lines(event.get("traceback"))


def _note_call(row: TaskRow, event: Event, *, overrides: bool) -> None:
    # Written out, since of all that an event changes this is the most. What a client has told
    # already a worker tells in the same words: it is clean, and takes no second text.
    get = event.get
    if (name := get("name")) != row.name and name and (overrides or not row.name):
        row.name = _name(name)
    if (args := get("args")) != row.args and args and (overrides or not row.args):
        row.args = clean(args)
    if (kwargs := get("kwargs")) != row.kwargs and kwargs and (overrides or not row.kwargs):
        row.kwargs = clean(kwargs)
    if (queue := get("queue")) and (overrides or not row.queue):
        row.queue = _name(queue)
    if (root_id := get("root_id")) != row.root_id and root_id and (overrides or not row.root_id):
        # Most tasks are their own root: one text for both.
        row.root_id = row.task_id if root_id == row.task_id else clean_name(root_id)
    if (parent_id := get("parent_id")) and (overrides or not row.parent_id):
        row.parent_id = clean_name(parent_id)
    if (eta := get("eta")) and (overrides or not row.eta):
        row.eta = clean_name(eta)
    if (expires := get("expires")) and (overrides or not row.expires):
        row.expires = clean_name(expires)
    retries = get("retries")
    if retries and isinstance(retries, int) and row.retries < retries < 1_000_000:
        row.retries = retries


def _name(value: object) -> str:
    if type(value) is str and len(value) <= NAME_CHARS:
        return _known_name(value)
    return sys.intern(clean_name(value))


@lru_cache(maxsize=4096)
def _known_name(name: str) -> str:
    """Return a name cleaned; there are few, and each comes again and again."""
    return sys.intern(clean_name(name))


_NOTES: dict[str, Callable[[TaskRow, Event, float], None]] = {
    "task-sent": _note_sent,
    "task-received": _note_received,
    "task-started": _note_started,
    "task-failed": _note_failed,
    "task-retried": _note_failed,
}


def _kind(event_type: str) -> tuple[str, int, Callable[[TaskRow, Event, float], None] | None]:
    """Return the state an event tells, its level, and what is noted whether it decides or not."""
    state = state_of(event_type)
    return state, _LEVELS.get(state, _USUAL_LEVEL), _NOTES.get(event_type)


_KINDS = {event_type: _kind(event_type) for event_type in _STATES}


def number(value: object) -> float | None:
    """Return a finite, not negative number of an event as float, None for anything else."""
    if type(value) is float:
        return value if isfinite(value) and value >= 0 else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        as_float = float(value)
    except OverflowError:
        return None
    return as_float if isfinite(as_float) and as_float >= 0 else None

"""What never runs because something before it failed: its records say why, its chords are told.

A chain's rest and a chord's body have ids that somebody may wait for. As in Celery they fail with
the error that kept them from running.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from tqconsole.engine import states
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.canvas.signature import Signature, signature
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import EngineError
from tqconsole.engine.middleware.base import RunHub
from tqconsole.engine.protocol.result import ResultRecord
from tqconsole.engine.protocol.transfer import ResultWrite

logger = logging.getLogger(__name__)


class ReturnedPart(msgspec.Struct, frozen=True):
    """One part of a chord that ended: where it belongs, and its value or error."""

    task_id: str
    group_id: str
    group_index: int | None
    root_id: str
    chord: Any
    state: str
    value: Any


class Fallout:
    """What a failure means for others: the calls that never run, and the chords to be told."""

    def __init__(self, root_id: str) -> None:
        self.calls: list[Signature] = []
        self.parts: list[ReturnedPart] = []
        self._root_id = root_id

    def add_part(self, options: Any, error: BaseException, state: str = states.FAILURE) -> None:
        """Add the part that a call's options make it, if they do."""
        task_id, group_id = options.get("task_id"), options.get("group_id")
        chord = options.get("chord")
        if chord and task_id and group_id:
            index = options.get("group_index")
            self.parts.append(
                ReturnedPart(task_id, group_id, index, self._root_id, chord, state, error)
            )


def fallout_of(app: Any, request: Context, state: str, error: BaseException) -> Fallout:
    """Return what a run's failure means for its chord and for the rest of its chain."""
    fallout = Fallout(str(request.root_id or request.id))
    own = {
        "task_id": request.id,
        "group_id": request.group,
        "group_index": request.group_index,
        "chord": request.chord,
    }
    fallout.add_part(own, error, state)
    _fail_rest(app, fallout, request.chain, error)
    return fallout


def fail_call(app: Any, fallout: Fallout, sig: Signature, error: BaseException) -> list[Signature]:
    """Add the calls that a signature stands for, and what follows them; return the former."""
    failed: list[Signature] = []
    match sig.subtask_type:
        case "group":
            for member in sig["kwargs"]["tasks"]:
                failed += fail_call(app, fallout, sig.member(member), error)
        case "chain":
            first, *others = sig["kwargs"]["tasks"]
            failed += fail_call(app, fallout, sig.member(first), error)
            _fail_rest(app, fallout, others, error)
        case "chord":
            failed += fail_call(app, fallout, sig.member(sig["kwargs"]["body"]), error)
        case _:
            failed.append(sig)
            fallout.calls.append(sig)
            fallout.add_part(sig.options, error)
    _fail_rest(app, fallout, sig.options.get("chain"), error)
    return failed


def failure_writes(
    hub: RunHub, calls: Sequence[Signature], error: BaseException, trace: str
) -> list[ResultWrite]:
    """Return the records of calls that never run. Those of tasks with a store of their own are
    written here.
    """
    writes = []
    for sig in calls:
        task = hub.tasks.get(sig.task)
        store = task.backend if task is not None and task.has_own_store else hub.backend
        if not store.is_enabled or _is_ignored(sig, task) or not sig.id:
            continue
        write = hub.result_write(_record(hub, sig, error, trace), sig.options.get("reply_to"))
        if store is hub.backend:
            writes.append(write)
        else:
            _write_there(store, write)
    return writes


def _fail_rest(app: Any, fallout: Fallout, chain: Any, error: BaseException) -> None:
    for step in chain or ():
        try:
            fail_call(app, fallout, signature(dict(step), app=app), error)
        except Exception as failure:  # noqa: BLE001 - whoever wrote it: the others are told all the same
            logger.warning("A call that never runs cannot be told so: %r", failure)


def _is_ignored(sig: Signature, task: Any) -> bool:
    ignored = sig.options.get("ignore_result")
    return bool(task is not None and task.ignore_result if ignored is None else ignored)


def _record(hub: RunHub, sig: Signature, error: BaseException, trace: str) -> ResultRecord:
    return ResultRecord(
        task_id=str(sig.id),
        state=states.FAILURE,
        result=error,
        traceback=trace or None,
        children=[],
        date_done_at=hub.wall_clock.now(),
        group_id=sig.options.get("group_id"),
        parent_id=sig.options.get("parent_id"),
    )


def _write_there(store: Backend, write: ResultWrite) -> None:
    try:
        store.store([write])
    except EngineError as failure:
        logger.warning("That %s cannot run any more was not stored: %s", write.task_id, failure)

"""What became of a run, as a record for the result store (wire.md §4.1).

The record is encoded here, in the process that ran the task, and leaves with the outcome; only
STARTED, and records of a task that has a store of its own, are written from here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from tqconsole.engine import states
from tqconsole.engine.exceptions import EngineError, Ignore, Reject
from tqconsole.engine.middleware.base import Middleware, Run, RunHub
from tqconsole.engine.middleware.chords import return_part, until_done
from tqconsole.engine.middleware.fallout import ReturnedPart, failure_writes, fallout_of
from tqconsole.engine.middleware.records import Records
from tqconsole.engine.protocol.result import decode_record
from tqconsole.engine.protocol.transfer import ResultWrite
from tqconsole.engine.result import AsyncResult, GroupResult
from tqconsole.engine.task import Task

logger = logging.getLogger(__name__)

#: Attempts to write to a task's own store, and the pause between two, seconds.
_ATTEMPT_COUNT = 4
_PAUSE_S = 0.25


class Results(Middleware):
    """Writes the records of ends, and of retries."""

    def __init__(self, hub: RunHub) -> None:
        self._hub = hub
        self._records = Records(hub)

    def after_success(self, run: Run) -> None:
        """Record the value. Raises: EncodeError when it cannot be written."""
        request, value = run.request, run.value
        if isinstance(value, (AsyncResult, GroupResult)):
            value = value.as_tuple()
        if not request.ignore_result:
            self._record(run, value)
        if request.chord is not None and request.group and request.id:
            where = (request.id, request.group, request.group_index, str(request.root_id))
            self._return(run, [ReturnedPart(*where, request.chord, states.SUCCESS, value)])

    def after_retry(self, run: Run) -> None:
        """Record the cause of the retry."""
        if not run.request.ignore_result:
            self._record(run, run.value.exc)

    def after_failure(self, run: Run) -> None:
        """Record the error; what was to come after the run fails with it."""
        request = run.request
        if not request.ignore_result or run.task.store_errors_even_if_ignored:
            self._record(run, run.value)
        if request.chord is not None or request.chain:
            trace = run.einfo.traceback if run.einfo else ""
            fallout = fallout_of(self._hub, request, states.FAILURE, run.value)
            run.results += failure_writes(self._hub, fallout.calls, run.value, trace)
            self._return(run, fallout.parts)

    def after_run(self, run: Run) -> None:
        """Record what was rejected for good as a failure, as Celery does."""
        if isinstance(run.value, Reject) and run.state == states.REJECTED and not run.value.requeue:
            self.after_failure(run)

    def _return(self, run: Run, parts: Sequence[ReturnedPart]) -> None:
        """Let chords know of their parts, which takes the run's records along."""
        hub = self._hub
        for part in parts:
            writes, run.results = run.results, []
            until_done(hub, partial(return_part, hub, part, writes))

    def write_of(self, run: Run, state: str, value: Any) -> ResultWrite:
        """Return the write of a record. Raises: EncodeError."""
        # What a task has rejected itself is no error whose place anybody looks for.
        has_trace = run.einfo is not None and run.state != states.REJECTED
        trace = run.einfo.traceback if run.einfo and has_trace else None
        return self._records.write_of(run.request, state, value, trace)

    def _record(self, run: Run, value: Any) -> None:
        store = run.task.backend
        if not store.is_enabled:
            return
        state = states.FAILURE if run.state == states.REJECTED else run.state
        write = self.write_of(run, state, value)
        if store is self._hub.backend:
            run.results.append(write)
        else:
            self._write_here(store, write)

    def _write_here(self, store: Any, write: ResultWrite) -> None:
        """Write to a task's own store, of which the worker's loop knows nothing."""
        for attempt in range(1, _ATTEMPT_COUNT + 1):
            try:
                store.store([write])
            except EngineError:
                if attempt == _ATTEMPT_COUNT:
                    logger.exception("The result of task %s could not be stored", write.task_id)
                self._hub.wall_clock.sleep(_PAUSE_S)
            else:
                return


class Starts(Middleware):
    """Writes STARTED, at once, for tasks with `track_started`."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def has_work(self, task: Task) -> bool:
        """Return True for a task that tells its starts."""
        return bool(task.track_started)

    def before_run(self, run: Run) -> None:
        """Write who runs it; a store that fails costs the mark, not the run."""
        task = run.task
        if run.request.ignore_result or not task.backend.is_enabled:
            return
        meta = {"pid": os.getpid(), "hostname": run.request.hostname}
        try:
            task.backend.store([self._results.write_of(run, states.STARTED, meta)])
        except EngineError as error:
            logger.warning("STARTED of task %s was not stored: %s", run.request.id, error)


class Duplicates(Middleware):
    """Skips a call that came again although its success is on record.

    For late-acknowledged tasks, with `worker_deduplicate_successful_tasks`.
    """

    def __init__(self, hub: RunHub) -> None:
        self._hub = hub

    def has_work(self, task: Task) -> bool:
        """Return True for a task whose message may come again after it ran."""
        return bool(task.acks_late)

    def before_run(self, run: Run) -> None:
        """Raise Ignore when the task has succeeded before."""
        if not run.is_redelivered:
            return
        if not self._hub.conf.worker_deduplicate_successful_tasks:
            return
        if self._has_succeeded(run):
            logger.info("Task %s[%s] has succeeded before", run.task.name, run.request.id)
            raise Ignore

    def _has_succeeded(self, run: Run) -> bool:
        store, task_id = run.task.backend, str(run.request.id)
        if not store.is_enabled:
            return False
        try:
            stored = store.fetch([task_id]).get(task_id)
            if stored is None:
                return False
            hub = self._hub
            record = decode_record(stored, hub.result_content_type, hub.result_accept)
        except EngineError as error:
            logger.warning("The record of task %s cannot be read: %s", task_id, error)
            return False
        return record.state == states.SUCCESS

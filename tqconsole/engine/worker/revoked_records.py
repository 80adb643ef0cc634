"""The records of tasks that were revoked while they waited out of sight.

What is in hand ends with a record of its own. What is parked, still queued or nowhere seen gets its
record when the command comes, so that whoever waits knows at once; the message itself is dropped
when it arrives, perhaps much later.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from tqconsole.engine import states
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import BackendError, TaskRevokedError
from tqconsole.engine.protocol.result import ResultRecord, decode_record
from tqconsole.engine.protocol.transfer import ResultWrite

logger = logging.getLogger(__name__)

#: States in which nobody has begun the task, or none that is left of it: only these give way
#: (Celery 5.7's rule). In all others the task has ended, or somebody who runs it has the word.
_WAITING_STATES = frozenset({states.PENDING, states.RECEIVED, states.RETRY, states.REJECTED})


class RevokedRecords:
    """Writes REVOKED for ids whose record says that they wait, or that have none."""

    def __init__(self, app: Any, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    def write(self, task_ids: Sequence[str]) -> None:
        """Look at the records of all, then write in one go. Raises: OperationalError."""
        store = self._app.backend
        stored = store.fetch(task_ids)
        writes = [
            self._write_of(task_id)
            for task_id in task_ids
            if task_id not in stored or self._is_waiting(task_id, stored[task_id])
        ]
        if writes:
            store.store(writes)

    def _is_waiting(self, task_id: str, stored: bytes) -> bool:
        app = self._app
        try:
            record = decode_record(stored, app.result_content_type, app.result_accept)
        except BackendError as error:
            logger.warning("The record of revoked task %s cannot be read: %s", task_id, error)
            return False
        return record.state in _WAITING_STATES

    def _write_of(self, task_id: str) -> ResultWrite:
        record = ResultRecord(
            task_id=task_id,
            state=states.REVOKED,
            result=TaskRevokedError("revoked"),
            date_done_at=self._clock.now(),
        )
        write: ResultWrite = self._app.result_write(record, "")
        return write

"""Asks an `AbortableTask` to stop: a word in the result store, for which the task looks itself.

The workers are not asked, and nothing is killed: that is what revoking is for.
"""

from __future__ import annotations

from tqconsole.core.errors import ActionError
from tqconsole.engine import states
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.protocol.result import ResultRecord, decode_record, encode_record
from tqconsole.engine.protocol.transfer import ResultWrite

#: The state that such a task looks for.
ABORTED = "ABORTED"
#: What is told of a call that was asked.
ASKED = "asked to stop; it looks for that when it likes"


def abort(backend: Backend | None, task_id: str) -> str:
    """Leave the word for one call; returns what is to be told. Raises: ActionError, EngineError."""
    if backend is None or not backend.is_enabled:
        raise ActionError("a task is asked to stop through the result store, and none is known")
    if not backend.is_readable_by_others:
        raise ActionError("results go to their callers here: a task cannot look into the store")
    payload = backend.fetch([task_id]).get(task_id)
    if payload is not None:
        record = decode_record(payload)
        if record.state in states.READY_STATES:
            raise ActionError(f"it has ended already: {record.state}")
    record = ResultRecord(task_id, ABORTED)
    backend.store([ResultWrite(task_id, ABORTED, encode_record(record))])
    return ASKED

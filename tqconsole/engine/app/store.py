"""The result records an app writes itself: of states that are no end, and of runs at home."""

from __future__ import annotations

from typing import Any

from tqconsole.engine import states
from tqconsole.engine.clock import Clock
from tqconsole.engine.context import Context
from tqconsole.engine.protocol.result import ResultRecord, encode_record
from tqconsole.engine.protocol.transfer import ResultWrite
from tqconsole.engine.settings import Settings


def expires_s(conf: Settings, state: str) -> float | None:
    """Return how long a record lives, in seconds; None for ever."""
    if state == states.FAILURE and conf.result_failure_expires is not None:
        return conf.seconds("result_failure_expires")
    return conf.seconds("result_expires")


def result_write(
    conf: Settings,
    record: ResultRecord,
    reply_to: str | None,
    content_type: str,
) -> ResultWrite:
    """Return the write of a record. Raises: EncodeError."""
    return ResultWrite(
        record.task_id,
        record.state,
        encode_record(record, conf.result_serializer, conf.result_compression),
        content_type,
        reply_to or "",
        expires_s(conf, record.state),
    )


def record_of(
    run: Context, task_id: str, state: str, value: Any, clock: Clock, trace: str | None = None
) -> ResultRecord:
    """Return the record of a run in `state`."""
    is_over = state in states.READY_STATES
    return ResultRecord(
        task_id=task_id,
        state=state,
        result=value,
        traceback=trace or None,
        children=[child.as_tuple() for child in run.children],
        date_done_at=clock.now() if is_over else None,
        group_id=run.group,
        parent_id=run.parent_id,
    )

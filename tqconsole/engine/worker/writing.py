"""What the state machine is given to write with when the worker itself ends a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.result import ResultRecord, encode_record
from tqconsole.engine.protocol.transfer import Delivery, Publication, ResultWrite
from tqconsole.engine.worker.values import NOTHING_AFTER, After


def nothing_after(
    delivery: Delivery, header: TaskHeader, state: str, error: BaseException
) -> After:
    """Return that nothing hangs on the task."""
    return NOTHING_AFTER


class Writing(msgspec.Struct, frozen=True):
    """What the machine is given to write with; both are pure.

    `record`: (record, reply_to) -> the store's write. `failure_links`: the errbacks of a task that
    the worker itself has to fail, from its raw body. `fallout`: what its end in that state means
    for its chord and the rest of its chain.
    """

    record: Callable[[ResultRecord, str], ResultWrite]
    failure_links: Callable[[Delivery, TaskHeader, BaseException], Sequence[Publication]]
    fallout: Callable[[Delivery, TaskHeader, str, BaseException], After] = nothing_after


def json_write(record: ResultRecord, reply_to: str) -> ResultWrite:
    """Return a record as JSON, kept for the default time."""
    return ResultWrite(record.task_id, record.state, encode_record(record), reply_to=reply_to)


def no_links(delivery: Delivery, header: TaskHeader, error: BaseException) -> Sequence[Publication]:
    """Return no errbacks."""
    return ()


PLAIN_WRITING = Writing(json_write, no_links)

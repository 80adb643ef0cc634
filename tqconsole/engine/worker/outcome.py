"""What one run became, as it crosses from the child to the worker's loop.

The child decodes, runs and encodes; the loop settles, writes and tells. Everything the loop needs
for that stands here, so that it never looks into a body. The bytes on the pipe are `marshal`: both
ends are one program on one machine, and marshal can build nothing but plain values.
"""

from __future__ import annotations

import marshal
from typing import Any

import msgspec

from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, ResultWrite
from tqconsole.engine.states import SUCCESS
from tqconsole.engine.worker.payload import plain

#: Fields on the pipe of a success after which nothing follows: nearly all there are.
_USUAL_COUNT = 3


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The end of one run.

    `state` is SUCCESS, FAILURE, RETRY, IGNORED or REJECTED. `text` is the repr of the value
    (SUCCESS), of the exception (FAILURE, RETRY) or of the reason (REJECTED), cut for logs and
    events. `note` is Celery's words of the retry ("Retry in 3s: ..."), or why a message that could
    not be run is to be a dead letter (REJECTED; a word of `protocol.limits.Reason`).
    `is_expected`: the exception is in the task's `throws`. `is_requeued`: Reject(requeue=True).
    `results` and `publications` are to be written in one trip with the settlement.
    """

    state: str
    runtime_s: float
    text: str = ""
    traceback: str = ""
    note: str = ""
    is_expected: bool = False
    is_requeued: bool = False
    is_timeout: bool = False
    results: tuple[ResultWrite, ...] = ()
    publications: tuple[Publication, ...] = ()


def encode_outcome(outcome: Outcome) -> bytes:
    """Return the outcome's bytes for the pipe."""
    if outcome.state == SUCCESS and not outcome.publications:
        results = [_write_fields(write) for write in outcome.results]
        return marshal.dumps((outcome.runtime_s, outcome.text, results))
    fields = _fields(outcome)
    try:
        return marshal.dumps(fields)
    except ValueError:
        # A user's header may be of a type that marshal does not know.
        return marshal.dumps(plain(fields))


def _fields(outcome: Outcome) -> tuple[Any, ...]:
    # Written out: dataclasses.astuple copies deeply, at ten times the cost.
    return (
        outcome.state,
        outcome.runtime_s,
        outcome.text,
        outcome.traceback,
        outcome.note,
        outcome.is_expected,
        outcome.is_requeued,
        outcome.is_timeout,
        [_write_fields(write) for write in outcome.results],
        [
            (
                publication.routing_key,
                publication.exchange,
                publication.message.body,
                publication.message.content_type,
                publication.message.content_encoding,
                publication.message.headers,
                publication.message.properties,
            )
            for publication in outcome.publications
        ],
    )


def _write_fields(write: ResultWrite) -> tuple[Any, ...]:
    return (
        write.task_id,
        write.state,
        write.record,
        write.content_type,
        write.reply_to,
        write.expires_s,
    )


def decode_outcome(data: bytes) -> Outcome:
    """Return the outcome that `encode_outcome` wrote."""
    fields = marshal.loads(data)  # noqa: S302 - our own child's pipe
    if len(fields) == _USUAL_COUNT:
        runtime_s, text, usual_writes = fields
        if not usual_writes:
            return Outcome(SUCCESS, runtime_s, text)
        return Outcome(
            SUCCESS, runtime_s, text, results=tuple(ResultWrite(*write) for write in usual_writes)
        )
    writes = tuple(ResultWrite(*write) for write in fields[8])
    publications = tuple(
        Publication(Message(*message), routing_key, exchange)
        for routing_key, exchange, *message in fields[9]
    )
    return Outcome(*(*fields[:8], writes, publications))

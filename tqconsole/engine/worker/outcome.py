"""What one run became, as it crosses from the child to the worker's loop.

The child decodes, runs and encodes; the loop settles, writes and tells. Everything the loop needs
for that stands here, so that it never looks into a body. The bytes on the pipe are `marshal`: both
ends are one program on one machine, and marshal can build nothing but plain values.
"""

from __future__ import annotations

import marshal
from dataclasses import astuple, dataclass

from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, ResultWrite


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one run.

    `state` is SUCCESS, FAILURE, RETRY, IGNORED or REJECTED. `text` is the repr of the value
    (SUCCESS), of the exception (FAILURE, RETRY) or of the reason (REJECTED), cut for logs and
    events. `note` is Celery's words of the retry ("Retry in 3s: ..."). `is_expected`: the
    exception is in the task's `throws`. `is_requeued`: Reject(requeue=True).
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
    return marshal.dumps(
        (
            outcome.state,
            outcome.runtime_s,
            outcome.text,
            outcome.traceback,
            outcome.note,
            outcome.is_expected,
            outcome.is_requeued,
            outcome.is_timeout,
            tuple(astuple(write) for write in outcome.results),
            tuple(astuple(publication) for publication in outcome.publications),
        )
    )


def decode_outcome(data: bytes) -> Outcome:
    """Return the outcome that `encode_outcome` wrote."""
    *plain, writes, publications = marshal.loads(data)  # noqa: S302 - our own child's pipe
    return Outcome(
        *plain,
        tuple(ResultWrite(*write) for write in writes),
        tuple(Publication(Message(*message), *address) for message, *address in publications),
    )

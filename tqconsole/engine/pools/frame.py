"""The words between a prefork pool, its template and its children.

Every frame is a fixed head and bytes. Parent to child: a batch of jobs, or "stop". Child to parent:
"ready", or the end of a job. Parent to template (with a child's descriptors): "fork". Template to
parent: "forked", "fork failed", "exited". Parent and child speak through a pipe each way: a note
costs a third of what it costs through a socket, and there is one for every job.

Which jobs of a batch may still be run is not said in frames, because a child that runs a slow task
reads none. It is said by *claims*: for each job, the parent puts one byte (the batch's generation)
into a pipe of that child. The child takes one before it begins a job; the parent takes some to
withdraw as many jobs from the end of what the child has. The kernel gives each byte to exactly one
of the two: a job is run or withdrawn, never both. A batch that follows another one at once is of
its generation; after a withdrawal nothing follows until the child has run dry, and the next
generation begins. A child that takes a byte of that keeps it: what it still has of the old one has
been withdrawn, and one job of the next is claimed.

Notes wake nobody: the parent sleeps on a *bell*, a pipe of each child's, which that child rings at
the end of a batch and when it has written for a millisecond. To be woken for each of ten jobs that
take twenty microseconds would cost both more than the jobs. A parent that waits for a batch that
is late looks by itself, so a note never waits for the end of the slow job behind it.
"""

from __future__ import annotations

import contextlib
import marshal
import os
from collections.abc import Sequence
from struct import Struct
from typing import Any, NamedTuple

from tqconsole.engine.pools.base import Job

#: generation (0: stop), byte count of the jobs.
BATCH_HEAD = Struct("<BI")
#: flags, job id (of "ready": the pid), byte count of the outcome.
NOTE_HEAD = Struct("<BqI")
#: number of the child. With it go its ends.
ORDER = Struct("<I")
#: what, number of the child (of the order), pid, wait status or errno.
NOTICE = Struct("<BIiI")

#: Flags of a note.
IS_READY = 1
IS_LAST = 2

#: What a notice tells.
FORKED = 1
FORK_FAILED = 2
EXITED = 3

#: Generations go 1..255 and round again; only two of them are ever alive at once.
LAST_GENERATION = 255

#: Longest time between a note and the bell while short jobs follow each other, seconds.
RING_S = 0.001

#: How much is read at once, bytes; below the size from which malloc maps pages.
READ_BYTES = 1 << 16


class Ends(NamedTuple):
    """A child's descriptors: it reads batches and claims, and writes notes and rings the bell."""

    batches: int
    claims: int
    notes: int
    bell: int


#: A job as the child sees it: id, soft limit in seconds or None, payload.
SentJob = tuple[int, float | None, Any]
#: What a child said: flags, the job (of "ready": the pid), its outcome.
Note = tuple[int, int, bytes]


def encode_batch(generation: int, jobs: Sequence[Job]) -> bytes:
    """Return the frame of a batch; no jobs: "stop". Payloads are what marshal knows."""
    if not jobs:
        return BATCH_HEAD.pack(0, 0)
    body = marshal.dumps([(job.job_id, job.soft_limit_s, job.payload) for job in jobs])
    return BATCH_HEAD.pack(generation, len(body)) + body


def decode_batch(body: bytes) -> list[SentJob]:
    """Return the jobs of a batch's frame."""
    jobs: list[SentJob] = marshal.loads(body)  # noqa: S302 - our own parent's pipe
    return jobs


def encode_note(flags: int, job_id: int = 0, outcome: bytes = b"") -> bytes:
    """Return the frame of a child's note."""
    return NOTE_HEAD.pack(flags, job_id, len(outcome)) + outcome


def ring(bell: int) -> None:
    """Wake who sleeps on the bell; one that is full rings already."""
    with contextlib.suppress(BlockingIOError):
        os.write(bell, b"!")


def has_ended(bell: int) -> bool:
    """Silence the bell; True when nobody is left who could ring it."""
    try:
        return not os.read(bell, 64)
    except BlockingIOError:
        return False


def take_claims(descriptor: int, count: int) -> bytes:
    """Take up to `count` claims; never blocks, b"" when there is none."""
    try:
        return os.read(descriptor, count) if count > 0 else b""
    except BlockingIOError:
        return b""

"""A prefork pool's end of one child: what it was given, and what it said.

Only the worker's thread uses it. It never blocks: what the pipe does not take at once is kept
and sent when the child reads on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Sequence

from tqconsole.engine.pools import frame
from tqconsole.engine.pools.base import Job


class Slot:
    """One child, from its order to its end.

    `jobs` are those sent and not ended; the first of them runs, at most until `limit_mono`.
    `deadline_mono` is until when the child must be ready, or gone, or its end explained.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.is_ready = False
        self.is_leaving = False
        self.is_retiring = False
        self.is_gone = False
        self.is_killed = False
        self.status: int | None = None
        self.jobs: deque[Job] = deque()
        self.limit_mono: float | None = None
        self.deadline_mono: float | None = None
        self.timed_out_id: int | None = None
        self.terminated_id: int | None = None
        self.batch_count = 0
        self._generation = 0
        #: Jobs of the batch sent last; 0 when nothing may follow it.
        self._followed_count = 0
        self._unread = b""
        self._unsent = bytearray()
        childs_batches, self.batches = os.pipe()
        self._claims, self._claims_writer = os.pipe()
        self.notes, childs_notes = os.pipe()
        self.bell, childs_bell = os.pipe()
        #: Of its own the child has but a copy, by its order.
        self._theirs = [childs_batches, childs_notes, childs_bell]
        self._ends = frame.Ends(childs_batches, self._claims, childs_notes, childs_bell)
        #: Nobody can ring the bell any more: from now on the notes themselves are watched.
        self.is_bell_dead = False
        # A child waits for batches, nobody for anything else: not for a claim, nor at a full bell.
        for descriptor in (self.batches, self._claims, self.notes, self.bell, *self._theirs[1:]):
            os.set_blocking(descriptor, False)

    @property
    def is_free(self) -> bool:
        """True when jobs may be sent."""
        return self.is_ready and not (
            self.jobs or self.is_leaving or self.is_retiring or self.is_gone
        )

    @property
    def has_room_behind(self) -> bool:
        """True when a batch may follow the one that runs: both are of short tasks then, and the
        child need not wait for this process in between.
        """
        return 1 < self._followed_count >= len(self.jobs) > 0 and not (
            self.is_leaving or self.is_retiring or self.is_gone
        )

    @property
    def has_unsent(self) -> bool:
        """True while the child's pipe is to be watched for room."""
        return bool(self._unsent)

    def order(self, control: socket.socket) -> None:
        """Ask the template for the child. Raises: OSError when the template is gone."""
        head = frame.ORDER.pack(self.number)
        try:
            socket.send_fds(control, [head], self._ends)
        finally:
            self._let_go_of_theirs()

    def _let_go_of_theirs(self) -> None:
        """Close what the child has by now, so that the end of the child is the end of it."""
        while self._theirs:
            os.close(self._theirs.pop())

    def send(self, jobs: Sequence[Job]) -> None:
        """Hand over a batch."""
        if not self.jobs:
            self._generation = self._generation % frame.LAST_GENERATION + 1
        self._followed_count = len(jobs)
        self.batch_count += 1
        self.jobs.extend(jobs)
        os.write(self._claims_writer, bytes([self._generation]) * len(jobs))
        self._write(frame.encode_batch(self._generation, jobs))

    def dismiss(self) -> None:
        """Tell the child to end when it has run what it has."""
        self.is_leaving = True
        self._write(frame.encode_batch(0, ()))

    def _write(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            return
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            data = data[os.write(self.batches, data) :]
        self._unsent += data

    def flush(self) -> None:
        """Send on what the pipe did not take before."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            del self._unsent[: os.write(self.batches, self._unsent)]

    def receive(self) -> list[frame.Note]:
        """Return what the child said; at the end of its life `is_gone` becomes true."""
        if not self.is_bell_dead:
            # Before the notes are read: what is written after that rings again.
            self.is_bell_dead = frame.has_ended(self.bell)
        chunks = [self._unread]
        size = frame.READ_BYTES
        while size == frame.READ_BYTES and not self.is_gone:
            try:
                chunk = os.read(self.notes, frame.READ_BYTES)
            except BlockingIOError:
                break
            self.is_gone = not chunk
            chunks.append(chunk)
            size = len(chunk)
        return self._parse(b"".join(chunks))

    def _parse(self, data: bytes) -> list[frame.Note]:
        notes: list[frame.Note] = []
        unpack_head, head_size = frame.NOTE_HEAD.unpack_from, frame.NOTE_HEAD.size
        start, body_at, count = 0, head_size, len(data)
        while body_at <= count:
            flags, job_id, size = unpack_head(data, start)
            end = body_at + size
            if end > count:
                break
            notes.append((flags, job_id, data[body_at:end]))
            start, body_at = end, end + head_size
        self._unread = data[start:]
        return notes

    def take_back(self) -> list[Job]:
        """Withdraw what has not begun behind the first job; the child will not run it."""
        claims = frame.take_claims(self._claims, len(self.jobs) - 1)
        if claims:
            self._followed_count = 0
        return [self.jobs.pop() for _ in claims][::-1]

    def has_begun(self) -> bool:
        """True if the dead child had begun its first job. Takes the claims: ask once."""
        return len(frame.take_claims(self._claims, len(self.jobs))) < len(self.jobs)

    def kill(self, signal_number: int = signal.SIGKILL) -> bool:
        """Send a signal; False when there is no process any more."""
        if not self.pid or self.status is not None:
            return False
        try:
            os.kill(self.pid, signal_number)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        """Give up all descriptors."""
        self._let_go_of_theirs()
        for descriptor in (self.batches, self._claims, self._claims_writer, self.notes, self.bell):
            os.close(descriptor)

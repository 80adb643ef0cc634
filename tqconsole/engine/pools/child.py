"""The life of a prefork child: take jobs from its pipe, run them, tell the outcomes.

It runs in its own process, forked from the template, in the main thread, and ends only by
`os._exit` in `template.py`. It shares nothing with its siblings: when it dies in the middle of
whatever, nobody else waits for it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import select
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.pools import frame
from tqconsole.engine.pools.alarm import SoftAlarm
from tqconsole.engine.pools.base import PoolOptions, Runner
from tqconsole.engine.pools.trimming import make_trimmer

logger = logging.getLogger(__name__)

#: Exit code of a child whose runner raised (sysexits.h: EX_SOFTWARE).
EXIT_SOFTWARE = 70
#: Bytes of a batch after which the memory is looked at, and seconds after which it is anyway.
_LARGE_BYTES, _LOOK_S = 2**20, 1.0


class ChildPlan(msgspec.Struct, frozen=True):
    """What every child of a pool is to do."""

    runner: Runner
    options: PoolOptions


class Child:
    """The loop of one child."""

    def __init__(self, plan: ChildPlan, ends: frame.Ends) -> None:
        self._plan = plan
        self._batches, self._claims, self._notes, self._bell = ends
        self._rung_mono = self._looked_mono = 0.0
        self._trimmer = make_trimmer()
        self._held_claim = b""
        self._unread = bytearray()
        self._run_count = 0
        self._alarm = SoftAlarm()
        self._is_too_big = _memory_check(plan.options.max_memory_per_child_kib)

    def live(self) -> int:
        """Run jobs until told to stop or used up; return the exit code."""
        self._alarm.install()
        options = self._plan.options
        if options.on_child_start is not None:
            options.on_child_start()
        self._tell(frame.encode_note(frame.IS_READY, os.getpid()))
        frame.ring(self._bell)
        exit_code = self._work()
        if options.on_child_stop is not None:
            options.on_child_stop()
        return exit_code

    def _work(self) -> int:
        while True:
            generation, body = self._read_frame()
            if not generation:
                return 0
            try:
                exit_code = self._run_batch(generation, frame.decode_batch(body))
                is_large = len(body) >= _LARGE_BYTES
                # The next one may be long in coming.
                del body
                frame.ring(self._bell)
            except BrokenPipeError:
                return 0
            if exit_code is not None:
                return exit_code
            self._give_memory_back(is_large=is_large)

    def _give_memory_back(self, *, is_large: bool) -> None:
        """Have back what the C library keeps: behind a large batch, and behind a small one that may
        have become large here, of which one a second is looked at.
        """
        if self._trimmer is None:
            return
        if is_large or self._rung_mono - self._looked_mono >= _LOOK_S:
            self._looked_mono = self._rung_mono
            self._trimmer.look()

    def _run_batch(self, generation: int, jobs: Sequence[frame.SentJob]) -> int | None:
        """Run what is not withdrawn; return the exit code when this child is at its end."""
        self._rung_mono = SYSTEM_CLOCK.mono()
        for job in jobs:
            if not self._has_claimed(generation):
                return None
            try:
                if self._run(*job):
                    return 0
            except BrokenPipeError:
                raise
            except BaseException:  # a runner must not raise: the parent sees a death
                logger.critical("The runner raised at job %s", job[0], exc_info=True)
                return EXIT_SOFTWARE
        return None

    def _has_claimed(self, generation: int) -> bool:
        """Claim the next job of the batch; False when the parent has withdrawn it and the rest."""
        claim = self._held_claim or frame.take_claims(self._claims, 1)
        if claim and claim[0] == generation:
            self._held_claim = b""
            return True
        self._held_claim = claim
        return False

    def _run(self, job_id: int, soft_limit_s: float | None, payload: Any) -> bool:
        """Run one job and tell its outcome; True when this child is used up."""
        self._alarm.limit_s = soft_limit_s
        outcome = self._plan.runner(payload)
        self._run_count += 1
        is_last = self._run_count == self._plan.options.max_jobs_per_child or self._is_too_big()
        flags = frame.IS_LAST if is_last else 0
        self._tell(frame.encode_note(flags, job_id, outcome))
        if SYSTEM_CLOCK.mono() - self._rung_mono >= frame.RING_S:
            self._rung_mono = SYSTEM_CLOCK.mono()
            frame.ring(self._bell)
        return is_last

    def _tell(self, note: bytes) -> None:
        """Write a note. It wakes the parent only when it cannot go on before that has read."""
        notes = self._notes
        try:
            written = os.write(notes, note)
        except BlockingIOError:
            written = 0
        if written == len(note):
            return
        room = select.poll()
        room.register(notes, select.POLLOUT)
        while written < len(note):
            frame.ring(self._bell)
            room.poll()
            with contextlib.suppress(BlockingIOError):
                written += os.write(notes, memoryview(note)[written:])

    def _read_frame(self) -> tuple[int, bytes]:
        """Return generation and body of the next frame; (0, b"") for "stop" or a parent gone."""
        try:
            generation, size = frame.BATCH_HEAD.unpack(self._read(frame.BATCH_HEAD.size))
            return generation, self._read(size)
        except EOFError:
            return 0, b""

    def _read(self, count: int) -> bytes:
        unread = self._unread
        while len(unread) < count:
            received = os.read(self._batches, frame.READ_BYTES)
            if not received:
                raise EOFError
            unread += received
        taken = bytes(unread[:count])
        del unread[:count]
        return taken


def _memory_check(limit_kib: int | None) -> Callable[[], bool]:
    """Return a function that says whether this process has outgrown `limit_kib`."""
    if limit_kib is None:
        return lambda: False
    limit_bytes = limit_kib * 1024
    if sys.platform != "linux":
        unit = 1 if sys.platform == "darwin" else 1024
        return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit > limit_bytes
    page_bytes = resource.getpagesize()
    statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    return lambda: int(os.pread(statm, 128, 0).split()[1]) * page_bytes > limit_bytes

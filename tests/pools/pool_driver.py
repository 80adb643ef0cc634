"""Drives a pool as the worker's loop does; a gate holds its jobs where a test wants them."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

from tqconsole.engine.pools.alarm import armed
from tqconsole.engine.pools.base import Job, JobEnded, JobStarted, Pool, PoolNews


class Gate:
    """A pipe: a job that reads from it waits until the test opens the gate once for it."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._entry_reader, self._entry_writer = os.pipe()

    def pass_through(self) -> None:
        """Tell that somebody waits, and wait."""
        os.write(self._entry_writer, b"?")
        # A greenlet that waits in `read` would hold up all others; in `select` it lets them run.
        select.select([self._reader], [], [])
        os.read(self._reader, 1)

    def wait_for_visitor(self) -> None:
        ready, _, _ = select.select([self._entry_reader], [], [], 60)
        assert ready, "nobody came to the gate"
        os.read(self._entry_reader, 1)

    def open(self, count: int = 1) -> None:
        os.write(self._writer, b"!" * count)

    def close(self) -> None:
        for descriptor in (self._reader, self._writer, self._entry_reader, self._entry_writer):
            os.close(descriptor)


def make_runner(gate: Gate) -> Callable[[bytes], bytes]:
    """Return a runner whose payload says what it does."""

    def run(payload: bytes) -> bytes:
        word, _, rest = payload.partition(b":")
        match word:
            case b"gate":
                gate.pass_through()
            case b"raise":
                raise ValueError("a runner must not")
            case b"exit":
                os._exit(int(rest))
            case b"kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case b"pid":
                return str(os.getpid()).encode()
            case b"soft":
                return _run_softly(gate)
            case b"eat":
                _EATEN.append(bytearray(int(rest)))
        return b"<" + rest + b">"

    return run


_EATEN: list[bytearray] = []


def _run_softly(gate: Gate) -> bytes:
    try:
        with armed():
            gate.pass_through()
    except Exception as error:
        return repr(error).encode()
    return b"no limit"


class Driver:
    """The loop's part, with a memory of all news."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.news: list[PoolNews] = []

    def submit(self, *payloads: bytes, first_id: int = 1, **limits: float) -> list[int]:
        jobs = [Job(first_id + i, payload, **limits) for i, payload in enumerate(payloads)]
        self.pool.submit(jobs)
        return [job.job_id for job in jobs]

    def until(self, condition: Callable[[], object], longest_s: float = 60.0) -> None:
        """Poll as the loop does until the condition holds."""
        end_mono = time.monotonic() + longest_s
        while not condition():
            left_s = end_mono - time.monotonic()
            assert left_s > 0, f"did not happen; news: {self.news}"
            due_mono = self.pool.next_deadline_mono()
            if due_mono is not None:
                left_s = min(left_s, max(0.0, due_mono - time.monotonic()))
            select.select(self.pool.filenos(), [], [], left_s)
            self.news += self.pool.poll()

    def finish(self, *job_ids: int) -> list[PoolNews]:
        """Wait until the jobs have ended or are lost; return how, in the order of the ids."""
        self.until(lambda: set(job_ids) <= {item.job_id for item in self.ends()})
        by_id = {item.job_id: item for item in self.ends()}
        return [by_id[job_id] for job_id in job_ids]

    def ends(self) -> list[PoolNews]:
        return [item for item in self.news if not isinstance(item, JobStarted)]

    def outcomes(self, *job_ids: int) -> list[bytes]:
        ends = self.finish(*job_ids)
        return [item.outcome for item in ends if isinstance(item, JobEnded)]

"""The pool port: slots that run a callable on a payload. A pool knows no task.

The runner takes a job's payload and returns its outcome, which only the worker understands: where
the slots are processes, plain values that `marshal` knows one way and bytes the other. The worker's
loop is the only caller; a pool speaks back through `poll`, and its descriptors wake the loop's
selector.
Death of a child is news, never an exception.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

#: What a slot runs: payload -> outcome. It must not raise; a pool reports it as a death if it does.
Runner = Callable[[Any], Any]


class AwaitingRunner(Protocol):
    """What a slot that is a coroutine runs; none of it may raise anything but cancellation."""

    def __call__(self, payload: Any) -> Any:
        """Run what does not await, in a thread of its own."""
        ...

    def awaits(self, payload: Any) -> bool:
        """Return True for a payload that `run_awaited` is for."""
        ...

    async def run_awaited(self, payload: Any) -> Any:
        """Run in the pool's event loop."""
        ...


class Job(msgspec.Struct, frozen=True, gc=False):
    """One run. Limits in seconds, None for none; `job_id` is the worker's (a small int)."""

    job_id: int
    payload: Any
    soft_limit_s: float | None = None
    hard_limit_s: float | None = None


class JobStarted(msgspec.Struct, frozen=True, gc=False):
    """A slot began with the job. `pid` is the process that runs it."""

    job_id: int
    pid: int
    started_mono: float


class JobEnded(msgspec.Struct, frozen=True, gc=False):
    """The runner returned."""

    job_id: int
    outcome: Any


class JobLost(msgspec.Struct, frozen=True):
    """The process died while it ran the job (`was_started`) or before it came to it.

    `signal` and `exit_code` as the system told, None where unknown; `is_time_limit` when the pool
    itself killed it at the hard limit; `is_terminated` when `terminate` asked for it.
    """

    job_id: int
    was_started: bool
    pid: int
    signal: int | None
    exit_code: int | None
    is_time_limit: bool = False
    is_terminated: bool = False


PoolNews = JobStarted | JobEnded | JobLost


class Pool(abc.ABC):
    """Slots. Made by a factory with (runner, slot_count, options); used by one thread."""

    #: As Celery's stats name it, e.g. "celery.concurrency.prefork:TaskPool".
    implementation: str
    can_terminate: bool = False
    can_limit_time: bool = False
    can_resize: bool = False
    #: True when `submit` itself runs the job before it returns (solo).
    is_inline: bool = False
    #: True when `submit` takes jobs for a slot that runs short ones; see `room_behind`.
    takes_behind: bool = False
    #: True when payloads and outcomes may be anything.
    shares_memory: bool = False
    #: True when its slots are coroutines: the runner is an `AwaitingRunner` then.
    runs_coroutines: bool = False
    #: How many slots there are where nobody says; None: one for each CPU.
    default_slot_count: int | None = None

    @abc.abstractmethod
    def start(self) -> None:
        """Make the slots; returns when jobs may be submitted."""

    @property
    @abc.abstractmethod
    def slot_count(self) -> int:
        """How many jobs may run at once."""

    @abc.abstractmethod
    def free_slots(self) -> int:
        """How many slots have nothing to run."""

    def room_behind(self) -> int:
        """How many slots that run short jobs take more of them now, to go on without a pause."""
        return 0

    @abc.abstractmethod
    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand `jobs`, in order, to ONE free slot, or behind short ones when none is free. More
        than one only for very short tasks.

        Raises: RuntimeError when no slot takes them (a mistake of the caller's).
        """

    @abc.abstractmethod
    def poll(self) -> list[PoolNews]:
        """Return what happened since the last call, in order. Never blocks. It also enforces hard
        limits and replaces dead or used-up children. Of a job that had ended when its start could
        first be told, the end alone may be told.
        """

    @abc.abstractmethod
    def filenos(self) -> list[int]:
        """Return the descriptors that become readable when `poll` may have news (they may change
        after `poll`, `grow`, `shrink`).
        """

    @abc.abstractmethod
    def next_deadline_mono(self) -> float | None:
        """Return when `poll` must be called at the latest (a hard limit), monotonic seconds."""

    @abc.abstractmethod
    def withdraw(self) -> list[int]:
        """Take back the jobs that were submitted behind a running one and have not begun, so that
        they never wait behind a slow one; return their job ids. Best effort, never wrong.
        """

    @abc.abstractmethod
    def terminate(self, job_id: int, signal: int) -> bool:
        """Send `signal` to the process that runs the job; False when it runs nowhere.

        Raises: NotSupportedError where `can_terminate` is False.
        """

    @abc.abstractmethod
    def grow(self, count: int) -> None:
        """Add slots. Raises: NotSupportedError."""

    @abc.abstractmethod
    def shrink(self, count: int) -> None:
        """Take slots away as they come free; never below one. Raises: NotSupportedError."""

    @abc.abstractmethod
    def restart(self) -> None:
        """Replace every process as it comes free. Raises: NotSupportedError."""

    @abc.abstractmethod
    def info(self) -> dict[str, Any]:
        """Return the "pool" part of `inspect stats` (wire.md §6.4)."""

    @abc.abstractmethod
    def stop(self, grace_s: float | None) -> None:
        """End all slots: wait `grace_s` for running jobs (None: as long as they take; 0: kill)."""


#: Where a child that became a new program finds its number and its descriptors.
CHILD_VARIABLE = "TQCONSOLE_CHILD"


class NewProgram(msgspec.Struct, frozen=True):
    """A program that a child is to become: its command line, and what its environment has more."""

    command: tuple[str, ...]
    environ: dict[str, str]


class PoolOptions(msgspec.Struct, frozen=True):
    """What `worker` was told of its pool. None means no limit."""

    max_jobs_per_child: int | None = None
    max_memory_per_child_kib: int | None = None
    start_timeout_s: float = 10.0
    #: Runs in each new child before its first job, and at its end: (runner's set-up, tear-down).
    on_child_start: Callable[[], None] | None = None
    on_child_stop: Callable[[], None] | None = None
    #: Runs in the process that forks the children (prefork's template), before each of them.
    before_fork: Callable[[], None] | None = None
    #: What each child becomes (prefork); None: it stays a copy of the template.
    new_program: NewProgram | None = None


#: How an adapter is made.
PoolFactory = Callable[[Runner, int, PoolOptions], Pool]

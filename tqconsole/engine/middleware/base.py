"""The middleware port: what may happen around one run, one moment per method.

A middleware is made once per process that runs tasks, and is called in that process, by the thread
that runs the task, while the task's request is on the stack. Nothing here touches a broker: what is
to be written goes into the run (`results`, `publications`) and leaves with its outcome in one trip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tqconsole.engine import states
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.canvas.signature import Signature
from tqconsole.engine.clock import Clock
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import Retry
from tqconsole.engine.middleware.einfo import ExceptionInfo
from tqconsole.engine.protocol.result import ResultRecord
from tqconsole.engine.protocol.transfer import ChordEnd, Publication, ResultWrite
from tqconsole.engine.result import AsyncResult
from tqconsole.engine.task import Task


class RunHub(Protocol):
    """What middleware needs of the app."""

    conf: Any
    wall_clock: Clock

    @property
    def backend(self) -> Backend:
        """The result store."""
        ...

    @property
    def tasks(self) -> Mapping[str, Any]:
        """Name -> task."""
        ...

    @property
    def result_content_type(self) -> str:
        """Content type of the records it writes."""
        ...

    @property
    def result_accept(self) -> frozenset[str]:
        """Content types of the records it reads."""
        ...

    @property
    def chord_expires_s(self) -> float | None:
        """How long what belongs to a chord is kept, None for ever."""
        ...

    def result_write(self, record: ResultRecord, reply_to: str | None) -> ResultWrite:
        """Return the write of a record as the settings want it."""
        ...

    def publish(self, publications: Sequence[Publication], **options: Any) -> None:
        """Publish messages in one trip."""
        ...

    def publish_end(self, publications: Sequence[Publication], end: ChordEnd) -> bool:
        """Publish what a chord ends in and close it, in one step; False where that is not one."""
        ...

    def build_canvas(
        self, sig: Signature, args: Any = None, kwargs: Any = None, **options: Any
    ) -> tuple[list[Publication], Any]:
        """Return a workflow as the publications that begin it, which somebody else sends, and its
        result.
        """
        ...

    def build_signature(
        self, call: Any, args: Any = None, kwargs: Any = None, **options: Any
    ) -> tuple[Publication, AsyncResult]:
        """Return a call as a publication that somebody else sends, and its result."""
        ...

    def build_retry(self, request: Context, retry: Retry) -> Publication:
        """Return the publication of the next attempt."""
        ...


class Run(msgspec.Struct, eq=False):
    """One run, as it goes from hook to hook.

    `value` is what the function returned, or the exception that stands for the run's end; `einfo`
    tells of that exception (None after a success). `state` is meaningful from the end of the
    function on.
    """

    task: Task
    request: Context
    is_redelivered: bool = False
    state: str = states.STARTED
    value: Any = None
    einfo: ExceptionInfo | None = None
    runtime_s: float = 0.0
    results: list[ResultWrite] = []
    publications: list[Publication] = []


class Middleware:
    """Hooks that do nothing. `before_*` run in the chain's order, `after_*` in reverse."""

    def has_work(self, task: Task) -> bool:
        """Return False to be left out of this task's runs; asked once per task and process."""
        return True

    def before_run(self, run: Run) -> None:
        """Just before the function. What is raised here ends the run as if the task raised it."""

    def wrap(self, task: Task, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is called instead of the task's function; asked once per task and process."""
        return function

    def steer(self, run: Run, error: BaseException) -> BaseException:
        """Return what is to stand for an error that the function raised (no directive)."""
        return error

    def after_success(self, run: Run) -> None:
        """The function returned. What is raised here makes the run a failure."""

    def after_retry(self, run: Run) -> None:
        """Another run was asked for. What is raised here makes the run a failure."""

    def after_failure(self, run: Run) -> None:
        """The run failed."""

    def after_run(self, run: Run) -> None:
        """Last, whatever became of the run; also after Ignore and Reject."""

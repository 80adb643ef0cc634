"""What the screens hold: one session, real (`session.Session`) or simulated.

All methods are called from the UI's thread and none of them blocks: what asks the cluster returns
a Future, whose value is cleaned and whose errors are values (`error` fields), not exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from tqconsole.core.actions import ActionRequest
from tqconsole.core.flows import FlowView
from tqconsole.core.stamps import Stamped
from tqconsole.core.views import (
    ActionDone,
    AuditLine,
    Changes,
    DeadLetterView,
    EventLine,
    Inspected,
    QueuePeek,
    Snapshot,
    TaskFacts,
    TaskList,
    TaskRow,
)


class ConsoleSession(Protocol):
    """One cluster, as the screens see it."""

    @property
    def is_read_only(self) -> bool:
        """True when nothing may be changed: `perform` refuses what changes the cluster."""
        ...

    def start(self) -> None:
        """Begin to listen and to ask; returns at once, `snapshot().link` tells how it goes."""
        ...

    def stop(self) -> None:
        """End the threads and close what was opened. May be called twice."""
        ...

    def drain(self, budget_s: float = 0.008) -> Changes:
        """Take in what came since the last call, at most `budget_s` long. Once per frame."""
        ...

    def snapshot(self) -> Snapshot:
        """Return everything but the rows; the same object until a `drain` changed something."""
        ...

    def tasks(
        self, expression: str = "", sort_key: str = "age", *, is_descending: bool = False
    ) -> TaskList:
        """Return a live view on the rows: ask again only when one of the three changes.

        `sort_key` is one of `sorting.SORT_KEYS`. Raises: FilterError, ValueError for the key.
        """
        ...

    def task(self, task_id: str) -> TaskRow | None:
        """Return a row by its id, also when no view shows it."""
        ...

    def family(self, task_id: str) -> tuple[TaskRow, ...]:
        """Return the rows that share this task's root, in the order they were first seen."""
        ...

    def flows(self) -> tuple[FlowView, ...]:
        """Return the flows of more than one task among the rows, the newest first.

        Goes over all rows: for a screen that shows them, not for every frame.
        """
        ...

    def save_filter(self, name: str, expression: str) -> None:
        """Let `@name` stand for a filter, from now on; "" forgets it. Raises: FilterError."""
        ...

    def suggest(self, text: str, cursor: int) -> tuple[str, ...]:
        """Return completions of the word before `cursor` of a filter."""
        ...

    def events(self, expression: str = "", limit: int = 1000) -> Sequence[EventLine]:
        """Return the newest raw events that match, newest first. Raises: FilterError.

        Fields: those of the event (type, worker, name, id, text, bare words), and of its task.
        """
        ...

    def audit(self) -> tuple[AuditLine, ...]:
        """Return what was asked for here, newest first."""
        ...

    def note(self, what: str, targets: tuple[str, ...], outcome: str) -> None:
        """Write down in the audit what was done here without the cluster."""
        ...

    def perform(self, request: ActionRequest) -> Future[ActionDone]:
        """Carry an action out in a thread. What goes wrong stands in the answer."""
        ...

    def equivalent(self, request: ActionRequest) -> str:
        """Return the command line that does the same, for a shell."""
        ...

    def signature(self, task_name: str) -> str:
        """Return what arguments a task takes, as `(a: int)`; "" where its app is not at hand."""
        ...

    def is_abortable(self, task_name: str) -> bool:
        """True for an `AbortableTask` of the app at hand; False also where nothing is known."""
        ...

    def call_complaint(self, task_name: str, args: list[Any], kwargs: Mapping[str, Any]) -> str:
        """Return why a task cannot be called so, "" when it can or nothing is known."""
        ...

    def inspect(self, worker: str, what: str) -> Future[Inspected]:
        """Ask one worker; `what` is one of `actions.INSPECTABLE`."""
        ...

    def peek(self, queue: str, count: int = 100) -> Future[QueuePeek]:
        """Read the next messages of a queue without taking them."""
        ...

    def find_stamped(self, stamps: Mapping[str, str]) -> Future[Stamped]:
        """Look through what waits for calls that carry one of these stamps, taking nothing."""
        ...

    def dead_letters(self, queue: str = "") -> Future[tuple[DeadLetterView, ...]]:
        """Return the dead letters of one queue or of all, newest first. May raise ConsoleError."""
        ...

    def fetch_task(self, task_id: str) -> Future[TaskFacts]:
        """Find out what can be known of a task: result store, waiting messages, its worker."""
        ...

    def pause(self) -> None:
        """Freeze what is shown; events are still taken in. `snapshot().link` is "paused"."""
        ...

    def resume(self) -> None:
        """Show the present again."""
        ...

    def refresh(self) -> None:
        """Ask the cluster now instead of at the next turn."""
        ...

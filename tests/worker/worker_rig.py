"""A machine with a pretended broker and pool around it: what it asks for is granted at once."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.pools.base import JobLost, JobStarted
from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.result import decode_record
from tqconsole.engine.protocol.transfer import Delivery, Settlement
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.machine_options import MachineOptions, TaskPolicy
from tqconsole.engine.worker.outcome import Outcome
from tqconsole.engine.worker.values import (
    Action,
    Arrival,
    Emit,
    Exchange,
    ExchangeDone,
    ExchangeFailed,
    Exit,
    Forfeited,
    Happening,
    Log,
    Now,
    Rang,
    RunEnded,
    SlotsChanged,
    Store,
    StoreDone,
    StoreFailed,
    Submit,
    Tick,
    Withdrawn,
)

JSON = frozenset({"application/json"})


def policies(**extra: TaskPolicy) -> dict[str, TaskPolicy]:
    return {
        "add": TaskPolicy("add"),
        "late": TaskPolicy("late", acks_late=True),
        **extra,
    }


class Rig:
    """Carries out what the machine asks and remembers it. Time stands still until `advance`."""

    def __init__(
        self, slots: int = 2, tasks: dict[str, TaskPolicy] | None = None, **options: Any
    ) -> None:
        options.setdefault("logs_info", True)
        self.machine = Machine(
            MachineOptions(hostname="w1@here", **options),
            policies() if tasks is None else tasks,
            Random(1),
        )
        self.slots = slots
        self.follows_batches = bool(options.get("follows_batches"))
        self.now = Now(1_800_000_000.0, 1000.0)
        self.queue: list[Arrival] = []
        self.is_broker_down = self.is_store_down = False
        #: Tags that the broker takes away with the next exchange.
        self.forfeited: list[str] = []
        self.actions: list[Action] = []
        self.exchanges: list[Exchange] = []
        self.settled: list[Settlement] = []
        self.results: list[Any] = []
        self.publications: list[Any] = []
        self.handovers: list[Any] = []
        #: Jobs in the pool: one list per busy slot.
        self.busy: list[list[int]] = []
        self.step(SlotsChanged(slots, slots))

    # --- doing --------------------------------------------------------------------------------

    def put(self, *names: str, delivery: dict[str, Any] | None = None, **header: Any) -> list[str]:
        """Queue one delivery for each task name; return their ids."""
        ids = []
        for name in names:
            task_id = header.get("task_id", f"{name}-{len(self.queue)}-{len(self.exchanges)}")
            fields = {"task_name": name, "root_id": task_id, **header, "task_id": task_id}
            self.queue.append(
                (
                    msgspec.structs.replace(
                        Delivery(f"tag-{task_id}", Message(b"[]"), "celery"), **(delivery or {})
                    ),
                    TaskHeader(**fields),
                )
            )
            ids.append(task_id)
        return ids

    def put_refused(self, reason: str, detail: str = "") -> None:
        self.queue.append(
            (Delivery("tag-bad", Message(b"?"), "celery"), RefusedError(reason, detail))
        )

    def step(self, *happenings: Happening) -> list[Action]:
        """One step, and the steps that its exchanges and stores cause."""
        came: list[Action] = []
        pending = list(happenings)
        while True:
            actions = self.machine.step(self.now, pending)
            self.actions.extend(actions)
            came.extend(actions)
            pending = [answer for action in actions for answer in self._carry_out(action)]
            if not pending:
                return came

    def pass_time(self, duration_s: float) -> list[Action]:
        """As `advance`, but the bell stays silent."""
        self.now = Now(self.now.at + duration_s, self.now.mono + duration_s)
        return self.step(Tick())

    def advance(self, duration_s: float) -> list[Action]:
        self.now = Now(self.now.at + duration_s, self.now.mono + duration_s)
        return self.step(Rang(), self._count())

    def end(self, task_id: str, state: str = "SUCCESS", **outcome: Any) -> list[Action]:
        """The run of `task_id` comes back."""
        outcome.setdefault("runtime_s", 0.01)
        job_id = self._leave(task_id)
        return self.step(RunEnded(job_id, Outcome(state, **outcome)), self._count())

    def lose(self, task_id: str, **loss: Any) -> list[Action]:
        """The process that runs `task_id` dies."""
        loss = {"was_started": True, "pid": 7, "signal": 9, "exit_code": None, **loss}
        return self.step(JobLost(self._leave(task_id), **loss), self._count())

    def withdraw(self, *task_ids: str) -> list[Action]:
        """The pool gives these back: they have not begun."""
        job_ids = [self._leave(task_id) for task_id in task_ids]
        return self.step(Withdrawn(job_ids), self._count())

    def start(self, task_id: str) -> list[Action]:
        return self.step(JobStarted(self.job_id(task_id), 7, self.now.mono))

    # --- asking -------------------------------------------------------------------------------

    def job_id(self, task_id: str) -> int:
        (found,) = (
            job_id
            for job_id, entry in self.machine.hand.running.items()
            if entry.header.task_id == task_id
        )
        return found

    def running(self) -> list[str]:
        return [entry.header.task_id for entry in self.machine.hand.running.values()]

    def submitted(self, actions: Sequence[Action]) -> list[list[str]]:
        return [
            [order.entry.header.task_id for order in action.orders]
            for action in actions
            if isinstance(action, Submit)
        ]

    def verdict(self, task_id: str) -> str:
        (found,) = (each for each in self.settled if each.tag == f"tag-{task_id}")
        return found.verdict.value

    def record(self, task_id: str) -> Any:
        (found,) = (each for each in self.results if each.task_id == task_id)
        return decode_record(found.record, found.content_type, JSON)

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """The events without their times."""
        return [
            (kind, {name: value for name, value in fields.items() if name != "timestamp"})
            for kind, fields in self._emitted()
        ]

    def event_times(self) -> dict[str, float]:
        """When what was told happened, in seconds since the rig's beginning."""
        return {
            kind: round(fields["timestamp"] - 1_800_000_000.0, 3)
            for kind, fields in self._emitted()
        }

    def _emitted(self) -> list[tuple[str, dict[str, Any]]]:
        return [event for each in self.actions if isinstance(each, Emit) for event in each.events]

    def lines(self) -> list[str]:
        return [each.text for each in self.actions if isinstance(each, Log)]

    def exit_code(self) -> int | None:
        codes = [each.code for each in self.actions if isinstance(each, Exit)]
        return codes[0] if codes else None

    # --- the pretended rim --------------------------------------------------------------------

    def _carry_out(self, action: Action) -> list[Happening]:
        match action:
            case Exchange():
                return [*self._forfeits(), self._exchange(action)]
            case Store() if self.is_store_down:
                return [StoreFailed("connection refused")]
            case Store():
                self.results.extend(action.writes)
                return [StoreDone()]
            case Submit():
                self.busy.append([order.entry.job_id for order in action.orders])
                return [self._count()]
            case _:
                return []

    def _forfeits(self) -> list[Happening]:
        tags, self.forfeited = self.forfeited, []
        return [Forfeited(tags)] if tags else []

    def _exchange(self, action: Exchange) -> Happening:
        self.exchanges.append(action)
        if self.is_broker_down:
            return ExchangeFailed("connection refused")
        self.settled.extend(action.settled)
        self.results.extend(action.results)
        self.publications.extend(action.publications)
        self.handovers.extend(action.started)
        taken, self.queue = self.queue[: action.wanted], self.queue[action.wanted :]
        return ExchangeDone(taken)

    def _count(self) -> SlotsChanged:
        behind_count = max(0, len(self.busy) - self.slots)
        roomy_count = sum(len(jobs) > 1 for jobs in self.busy[: self.slots]) - behind_count
        if not self.follows_batches:
            return SlotsChanged(self.slots, self.slots - len(self.busy))
        return SlotsChanged(self.slots, max(0, self.slots - len(self.busy)), max(0, roomy_count))

    def _leave(self, task_id: str) -> int:
        job_id = self.job_id(task_id)
        self.busy = [
            jobs for jobs in ([j for j in each if j != job_id] for each in self.busy) if jobs
        ]
        return job_id

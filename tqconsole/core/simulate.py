"""A session on the simulated cluster, with the same face as a real one (`port.ConsoleSession`).

Nothing moves by itself: its clock is frozen until `advance`, so that a picture is always the same.
Actions answer at once and change nothing but the audit list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, TypeVar

from tqconsole.core.action_input import read_fields
from tqconsole.core.actions import ACTIONS, ActionRequest
from tqconsole.core.cluster import Cluster
from tqconsole.core.errors import ActionError
from tqconsole.core.ingest import Arrived
from tqconsole.core.inspection import inspected
from tqconsole.core.lookup import KnownTask, text_facts
from tqconsole.core.model_reader import ModelReader
from tqconsole.core.model_session import SessionModel
from tqconsole.core.perform import READ_ONLY_ERROR, title_of
from tqconsole.core.picture import Surroundings
from tqconsole.core.simulated_events import PICTURE_AT, TYPES, EventSource, depths
from tqconsole.core.stamps import Stamped
from tqconsole.core.undo import undo_of
from tqconsole.core.views import (
    ActionDone,
    AuditLine,
    Changes,
    DeadLetterView,
    Inspected,
    NodeAnswer,
    PeekedMessage,
    QueuePeek,
    TaskFacts,
)
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.control.answer import Answers

#: Seconds of history a simulated cluster has when it is first shown.
HISTORY_S = 600
#: Seconds between two answers of a worker: as often as a session asks.
REPLY_EVERY_S = 7
#: Seconds the silent worker has been silent.
SILENT_S = 48.0
#: The worker that falls silent, and the one with the run that takes too long.
SILENT_WORKER, LONG_WORKER = 6, 2

Value = TypeVar("Value")


class SimulatedSession(ModelReader):
    """A cluster of `worker_count` workers at the instant `now_at`, after ten minutes of work."""

    def __init__(
        self,
        seed: int = 1,
        now_at: float = PICTURE_AT,
        *,
        worker_count: int = 9,
        tasks_per_s: float = 14.0,
        is_read_only: bool = False,
        history_s: int = HISTORY_S,
    ) -> None:
        self._is_read_only = is_read_only
        self._clock = ManualClock(now_at - history_s)
        self._began_at = now_at - history_s
        self._source = EventSource(seed, worker_count, tasks_per_s)
        surroundings = Surroundings(
            "prod", "amqp://app:**@mq1//shop", "from -b", is_read_only=is_read_only
        )
        super().__init__(SessionModel(self._clock, surroundings, Cluster(self._clock)))
        self._signatures.read(
            lambda: {kind.name: SimpleNamespace(run=kind.function) for kind in TYPES}
        )
        self._silent_from_at = now_at - SILENT_S
        self._introduce()
        self.advance(history_s)

    @property
    def is_read_only(self) -> bool:
        """True when actions that change something are refused."""
        return self._is_read_only

    def start(self) -> None:
        """Nothing runs here."""

    def stop(self) -> None:
        """Nothing runs here."""

    def advance(self, duration_s: float) -> None:
        """Let the cluster work for whole seconds."""
        for _ in range(int(duration_s)):
            self._second()

    def drain(self, budget_s: float = 0.008) -> Changes:
        """Bring views and snapshot up to date with what `advance` brought."""
        return self._model.finish_frame(
            ("live", ""), has_events=True, has_facts=True, is_behind=False
        )

    def perform(self, request: ActionRequest) -> Future[ActionDone]:
        """Answer as workers would: all but the silent one agree."""
        action = ACTIONS[request.action_id]
        title, same_as = title_of(action, request), self.equivalent(request)
        now_at = self._clock.now()
        done = self._agreed(request, title, same_as)
        if action.does_change and self._is_read_only:
            done = ActionDone(title, error=READ_ONLY_ERROR, equivalent=same_as)
        try:
            read_fields(action, request.arguments)
        except ActionError as error:
            done = ActionDone(title, error=str(error), equivalent=same_as)
        outcome = done.error or f"{len(done.answers)} answered"
        self._audit.append(
            AuditLine(
                now_at,
                request.action_id,
                request.targets,
                same_as,
                outcome,
                bool(done.error),
                done,
                undo_of(request, done, None),
            )
        )
        return _finished(done)

    def equivalent(self, request: ActionRequest) -> str:
        """Return the command line that does the same."""
        return self._model.equivalent(request)

    def inspect(self, worker: str, what: str) -> Future[Inspected]:
        """Answer out of the rows."""
        if worker == self._silent():
            return _finished(inspected(worker, what, Answers({}, (worker,), 1.0), 0.0))
        value = self._said(worker, what)
        answers = Answers({worker: value}, elapsed_s=0.031)
        return _finished(inspected(worker, what, answers, self._clock.now()))

    def peek(self, queue: str, count: int = 100) -> Future[QueuePeek]:
        """Return made-up messages of the types that go into the queue."""
        kinds = [kind for kind in TYPES if kind.queue == queue]
        messages = tuple(
            PeekedMessage(
                f"{(number + 1) * 2_654_435_761 % 2**32:08x}-5d1e-4a55-b0f2-2f0c6d0a41e7",
                kinds[number % len(kinds)].name,
                kinds[number % len(kinds)].args.format(n=number),
                "{}",
                "",
                0,
                "gen41@web-3",
                0,
                412,
            )
            for number in range(min(count, 40) if kinds else 0)
        )
        counts = {message.name: 0 for message in messages}
        for message in messages:
            counts[message.name] += 1
        return _finished(QueuePeek(queue, messages, tuple(counts.items())))

    def find_stamped(self, stamps: Mapping[str, str]) -> Future[Stamped]:
        """Return made-up calls that carry the stamps."""
        found = (("mail", "mail.send", 31), ("img", "img.resize", 4)) if stamps else ()
        return _finished(Stamped(found, looked_at=164, queue_count=4))

    def dead_letters(self, queue: str = "") -> Future[tuple[DeadLetterView, ...]]:
        """Return three dead letters of img."""
        letters = tuple(
            DeadLetterView(
                f"letter-{number}",
                f"{number * 2_654_435_761 % 2**32:08x}-5d1e-4a55-b0f2-2f0c6d0a41e7",
                "img.resize",
                "img",
                "worker-lost",
                "its process died 5 times",
                "w2@ip-10-1-2",
                self._clock.now() - 60 * number,
                f"({number}, 'full')",
                "{}",
            )
            for number in (1, 2, 3)
        )
        return _finished(letters if queue in ("", "img") else ())

    def fetch_task(self, task_id: str) -> Future[TaskFacts]:
        """Return what the row says."""
        return _finished(text_facts(KnownTask.of(task_id, self.task(task_id))))

    def pause(self) -> None:
        """Freeze what is shown."""
        self._model.is_paused = True

    def resume(self) -> None:
        """Show the present again."""
        self._model.is_paused = False

    def refresh(self) -> None:
        """Nothing is asked here."""

    def _introduce(self) -> None:
        """Let the workers say what `stats`, `active_queues` and `registered` would."""
        cluster, now_at = self._model.cluster, self._clock.now()
        cluster.apply(self._source.heartbeats(now_at), now_at)
        cluster.note_registered([kind.name for kind in TYPES])
        for number, name in enumerate(self._source.workers):
            node = cluster.nodes.note_reply(name, now_at, 0.031)
            cluster.nodes.note_stats(node, _stats(number))
            node.queues = ("mail",) if number % 5 == 4 else ("celery", "img")
        long_start = {
            "type": "task-started",
            "uuid": "77aa01c4-5d1e-4a55-b0f2-2f0c6d0a41e7",
            "hostname": self._source.workers[LONG_WORKER],
            "timestamp": now_at,
        }
        call = {**long_start, "type": "task-received", "name": "report.build", "args": "(2026, 11)"}
        cluster.apply([call, long_start], now_at)
        self._source.occupy(self._source.workers[LONG_WORKER])

    def _second(self) -> None:
        cluster = self._model.cluster
        at = self._clock.now()
        is_silent = at >= self._silent_from_at
        silent = (self._silent(),) if is_silent else ()
        busy = tuple(name for name in self._source.workers if name not in silent)
        events = [
            event for event in self._source.second(at, busy) if event["hostname"] not in silent
        ]
        self._clock.advance(1.0)
        now_at = self._clock.now()
        if int(now_at) % REPLY_EVERY_S == 0:
            for name in busy:
                cluster.nodes.note_reply(name, now_at, 0.031)
        if int(now_at) % 2 == 0:
            events += self._source.heartbeats(now_at, silent)
        self._model.take(Arrived(now_at, events))
        for name, depth in depths(now_at - self._began_at, now_at).items():
            cluster.queues.queue(name).note_depth(depth, now_at)
        cluster.tick()

    def _silent(self) -> str:
        return self._source.workers[min(SILENT_WORKER, len(self._source.workers) - 1)]

    def _agreed(self, request: ActionRequest, title: str, same_as: str) -> ActionDone:
        kind = ACTIONS[request.action_id].target_kind
        names = request.targets if kind == "worker" and request.targets else self._source.workers
        silent = self._silent()
        answers = tuple(NodeAnswer(name, "ok") for name in names if name != silent)
        missing = (silent,) if silent in names else ()
        return ActionDone(title, answers, missing, 0.31, equivalent=same_as)

    def _said(self, worker: str, what: str) -> Any:
        if what == "stats":
            return _stats(self._source.workers.index(worker))
        if what == "registered":
            return [kind.name for kind in TYPES]
        if what in ("active", "reserved"):
            return [
                {
                    "id": row.task_id,
                    "name": row.name,
                    "args": row.args,
                    "kwargs": row.kwargs,
                    "time_start": row.started_at,
                    "worker_pid": 4471,
                    "delivery_info": {"routing_key": row.queue},
                }
                for row in self._model.cluster.store.running.values()
                if row.worker == worker and what == "active"
            ]
        if what in ("scheduled", "revoked", "active_queues"):
            return []
        return {"ok": json.dumps({"worker": worker, "what": what})}


def _stats(number: int) -> dict[str, Any]:
    pool = "thread" if number % 5 == 4 else "prefork"
    return {
        "pool": {
            "implementation": f"celery.concurrency.{pool}:TaskPool",
            "max-concurrency": 4 if pool == "prefork" else 8,
        },
        "pid": 4000 + number,
        "prefetch_count": 16,
        "uptime": 21_600 * (number + 1),
        "rusage": {"maxrss": 217_088},
    }


def _finished(value: Value) -> Future[Value]:
    future: Future[Value] = Future()
    future.set_result(value)
    return future

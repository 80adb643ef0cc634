"""The thread that asks: queue depths from the broker, figures and queues from the workers.

Events tell what happens; this tells what is, also to a console that came late. Each job has a
period and stretches it when its answers cost time, so that asking never loads the cluster. What it
learns is handed to the UI's thread as facts to be folded into the model there.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tqconsole.core.facts import Told
from tqconsole.core.reconcile import read_ends
from tqconsole.engine import states
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import Clock
from tqconsole.engine.control.answer import Answers
from tqconsole.engine.exceptions import EngineError, NotSupportedError
from tqconsole.remote_control import RemoteControl

logger = logging.getLogger(__name__)

#: Seconds between two looks at the queues, the live workers, the workers' figures, their queues,
#: what they have in hand, the tasks they know, and the records of tasks that fell silent.
DEPTH_S, LIVE_S, STATS_S, QUEUES_S, HAND_S, REGISTERED_S = 1.0, 1.0, 7.0, 11.0, 13.0, 61.0
RECORDS_S = 2.0
#: Seconds between two questions for tasks that nobody knows the place of.
WHEREABOUTS_S = 4.0
#: Seconds between two looks at the next messages of queues, and how many are looked at.
HEAD_S, HEADS_AT_ONCE = 3.0, 20
#: A job that took d seconds rests at least this many times d.
REST_FACTOR = 10.0
#: Seconds a failed job rests.
FAILED_S = 3.0
#: Queues asked in one turn; the others follow in the next ones.
QUEUES_AT_ONCE = 200
#: Dead letters counted at most where depths do not tell.
LETTER_LIMIT = 1000


@dataclass(slots=True)
class _Job:
    """One thing to ask, and when it is due."""

    ask: Callable[[], None]
    period_s: float
    due_mono: float = 0.0


class Poller:
    """Asks in a thread of its own between `start` and `stop`; rests while paused."""

    def __init__(
        self, broker: Broker, remote: RemoteControl, clock: Clock, backend: Backend | None = None
    ) -> None:
        self._broker = broker
        self._backend = backend
        self._remote = remote
        self._clock = clock
        self._facts: deque[Told] = deque()
        self._wake = threading.Condition()
        self._is_stopping = False
        self._is_paused = False
        self._thread: threading.Thread | None = None
        self._turn = 0
        #: Queues with messages whose age the broker does not know.
        self._undated: list[str] = []
        #: Queues that others have told of (events, workers): set by the UI's thread, whole.
        self.queue_names: tuple[str, ...] = ()
        #: Tasks whose end may have gone unheard: set likewise.
        self.doubted_ids: tuple[str, ...] = ()
        #: Tasks that workers are to be asked for: set likewise.
        self.queried_ids: tuple[str, ...] = ()
        now_mono = clock.mono()
        of_workers = [
            _Job(self._ask_stats, STATS_S, now_mono),
            _Job(self._ask_queues, QUEUES_S, now_mono),
            _Job(self._ask_registered, REGISTERED_S, now_mono),
        ]
        self._of_workers = tuple(of_workers)
        self._in_hand = _Job(self._ask_in_hand, HAND_S, now_mono)
        self._jobs = [
            _Job(self._ask_depths, DEPTH_S, now_mono),
            _Job(self._ask_heads, HEAD_S, now_mono),
            _Job(self._ask_live, LIVE_S, now_mono),
            *of_workers,
            self._in_hand,
            _Job(self._ask_records, RECORDS_S, now_mono),
            _Job(self._ask_whereabouts, WHEREABOUTS_S, now_mono),
        ]

    def start(self) -> None:
        """Begin to ask."""
        self._thread = threading.Thread(target=self._run, name="tqconsole-poller", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop asking; returns when the thread has ended or is stuck in an ask."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=3.0)
            self._thread = None

    def set_paused(self, *, is_paused: bool) -> None:
        """Rest, or go on."""
        with self._wake:
            self._is_paused = is_paused
            self._wake.notify_all()

    def ask_now(self) -> None:
        """Make every job due."""
        self._hurry(self._jobs)

    def ask_workers_now(self) -> None:
        """Make due what tells who a worker is."""
        self._hurry(self._of_workers)

    def ask_in_hand_now(self) -> None:
        """Make due what tells which tasks workers have in hand."""
        self._hurry([self._in_hand])

    def _hurry(self, jobs: Iterable[_Job]) -> None:
        with self._wake:
            for job in jobs:
                job.due_mono = 0.0
            self._wake.notify_all()

    def take(self) -> Told | None:
        """Return the oldest fact, None when there is none. Called by the UI's thread."""
        try:
            return self._facts.popleft()
        except IndexError:
            return None

    def _run(self) -> None:
        while True:
            with self._wake:
                job = min(self._jobs, key=lambda job: job.due_mono)
                rest_s = job.due_mono - self._clock.mono()
                if self._is_stopping:
                    return
                if self._is_paused or rest_s > 0:
                    self._wake.wait(None if self._is_paused else rest_s)
                    continue
            self._do(job)

    def _do(self, job: _Job) -> None:
        began_mono = self._clock.mono()
        rest_s = job.period_s
        with self._wake:
            # Who makes it due from here on wants what is true after this asking.
            job.due_mono = float("inf")
        try:
            job.ask()
        except NotSupportedError:
            rest_s = float("inf")
        except EngineError as error:
            # The link state tells of a broken broker already; here it is only tried again.
            logger.debug("asking failed: %s", error)
            rest_s = max(FAILED_S, rest_s)
        except Exception:
            # A reply of a shape nobody expects must not end the thread: this job skips a turn.
            logger.exception("an answer could not be used")
            rest_s = max(FAILED_S, rest_s)
        ended_mono = self._clock.mono()
        with self._wake:
            if job.due_mono > 0.0:
                job.due_mono = ended_mono + max(rest_s, (ended_mono - began_mono) * REST_FACTOR)

    def _tell(self, fact: Told) -> None:
        self._facts.append(fact)

    def _ask_depths(self) -> None:
        names = sorted({*self._broker.queue_names(), *self.queue_names})
        if len(names) > QUEUES_AT_ONCE:
            start = self._turn * QUEUES_AT_ONCE % len(names)
            self._turn += 1
            names = (names + names)[start : start + QUEUES_AT_ONCE]
        depths = {name: self._broker.depth(name) for name in names}
        self._tell(Told("depths", depths))
        self._tell(Told("unacked", self._broker.unacked_count()))
        self._undated = [
            name for name, it in depths.items() if it.ready_count and it.oldest_at is None
        ]
        # Where nothing can be looked at without being taken, letters are listed when asked for.
        can = self._broker.capabilities
        if (
            can.can_dead_letter
            and can.can_peek
            and any(depth.dead_count is None for depth in depths.values())
        ):
            self._count_letters()

    def _ask_heads(self) -> None:
        """Look at the next message of queues whose broker does not tell how old it is."""
        if not self._broker.capabilities.can_peek:
            raise NotSupportedError("nothing can be looked at here without being taken")
        heads = {}
        for name in self._undated[:HEADS_AT_ONCE]:
            for message in self._broker.peek(name, 1):
                task_id = message.headers.get("id")
                if isinstance(task_id, str):
                    heads[name] = task_id
        if heads:
            self._tell(Told("heads", heads))

    def _count_letters(self) -> None:
        counts: dict[str, int] = {}
        for letter in self._broker.dead_letters(None, LETTER_LIMIT):
            counts[letter.queue] = counts.get(letter.queue, 0) + 1
        self._tell(Told("letters", counts))

    def _ask_live(self) -> None:
        if not self._broker.capabilities.knows_workers:
            raise NotSupportedError("this broker does not know its workers")
        names = {worker.worker_name for worker in self._broker.live_workers()}
        self._tell(Told("live", sorted(names)))

    def _ask_stats(self) -> None:
        answers = self._remote.stats()
        self._tell(Told("stats", [answers.elapsed_s, _good(answers)]))

    def _ask_queues(self) -> None:
        answers = self._remote.active_queues()
        self._tell(Told("queues", [answers.elapsed_s, _good(answers)]))

    def _ask_in_hand(self) -> None:
        has_answers = False
        for answers, state in (
            (self._remote.active(is_safe=True), states.STARTED),
            (self._remote.reserved(), states.RECEIVED),
            (self._remote.scheduled(), states.RECEIVED),
        ):
            has_answers = has_answers or bool(answers.replies)
            self._tell(Told("in_hand", [state, _good(answers)]))
        self._tell(Told("in_hand_told", has_answers))

    def _ask_whereabouts(self) -> None:
        task_ids = self.queried_ids
        if task_ids:
            replies = _good(self._remote.query_task(task_ids))
            self._tell(Told("whereabouts", [list(task_ids), replies]))

    def _ask_registered(self) -> None:
        self._tell(Told("registered", _good(self._remote.registered())))

    def _ask_records(self) -> None:
        task_ids = self.doubted_ids
        backend = self._backend
        if backend is None or not backend.is_enabled or not backend.is_readable_by_others:
            raise NotSupportedError("no result store that can be asked")
        ends = read_ends(backend, task_ids) if task_ids else []
        if ends:
            self._tell(Told("ends", ends))


def _good(answers: Answers) -> dict[str, Any]:
    """Return the replies that are no errors."""
    return {name: value for name, value in answers.replies.items() if name not in answers.errors}

"""The console's session with one real cluster: model, threads and actions behind one face.

Three kinds of threads meet here: the ingest thread brings events, the poller brings facts, a small
pool carries out what was asked. All they bring is queued; the UI's thread folds it into the model
in `drain`, so the model needs no lock. Implements `port.ConsoleSession`.
"""

from __future__ import annotations

import gc
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from tqconsole.core.actions import ActionRequest
from tqconsole.core.cluster import Cluster
from tqconsole.core.equivalent import reaching
from tqconsole.core.errors import ConsoleError
from tqconsole.core.history import History
from tqconsole.core.ingest import Ingest
from tqconsole.core.inspection import inspected
from tqconsole.core.keeping import Keeping
from tqconsole.core.lookup import KnownTask, Lookup
from tqconsole.core.model_reader import ModelReader
from tqconsole.core.model_session import SessionModel
from tqconsole.core.perform import Performed, Performer
from tqconsole.core.picture import Surroundings
from tqconsole.core.poller import Poller
from tqconsole.core.reading import letter_view, peeked
from tqconsole.core.recording import Recorder
from tqconsole.core.sanitize import clean
from tqconsole.core.schedules import ScheduleSource
from tqconsole.core.signatures import ReadTasks
from tqconsole.core.stamps import Stamped, find_stamped
from tqconsole.core.store import BYTES_LIMIT, ROWS_LIMIT
from tqconsole.core.views import (
    ActionDone,
    AuditLine,
    Changes,
    DeadLetterView,
    Inspected,
    QueuePeek,
    TaskFacts,
)
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.control.client import Control
from tqconsole.engine.exceptions import EngineError
from tqconsole.engine.protocol.mailboxes import CELERYS, Mailboxes
from tqconsole.remote_control import RemoteControl

logger = logging.getLogger(__name__)

#: Threads that carry out actions: one slow broker call must not hold up the next.
ACTION_THREADS = 4
#: Seconds after the start when what was filled in at once is taken out of the garbage collector's
#: sight, and seconds between two repetitions: a full collection takes 44 ms at 100,000 rows.
FREEZE_FIRST_S, FREEZE_EVERY_S = 5.0, 300.0
#: Thresholds of the garbage collector while the console runs.
GC_THRESHOLDS = (5000, 20, 1000)
#: Characters of an equivalent command: a thousand ids, or long arguments.
EQUIVALENT_CHARS = 100_000
#: Letters read at once.
LETTER_LIMIT = 1000

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a session is told besides its cluster.

    `default_queue` is where a call goes whose queue nobody named and no earlier call shows.
    """

    rows_limit: int = ROWS_LIMIT
    bytes_limit: int = BYTES_LIMIT
    default_queue: str = "celery"
    saved_filters: Mapping[str, str] | None = None
    #: Of the context's name on the screens, #rrggbb; "" for none of its own.
    context_color: str = ""
    #: Global options of the command line that lead to this cluster, for the commands shown.
    reached_by: tuple[str, ...] = ()
    #: How commands and events travel in this cluster.
    mailboxes: Mailboxes = CELERYS
    #: Gives the app's tasks, whose signatures are shown; None where there is no app.
    read_tasks: ReadTasks | None = None
    #: Where tasks outlive the console; None: nowhere.
    history: History | None = None
    #: What is scheduled; None where nobody said which app's.
    schedule: ScheduleSource | None = None
    #: Writes down what comes; None: nothing does.
    recorder: Recorder | None = None
    #: Tune the garbage collector of the process: off where the console is a guest in one.
    tunes_gc: bool = True


class Session(ModelReader):
    """One cluster. `backend` is None when no result store is known."""

    def __init__(  # noqa: PLR0913 - the contract's collaborators, each one thing
        self,
        broker: Broker,
        backend: Backend | None,
        control_client: Control,
        *,
        context: str = "",
        reason: str = "",
        is_read_only: bool = False,
        is_demo: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        options: SessionOptions | None = None,
    ) -> None:
        self._options = options or SessionOptions()
        self._clock = clock
        self._broker = broker
        self._remote = RemoteControl(control_client, is_read_only=is_read_only)
        cluster = Cluster(clock, self._options.rows_limit, self._options.bytes_limit)
        surroundings = Surroundings(
            clean(context, 80),
            clean(broker.url, 200),
            clean(reason, 200),
            is_demo=is_demo,
            is_read_only=is_read_only,
            context_color=self._options.context_color,
        )
        super().__init__(SessionModel(clock, surroundings, cluster, self._options.saved_filters))
        self._keeping = Keeping(self._model, self._options.history, self._options.recorder)
        self._ingest = Ingest(broker, clock, self._options.mailboxes)
        self._poller = Poller(broker, self._remote, clock, backend)
        self._lookup = Lookup(broker, backend, self._remote)
        self._performer = Performer(
            broker,
            self._remote,
            self._lookup,
            clock,
            default_queue=self._options.default_queue,
            backend=backend,
        )
        self._pool = ThreadPoolExecutor(ACTION_THREADS, thread_name_prefix="tqconsole-action")
        self._ended: deque[tuple[AuditLine, Performed]] = deque()
        self._learned: deque[Callable[[Cluster, float], None]] = deque()
        self._asked_names: frozenset[str] = frozenset()
        self._freeze_mono = float("inf")
        self._old_thresholds: tuple[int, int, int] | None = None

    @property
    def is_read_only(self) -> bool:
        """True when nothing may be changed."""
        return self._remote.is_read_only

    def start(self) -> None:
        """Begin to listen and to ask; returns at once."""
        if self._options.tunes_gc:
            self._old_thresholds = gc.get_threshold()
            gc.set_threshold(*GC_THRESHOLDS)
            self._freeze_mono = self._clock.mono() + FREEZE_FIRST_S
        self._keeping.start()
        self._ingest.start()
        self._poller.start()
        if self._options.read_tasks is not None:
            self._pool.submit(self._read_signatures, self._options.read_tasks)
        self._ask_schedule()

    def stop(self) -> None:
        """End the threads. May be called twice. The broker stays its owner's."""
        self._poller.stop()
        self._ingest.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._keeping.stop()
        if self._old_thresholds is not None:
            gc.set_threshold(*self._old_thresholds)
            gc.unfreeze()
            self._old_thresholds = None

    def drain(self, budget_s: float = 0.008) -> Changes:
        """Take in what came, at most `budget_s` long (one batch more at worst)."""
        until_mono = self._clock.mono() + budget_s
        has_facts = self._take_facts()
        has_events = False
        is_behind = False
        while (batch := self._ingest.take()) is not None:
            self._model.take(batch)
            self._keeping.note_events(batch)
            has_events = True
            if self._clock.mono() >= until_mono:
                is_behind = True
                break
        link = (self._ingest.link.state, clean(self._ingest.link.detail, 300))
        if self._keeping.keep(link):
            self._poller.ask_in_hand_now()
            self._freeze_mono = min(self._freeze_mono, self._clock.mono())
        cluster = self._model.cluster
        cluster.dropped_count = self._ingest.dropped_count
        changes = self._model.finish_frame(
            link,
            has_events=has_events,
            has_facts=has_facts,
            is_behind=is_behind,
        )
        if changes.stats:
            self._poller.queue_names = cluster.queues.names()
            self._poller.doubted_ids = cluster.doubted_ids()
            self._poller.queried_ids = cluster.queried_ids()
            self._ask_newcomers()
            self._freeze()
        return changes

    def perform(self, request: ActionRequest) -> Future[ActionDone]:
        """Carry an action out in a thread."""
        request = self._with_queue(request)
        known = {task_id: self._known(task_id) for task_id in request.targets}
        line = AuditLine(
            self._clock.now(), request.action_id, request.targets, self.equivalent(request)
        )
        self._audit.append(line)

        def work() -> ActionDone:
            performed = self._reaching(self._performer.run(request, known))
            self._ended.append((line, performed))
            return performed.done

        return self._pool.submit(work)

    def equivalent(self, request: ActionRequest) -> str:
        """Return the command line that does the same."""
        command = reaching(self._model.equivalent(request), self._options.reached_by)
        return clean(command, EQUIVALENT_CHARS)

    def _reaching(self, performed: Performed) -> Performed:
        command = reaching(performed.done.equivalent, self._options.reached_by)
        return replace(performed, done=replace(performed.done, equivalent=command))

    def inspect(self, worker: str, what: str) -> Future[Inspected]:
        """Ask one worker."""

        def work() -> Inspected:
            try:
                answers = self._remote.run(what, {}, [worker])
            except EngineError as error:
                return Inspected(clean(worker, 255), what, error=clean(str(error), 300))
            return inspected(worker, what, answers, self._clock.now())

        return self._pool.submit(work)

    def peek(self, queue: str, count: int = 100) -> Future[QueuePeek]:
        """Read the next messages of a queue without taking them."""

        def work() -> QueuePeek:
            try:
                return peeked(queue, self._broker.peek(queue, count))
            except EngineError as error:
                return QueuePeek(clean(queue, 255), error=clean(str(error), 300))

        return self._pool.submit(work)

    def find_stamped(self, stamps: Mapping[str, str]) -> Future[Stamped]:
        """Look for waiting calls that carry one of these stamps."""
        names = self._model.cluster.queues.names()
        return self._pool.submit(find_stamped, self._broker, names, dict(stamps))

    def dead_letters(self, queue: str = "") -> Future[tuple[DeadLetterView, ...]]:
        """Return the dead letters of one queue or of all, newest first."""

        def work() -> tuple[DeadLetterView, ...]:
            try:
                letters = self._broker.dead_letters(queue or None, LETTER_LIMIT)
            except EngineError as error:
                raise ConsoleError(clean(str(error), 300)) from error
            return tuple(letter_view(letter) for letter in letters)

        return self._pool.submit(work)

    def fetch_task(self, task_id: str) -> Future[TaskFacts]:
        """Find out what can be known of a task."""
        known = self._known(task_id)
        return self._pool.submit(lambda: self._lookup.fetch(known))

    def pause(self) -> None:
        """Freeze what is shown; events are still taken in."""
        self._model.is_paused = True
        self._poller.set_paused(is_paused=True)

    def resume(self) -> None:
        """Show the present again."""
        self._model.is_paused = False
        self._poller.set_paused(is_paused=False)

    def refresh(self) -> None:
        """Ask the cluster now, and read the schedule anew."""
        self._poller.ask_now()
        self._ask_schedule()

    def _known(self, task_id: str) -> KnownTask:
        return KnownTask.of(task_id, self.task(task_id))

    def _with_queue(self, request: ActionRequest) -> ActionRequest:
        """A call without a queue goes where the type's last one went: routes are not known here."""
        if request.action_id not in ("task.call", "beat.run") or request.arguments.get("queue"):
            return request
        name = str(request.arguments.get("task_name", "")).strip()
        queue = self._model.cluster.queue_of(name)
        if not queue:
            return request
        return replace(request, arguments={**request.arguments, "queue": queue})

    def _take_facts(self) -> bool:
        now_at = self._clock.now()
        has_any = False
        while (fact := self._poller.take()) is not None:
            fact.tell(self._model.cluster, now_at)
            self._keeping.note_fact(fact, now_at)
            has_any = True
        while self._learned:
            self._learned.popleft()(self._model.cluster, now_at)
            has_any = True
        while self._ended:
            line, performed = self._ended.popleft()
            self._note_end(line, performed)
            has_any = True
        return has_any

    def _note_end(self, line: AuditLine, performed: Performed) -> None:
        for sent in performed.sent:
            facts = {
                "name": sent.name,
                "args": sent.args,
                "kwargs": sent.kwargs,
                "queue": sent.queue,
            }
            self._model.cluster.note_call(sent.task_id, facts, line.at)
        done = performed.done
        refusals = sum(1 for answer in done.answers if answer.error)
        outcome = done.error or (
            f"{refusals} of {len(done.answers)} refused" if refusals else _summary(done)
        )
        if line in self._audit:
            self._audit[self._audit.index(line)] = replace(
                line,
                equivalent=done.equivalent,
                outcome=outcome,
                is_error=bool(done.error or refusals),
                done=done,
                undo=performed.undo,
            )

    def _read_signatures(self, read_tasks: ReadTasks) -> None:
        try:
            self._signatures.read(read_tasks)
        except Exception:
            # The user's modules may raise anything; calls go out by name all the same.
            logger.exception("the app's tasks could not be imported")

    def _ask_schedule(self) -> None:
        if self._options.schedule is not None:
            self._model.cluster.beat.await_entries()
            self._pool.submit(self._read_schedule, self._options.schedule)

    def _read_schedule(self, source: ScheduleSource) -> None:
        try:
            entries = source.entries()
        except Exception as error:
            # The user's modules may raise anything: the screen says what, the log where.
            logger.exception("the schedule could not be read")
            reason = f"{type(error).__name__}: {error}"
            self._learned.append(lambda cluster, _now_at: cluster.beat.fail(reason))
        else:
            self._learned.append(
                lambda cluster, now_at: cluster.beat.take_entries(entries, cluster.store, now_at)
            )

    def _ask_newcomers(self) -> None:
        """Ask workers that came just now for their pool and queues, each once out of turn."""
        unknown = self._model.cluster.unknown_pools(self._clock.now())
        if unknown - self._asked_names:
            self._poller.ask_workers_now()
        self._asked_names = unknown

    def _freeze(self) -> None:
        now_mono = self._clock.mono()
        if self._options.tunes_gc and now_mono >= self._freeze_mono:
            gc.freeze()
            self._freeze_mono = now_mono + FREEZE_EVERY_S


def _summary(done: ActionDone) -> str:
    if len(done.answers) == 1:
        return done.answers[0].text
    text = f"{len(done.answers)} answered"
    return f"{text}, {len(done.missing)} did not" if done.missing else text

"""Carries out the machine's actions at broker, store, pool and log; brings back what came of it.

Runs in the loop's thread. Whatever a broker or store raises becomes a happening: only a wrong
configuration ends a worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tqconsole.engine.backends.base import Backend
from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.events.dispatcher import Dispatcher
from tqconsole.engine.exceptions import EngineError, ImproperlyConfigured, NotSupportedError
from tqconsole.engine.log import one_line
from tqconsole.engine.middleware.fallout import ReturnedPart
from tqconsole.engine.pools.base import JobEnded, JobLost, Pool
from tqconsole.engine.protocol.transfer import Riding
from tqconsole.engine.worker.absence import WORK, Absence
from tqconsole.engine.worker.handed import HandedNotes
from tqconsole.engine.worker.jobs import Jobs
from tqconsole.engine.worker.outcome import Outcome, decode_outcome
from tqconsole.engine.worker.reading import Reader
from tqconsole.engine.worker.revoked_records import RevokedRecords
from tqconsole.engine.worker.values import (
    Action,
    Arrival,
    Arrived,
    BrokerAway,
    BrokerBack,
    Caught,
    Emit,
    Exchange,
    ExchangeDone,
    ExchangeFailed,
    ExchangeWritten,
    Exit,
    Forfeited,
    Happening,
    KillAll,
    Log,
    NoteHanded,
    Notify,
    Read,
    RecordRevoked,
    RecordsLeft,
    RunEnded,
    SlotsChanged,
    Start,
    StartFailed,
    StartWritten,
    Store,
    StoreDone,
    StoreFailed,
    Submit,
    Terminate,
    Withdraw,
    Withdrawn,
)

logger = logging.getLogger(__name__)
#: The lines of tasks' lives go here (what Celery's `worker.strategy` and `trace` log).
task_logger = logging.getLogger("tqconsole.worker")

#: Events kept until the loop is about to sleep; past this they leave at once.
_EVENT_BATCH = 200
#: Revoked ids that are looked up and recorded in one turn of the loop.
_REVOKED_BATCH = 500


def _keep_part(part: ReturnedPart) -> None:
    """Do nothing: there are no chords where nobody said how they come together."""


class Rim(msgspec.Struct, frozen=True):
    """What surrounds the machine."""

    hostname: str
    consumer: Consumer
    backend: Backend
    pool: Pool
    reader: Reader
    dispatcher: Dispatcher
    notify: Callable[[Notify], None]
    revoked_records: RevokedRecords
    #: Where messages are published when that is another broker than the consumer's.
    write_broker: Broker | None = None
    #: Where it is noted what the broker forgets when it is acknowledged.
    handed_notes: HandedNotes | None = None
    #: Lets the part of a chord come back. Idempotent.
    return_part: Callable[[ReturnedPart], None] = _keep_part
    #: Tells of the times when the broker is away.
    absence: Absence = msgspec.field(default_factory=lambda: Absence(SYSTEM_CLOCK))


class Carrier:
    """One method per kind of action."""

    def __init__(self, rim: Rim) -> None:
        self._rim = rim
        self._jobs = Jobs(rim.hostname, rim.pool)
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._answers: list[Happening] = []
        self._is_pool_dead = False
        #: An exchange was begun and its end is not told yet.
        self._is_exchange_open = False
        #: What it brings may be read when the next one has left.
        self._may_read_later = False
        #: How many publications of an exchange that failed have left for `write_broker`.
        self._published_count = 0
        #: Something was submitted that the pool may have begun: it is worth a look.
        self.has_submitted = False
        self._shown = ""
        self.exit_code: int | None = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            Exchange: self._exchange,
            Start: self._start,
            Read: self._read,
            NoteHanded: self._note_handed,
            Store: self._store,
            RecordRevoked: self._record_revoked,
            Submit: self._submit,
            Withdraw: self._withdraw,
            Terminate: self._terminate,
            KillAll: self._kill_all,
            Emit: self._emit,
            Log: self._log,
            BrokerAway: lambda away: rim.absence.notice(WORK, away.reason),
            BrokerBack: lambda _: rim.absence.served(WORK),
            Notify: rim.notify,
            Exit: self._exit,
        }

    def carry_out(self, actions: Sequence[Action]) -> list[Happening]:
        """Do it all, in order; return what came of it."""
        handlers = self._handlers
        for action in actions:
            handlers[type(action)](action)
        answers, self._answers = self._answers, []
        return answers

    # --- broker and store ---------------------------------------------------------------------

    def _exchange(self, exchange: Exchange) -> None:
        failed = self._tried(self._begin, exchange)
        if failed is None:
            self._is_exchange_open = True
            self._may_read_later = exchange.is_ahead and self.is_awaiting
            if exchange.started:
                # They start now; the answer is taken when there is nothing else to do.
                self._tell_forfeited()
                self._answers.append(ExchangeWritten())
                return
            if self.is_awaiting:
                return
        answer = failed or self._ended_exchange()
        self._tell_forfeited()
        self._answers.append(answer)

    def _start(self, start: Start) -> None:
        failed = self._tried(self._rim.consumer.start, start.started)
        self._tell_forfeited()
        self._answers.append(StartWritten() if failed is None else StartFailed())

    @property
    def is_awaiting(self) -> bool:
        """True while the answer to an exchange is on its way, which the consumer's descriptor tells
        of, and nothing waits for it: slots run beside this thread, or it will bring nothing to run.
        """
        rim = self._rim
        if not self._is_exchange_open:
            return False
        return rim.consumer.brings_nothing if rim.pool.is_inline else rim.consumer.answers_later

    def finish_exchange(self) -> list[Happening]:
        """Wait for the end of the exchange that is under way, if there is one."""
        if self._is_exchange_open:
            answer = self._ended_exchange()
            self._tell_forfeited()
            self._answers.append(answer)
        answers, self._answers = self._answers, []
        return answers

    def caught(self) -> list[Happening]:
        """Return what has come in without an exchange that asked for it."""
        arrivals: list[Arrival] = []
        # Whatever fails here, an exchange follows and tells of it.
        self._tried(self._catch, arrivals)
        return [Caught(arrivals)] if arrivals else []

    def _catch(self, arrivals: list[Arrival]) -> None:
        if caught := self._rim.consumer.caught():
            arrivals += self._rim.reader.read(caught)

    def _read(self, read: Read) -> None:
        deliveries = self._rim.consumer.read(read.unread)
        self._answers.append(Arrived(self._rim.reader.read(deliveries)))

    def _begin(self, exchange: Exchange) -> None:
        rim = self._rim
        riding = self._riding(exchange)
        if exchange.parked:
            rim.consumer.park(exchange.parked)
        rim.consumer.begin(exchange.settled, exchange.started, exchange.wanted, riding)

    def _ended_exchange(self) -> Happening:
        self._is_exchange_open = False
        brought: list[Any] = []
        failed = self._tried(self._finish, brought)
        if failed is not None:
            return failed
        self._published_count = 0
        return ExchangeDone(unread=brought) if self._may_read_later else ExchangeDone(brought)

    def _finish(self, brought: list[Any]) -> None:
        consumer = self._rim.consumer
        if self._may_read_later:
            brought += consumer.finish_unread()
        elif deliveries := consumer.finish():
            brought += self._rim.reader.read(deliveries)

    def _tried(self, step: Callable[[Any], None], subject: Any) -> ExchangeFailed | None:
        try:
            step(subject)
        except ImproperlyConfigured:
            raise
        except EngineError as error:
            return ExchangeFailed(str(error))
        except Exception as error:  # noqa: BLE001 - an adapter's mistake must not end a worker
            self._show("The broker's adapter failed", error)
            return ExchangeFailed(repr(error))
        return None

    def _tell_forfeited(self) -> None:
        """Told first: what is lost must not start, and what comes back may be known."""
        if forfeited := self._rim.consumer.forfeited():
            self._answers.append(Forfeited(forfeited))

    def _riding(self, exchange: Exchange) -> Riding | None:
        """Return what goes in the consumer's own trip; what goes elsewhere is there after this.

        Raises: OperationalError.
        """
        publications = tuple(exchange.publications)
        if publications and self._rim.write_broker is not None:
            # An exchange that failed comes again with the same ones in front.
            if len(publications) > self._published_count:
                self._rim.write_broker.publish(publications[self._published_count :])
                self._published_count = len(publications)
            publications = ()
        if exchange.results or publications:
            return Riding(tuple(exchange.results), publications)
        return None

    def _store(self, store: Store) -> None:
        try:
            self._rim.backend.store(store.writes)
            for part in store.parts:
                self._rim.return_part(part)
        except ImproperlyConfigured:
            raise
        except EngineError as error:
            self._answers.append(StoreFailed(str(error)))
        except Exception as error:  # noqa: BLE001 - as above
            self._show("The result store's adapter failed", error)
            self._answers.append(StoreFailed(repr(error)))
        else:
            self._answers.append(StoreDone())

    def _note_handed(self, note: NoteHanded) -> None:
        if self._rim.handed_notes is not None:
            self._rim.handed_notes.write(note.handed)

    def _record_revoked(self, action: RecordRevoked) -> None:
        """Write the first of them; a store that fails costs the records, not the revoking."""
        task_ids = action.task_ids
        try:
            self._rim.revoked_records.write(task_ids[:_REVOKED_BATCH])
        except ImproperlyConfigured:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            logger.warning("%s revoked tasks are flagged, not recorded: %s", len(task_ids), error)
        else:
            if len(task_ids) > _REVOKED_BATCH:
                self._answers.append(RecordsLeft(task_ids[_REVOKED_BATCH:]))

    def _show(self, text: str, error: Exception) -> None:
        """Log an adapter's mistake with its traceback, once while it stays the same."""
        if repr(error) != self._shown:
            self._shown = repr(error)
            logger.error("%s", text, exc_info=error)

    # --- the pool -----------------------------------------------------------------------------

    def _submit(self, submit: Submit) -> None:
        pool = self._rim.pool
        jobs = self._jobs.of(submit.orders, is_told=submit.is_told)
        if pool.is_inline:
            # The run holds the loop: what was told before must not wait for its end.
            self.flush_events()
        try:
            pool.submit(jobs)
        except RuntimeError:
            # The slot that was counted on died a moment ago.
            self._answers.append(Withdrawn([job.job_id for job in jobs]))
            self._answers.append(self._slots())
        # Other processes ring when they have something to tell.
        self.has_submitted = pool.shares_memory
        if pool.is_inline:
            # The answer came while they ran: what they ended with leaves without another turn.
            self._answers = self.finish_exchange() + self.news()

    def news(self) -> list[Happening]:
        """Return what the pool has to tell, with its present count of slots."""
        self.has_submitted = False
        if self._is_pool_dead:
            return []
        told = self._rim.pool.poll()
        happenings: list[Happening] = [
            _ended(news) if isinstance(news, JobEnded) else news for news in told
        ]
        happenings.append(self._slots())
        return happenings

    def _slots(self) -> SlotsChanged:
        pool = self._rim.pool
        return SlotsChanged(pool.slot_count, pool.free_slots(), pool.room_behind())

    def _withdraw(self, _: Withdraw) -> None:
        job_ids = self._rim.pool.withdraw()
        if job_ids:
            self._answers.append(Withdrawn(job_ids))
        # What had ended was heard on the way.
        self._answers.extend(self.news())

    def _terminate(self, terminate: Terminate) -> None:
        try:
            self._rim.pool.terminate(terminate.job_id, terminate.signum)
        except NotSupportedError as error:
            logger.warning("%s", error)

    def _kill_all(self, _: KillAll) -> None:
        self._is_pool_dead = True
        self._rim.pool.stop(0)

    def stop_pool(self) -> None:
        """End the slots: after a warm shutdown nothing runs any more; what runs after a failure of
        the loop has nobody left to tell.
        """
        if not self._is_pool_dead:
            self._is_pool_dead = True
            self._rim.pool.stop(None if self.exit_code == 0 else 0)

    # --- telling ------------------------------------------------------------------------------

    def _emit(self, emit: Emit) -> None:
        self._events.extend(emit.events)
        if len(self._events) >= _EVENT_BATCH:
            self.flush_events()

    def flush_events(self) -> None:
        """Send the events that have gathered, as one message; a broker that fails loses them."""
        if not self._events:
            return
        events, self._events = self._events, []
        absence = self._rim.absence
        try:
            self._rim.dispatcher.send_many(events)
        except EngineError as error:
            absence.notice("task events", error, lost_event_count=len(events))
        except Exception as error:  # noqa: BLE001 - whatever it is, events are never worth a task
            logger.warning("Lost %s task events: %s", len(events), error)
        else:
            absence.served("task events")

    def _log(self, log: Log) -> None:
        text = one_line(log.text)
        if log.traceback:
            task_logger.log(log.level, "%s\n%s", text, log.traceback.rstrip())
        else:
            task_logger.log(log.level, "%s", text)

    def _exit(self, exit_: Exit) -> None:
        self.exit_code = exit_.code


def _ended(news: JobEnded) -> Happening:
    if isinstance(news.outcome, Outcome):
        return RunEnded(news.job_id, news.outcome)
    try:
        return RunEnded(news.job_id, decode_outcome(news.outcome))
    except (ValueError, EOFError, TypeError):
        # Written by a child that is not of this version, or torn: as if it had died at the end.
        logger.exception("The outcome of job %s cannot be read", news.job_id)
        return JobLost(news.job_id, was_started=True, pid=0, signal=None, exit_code=None)

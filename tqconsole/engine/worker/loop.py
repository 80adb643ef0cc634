"""The worker's loop: what happens goes into the machine, what it wants is carried out.

It runs in the worker's main thread and owns the consumer, the pool and the mailbox. It waits in one
selector for the bell of the broker, the pool's news, commands, other threads and signals, never
longer than until something is due.
"""

from __future__ import annotations

import logging
import selectors
from collections.abc import Callable

from tqconsole.engine.exceptions import EngineError
from tqconsole.engine.worker.busy_poll import BusyPoll
from tqconsole.engine.worker.chores import Chore, Chores
from tqconsole.engine.worker.loop_parts import LoopParts
from tqconsole.engine.worker.remote import Remote
from tqconsole.engine.worker.values import (
    Action,
    Exchange,
    ExchangeWritten,
    Happening,
    LossReported,
    Now,
    Rang,
    StartWritten,
    Stop,
    Tick,
)
from tqconsole.engine.worker.waker import SignalWatch

logger = logging.getLogger(__name__)

#: Longest sleep, seconds: whatever was overlooked is looked at then. And how long the answer to an
#: exchange may be on its way before it is waited for.
_LONGEST_SLEEP_S, _ANSWER_S = 10.0, 1.0
#: Between two looks at a consumer that has no descriptor, seconds.
_BLIND_SLEEP_S = 0.02
#: After something parked came due, seconds: the broker's clock may be a little behind ours.
_DUE_SLEEP_S = 0.002
#: Between two looks at the descriptors while there is enough to do, seconds.
_LOOK_S = 0.001
#: Between two fetches although no bell rang, seconds: a bell may be lost.
_SAFETY_S = 4.0
#: How long the chores of an idle worker may wait for each other, seconds: the heart wakes the loop
#: when it has renewed the lease, every 5 s, and all that is due is done in that one turn.
_SLACK_S, _SAFETY_SLACK_S = 5.0, 2.0
#: The chore that looks after the mailbox, and who misses the broker for it.
_MAIL = "remote control"


class Loop:
    """Turns until the machine says exit."""

    def __init__(self, parts: LoopParts, remote: Remote | None, max_deaths: int) -> None:
        self._machine = parts.machine
        self._carrier = parts.carrier
        self._broker = parts.broker
        self._consumer = parts.consumer
        self._pool = parts.pool
        self._reader = parts.reader
        self._waker = parts.waker
        self._clock = parts.clock
        self._on_signal = parts.on_signal
        self._soft_shutdown_s = parts.soft_shutdown_s
        self._absence = parts.absence
        self._remote = remote
        self._max_deaths = max_deaths
        self._selector = parts.selector
        self._busy_poll = BusyPoll(parts.selector, parts.clock, parts.busy_poll_s)
        self._inbox: list[Happening] = []
        self._chores = Chores(parts.clock, parts.absence)
        self._bell_fileno: int | None = None
        self._is_bell_watched = False
        self._is_bell_loud = False
        self._looked_mono = float("-inf")
        #: Since when an answer is awaited by the bell, None while none is.
        self._awaiting_mono: float | None = None
        self._pool_filenos: list[int] = []
        self._mail_fileno: int | None = None
        self._mail_chore: Chore | None = None
        self._loss_chore: Chore | None = None

    def add_chore(
        self,
        name: str,
        period_s: float,
        work: Callable[[], None],
        first_s: float = 0.0,
        *,
        slack_s: float = 0.0,
        asks_broker: bool = False,
    ) -> Chore:
        """Have `work` done in `first_s` seconds and then every `period_s` seconds, or up to
        `slack_s` seconds later while there is nothing else to wake for.
        """
        due_mono = self._clock.mono() + first_s
        return self._chores.add(Chore(name, period_s, work, due_mono, slack_s, asks_broker))

    def tell(self, happening: Happening) -> None:
        """Hand the machine something for its next step (from the loop's own thread)."""
        self._inbox.append(happening)

    def run(self, signals: SignalWatch) -> int:
        """Turn until all is done; return the exit code. Raises: ImproperlyConfigured only."""
        self.begin()
        while self._carrier.exit_code is None:
            self.turn(signals)
        self._carrier.flush_events()
        return self._carrier.exit_code

    def begin(self) -> None:
        """Watch everything that may ring. Called once, before the first turn."""
        self._selector.register(self._waker, selectors.EVENT_READ, self._on_waker)
        self._bell_fileno = self._consumer.fileno()
        self._watch_bell()
        self._inbox.extend(self._carrier.news())
        self._watch_pool()
        name, period_s = "giving back what dead workers had", self._broker.give_back_interval_s
        self._loss_chore = self.add_chore(name, period_s, self._give_back, asks_broker=True)
        fetch, slack_s = lambda: self.tell(Rang()), _SAFETY_SLACK_S
        self.add_chore("fetching", _SAFETY_S, fetch, slack_s=slack_s)
        if self._remote is not None:
            look = self._look_after_mail
            self._mail_chore = self.add_chore(_MAIL, 1.0, look, asks_broker=True)

    def turn(self, signals: SignalWatch) -> None:
        """Sleep until something happens, and do what follows. Raises: ImproperlyConfigured only."""
        self._gather()
        now = Now(self._clock.now(), self._clock.mono())
        sleep_s, is_woken = 0.0 if self._inbox else self._sleep_s(now), False
        if sleep_s > 0:
            self._carrier.flush_events()
            if self._awaiting_mono is None:
                self._consumer.prepare_wait()
        if sleep_s > 0 or now.mono - self._looked_mono >= _LOOK_S:
            for key, _ in self._busy_poll.select(sleep_s, self._awaited()):
                is_woken = sleep_s > 0
                key.data()
            now = Now(self._clock.now(), self._clock.mono())
            self._looked_mono = now.mono
        for signum, is_cold in signals.take():
            self._on_signal(signum, is_cold)
            self.tell(self._stop(is_cold=is_cold))
        self._look_at_the_clock(now)
        # What woke it before its time may have been no news for the machine.
        if self._inbox or not is_woken:
            self._step(now)
        if self._inbox and type(self._inbox[-1]) in (ExchangeWritten, StartWritten):
            # What was handed over starts without another turn, and what has ended there leaves.
            self._step(now)
            if self._inbox and self._pool.is_inline:
                self._step(Now(self._clock.now(), self._clock.mono()))

    def _awaited(self) -> tuple[bool, bool] | None:
        """Return what it waits for: the answer to an exchange, ends of runs, or only the next
        message. None: runs that need this thread, or its interpreter, to sleep.
        """
        is_running = bool(self._machine.hand.running)
        if is_running and self._pool.shares_memory:
            return None
        return self._awaiting_mono is not None, is_running

    def _step(self, now: Now) -> None:
        happenings, self._inbox = self._inbox or [Tick()], []
        actions = self._machine.step(now, happenings)
        if actions or self._is_bell_loud:
            self._hush_bell(actions)
            self._inbox.extend(self._carrier.carry_out(actions))

    def _gather(self) -> None:
        """Take in what is there already, when there is nothing else to do."""
        if not self._inbox and self._carrier.has_submitted:
            self.look_at_pool()
        if not self._inbox and not self._is_awaiting():
            self._finish_exchange()
        if not self._inbox and self._consumer.take_ring():
            self.tell(Rang())

    def _stop(self, *, is_cold: bool) -> Stop:
        """Return what a signal asks for: a first cold shutdown begins softly, if it is to."""
        if is_cold and self._soft_shutdown_s > 0 and not self._machine.is_stopping:
            logger.warning("Waiting %s seconds for what runs", self._soft_shutdown_s)
            return Stop(grace_s=self._soft_shutdown_s)
        return Stop(is_cold)

    def _is_awaiting(self) -> bool:
        """True while the bell will tell of the answer to the exchange that is under way; after a
        second without one it is waited for, in bounded time.
        """
        if not (self._carrier.is_awaiting and self._is_bell_watched):
            return False
        now_mono = self._clock.mono()
        if self._awaiting_mono is None:
            self._awaiting_mono = now_mono
        return now_mono - self._awaiting_mono < _ANSWER_S

    def _finish_exchange(self) -> None:
        self._awaiting_mono = None
        self._inbox.extend(self._carrier.finish_exchange())

    def _look_at_the_clock(self, now: Now) -> None:
        deadline_mono = self._pool.next_deadline_mono()
        if deadline_mono is not None and deadline_mono <= now.mono:
            self.look_at_pool()
        if self._bell_fileno is None and not self._inbox:
            self.tell(Rang())
        self._chores.do_due(now.mono)

    def _sleep_s(self, now: Now) -> float:
        next_mono = min(self._chores.wake_mono, now.mono + self._longest_sleep_s())
        for due_mono in (self._machine.next_mono(), self._pool.next_deadline_mono()):
            if due_mono is not None and due_mono < next_mono:
                next_mono = due_mono
        sleep_s = next_mono - now.mono
        if sleep_s > 0 and not self._machine.is_stopping:
            sleep_s = min(sleep_s, self._next_parked_s(now))
        return max(0.0, sleep_s)

    def _longest_sleep_s(self) -> float:
        if self._bell_fileno is None:
            return _BLIND_SLEEP_S
        return _LONGEST_SLEEP_S if self._awaiting_mono is None else _ANSWER_S

    def _next_parked_s(self, now: Now) -> float:
        """Return the seconds until something parked is due; when it is, have it fetched."""
        try:
            due_at = self._consumer.next_due_at()
        except EngineError:
            return _LONGEST_SLEEP_S
        if due_at is None:
            return _LONGEST_SLEEP_S
        if due_at <= now.at:
            if not self._is_bell_watched:
                return _LONGEST_SLEEP_S  # told already, and there is no room for it
            self._ring()
            return _DUE_SLEEP_S
        return due_at - now.at

    # --- the bell -----------------------------------------------------------------------------

    def _watch_bell(self) -> None:
        if self._bell_fileno is not None and not self._is_bell_watched:
            self._selector.register(self._bell_fileno, selectors.EVENT_READ, self._on_bell)
            self._is_bell_watched = True

    def _on_bell(self) -> None:
        is_awaited = self._carrier.is_awaiting
        # What started beside the exchange is answered too.
        if is_awaited and self._consumer.has_answered():
            self._finish_exchange()
        # What came with it takes no turn of its own.
        caught = self._carrier.caught()
        self._inbox.extend(caught)
        if not (is_awaited or caught or self._consumer.tells_nothing()):
            self._ring()

    def _ring(self) -> None:
        self._is_bell_loud = True
        self.tell(Rang())

    def _hush_bell(self, actions: list[Action]) -> None:
        """Look at the bell from now on if something is fetched, which silences it. While the window
        is full it stays readable, and would turn the loop for nothing.
        """
        is_loud, self._is_bell_loud = self._is_bell_loud, False
        for action in actions:
            if type(action) is Exchange and action.wanted:
                if not self._is_bell_watched:
                    self._watch_bell()
                return
        if is_loud and self._is_bell_watched and self._bell_fileno is not None:
            self._selector.unregister(self._bell_fileno)
            self._is_bell_watched = False

    # --- the pool -----------------------------------------------------------------------------

    def look_at_pool(self) -> None:
        """Take in what the pool has to tell; also after its size was changed."""
        self._inbox.extend(self._carrier.news())
        self._watch_pool()

    def _watch_pool(self) -> None:
        filenos = self._pool.filenos()
        if filenos == self._pool_filenos:
            return
        for fileno in set(self._pool_filenos) - set(filenos):
            self._selector.unregister(fileno)
        for fileno in set(filenos) - set(self._pool_filenos):
            self._selector.register(fileno, selectors.EVENT_READ, self.look_at_pool)
        self._pool_filenos = list(filenos)

    # --- commands and signals -----------------------------------------------------------------

    def _on_waker(self) -> None:
        self._inbox.extend(self._waker.take())
        # It may be the heart, which has learnt who else is there.
        self._give_slack_for_losses()

    def _on_mail(self) -> None:
        try:
            self._serve_mail()
        except EngineError as error:
            self._absence.notice(_MAIL, error)

    def _serve_mail(self) -> None:
        """Run the commands that have come. Raises: OperationalError; the mailbox is lost then."""
        if self._remote is None:
            return
        try:
            self._remote.serve()
        except EngineError:
            self._remote.lose()
            if self._mail_chore is not None:
                self._chores.give_slack(self._mail_chore, 0.0)
            raise
        finally:
            self._watch_mail()
            # A command may have changed the pool.
            self.look_at_pool()

    def _look_after_mail(self) -> None:
        """Open the mailbox when there is none; without a descriptor this is also how it is read."""
        if self._remote is None:
            return
        try:
            self._remote.open()
            self._watch_mail()
            if self._mail_fileno is None:
                self._serve_mail()
        finally:
            if self._mail_chore is not None:
                self._mail_chore.period_s = self._remote.period_s
                # Its descriptor tells of all but of a mailbox that is to be opened again.
                slack_s = 0.0 if self._mail_fileno is None else _SLACK_S
                self._chores.give_slack(self._mail_chore, slack_s)

    def _watch_mail(self) -> None:
        fileno = self._remote.fileno() if self._remote is not None else None
        if fileno == self._mail_fileno:
            return
        if self._mail_fileno is not None:
            self._selector.unregister(self._mail_fileno)
        if fileno is not None:
            self._selector.register(fileno, selectors.EVENT_READ, self._on_mail)
        self._mail_fileno = fileno

    # --- chores -------------------------------------------------------------------------------

    def _give_back(self) -> None:
        if not self._broker.capabilities.can_give_back or self._machine.is_stopping:
            return
        given = self._consumer.give_back(self._max_deaths)
        self._give_slack_for_losses()
        if given.returned_count or given.lost or given.dead_lettered:
            logger.warning(
                "Gave back what dead workers had (%s): %s returned, %s lost, %s dead letters",
                ", ".join(given.worker_names) or "unnamed",
                given.returned_count,
                len(given.lost),
                len(given.dead_lettered),
            )
        if given.returned_count:
            self.tell(Rang())
        if given.lost or given.dead_lettered:
            self.tell(
                LossReported(self._reader.read(given.lost), self._reader.read(given.dead_lettered))
            )

    def _give_slack_for_losses(self) -> None:
        if self._loss_chore is not None:
            slack_s = 0.0 if self._consumer.fears_losses else _SLACK_S
            self._chores.give_slack(self._loss_chore, slack_s)

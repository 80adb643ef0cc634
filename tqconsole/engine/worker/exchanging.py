"""The trips of the state machine: what is owed to the broker and the store, and trying again.

At most one exchange and one store are under way. What fails is kept and made again; runs go on
meanwhile, until what the store owes fills its room here. Pure: part of the state machine.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from random import Random
from typing import Any

from tqconsole.engine.protocol.transfer import Delivery
from tqconsole.engine.worker.admission import Admission
from tqconsole.engine.worker.hand import Debt, Hand
from tqconsole.engine.worker.handing import Handing
from tqconsole.engine.worker.retrying import Retrying
from tqconsole.engine.worker.values import (
    Arrived,
    BrokerAway,
    BrokerBack,
    Entry,
    Exchange,
    ExchangeDone,
    ExchangeFailed,
    ExchangeWritten,
    NoteHanded,
    Rang,
    Read,
    Start,
    StartFailed,
    StartWritten,
    Store,
    StoreDone,
    StoreFailed,
)

#: Records that wait for a store that is away, in bytes: with more, nothing new is fetched.
_SPOOL_BYTES = 64 * 2**20
#: Ids that one line of the log names.
_MOST_SHOWN = 10
#: Seconds a shutdown goes on trying to reach a broker or store that fails.
_LAST_TRIES_S = 10.0


class Exchanging:
    """Makes the exchanges, and keeps what they carry until it has taken effect."""

    def __init__(self, hand: Hand, handing: Handing, admission: Admission, random: Random) -> None:
        self._hand = hand
        self._handing = handing
        self._admission = admission
        #: The exchange and the store that the loop has not answered yet.
        self._flight: tuple[Exchange, list[list[Entry]]] | None = None
        self._storing: list[Debt] = []
        #: Batches that are handed over while the exchange is under way, and whether they may be.
        self._starting: list[list[Entry]] = []
        self._may_start = False
        #: The last fetch came back full, or the bell rang; and it has rung since the fetch left.
        self._may_have_more = True
        self._has_rung = False
        #: What the last exchange brought and nobody has read yet.
        self._unread: Sequence[Any] = ()
        self._is_reading = False
        self._broker = Retrying(hand, random)
        self._store = Retrying(hand, random, hand.options.store_patience)
        self._is_spool_full = False
        #: What was acknowledged before it ran and has no end in the store: tag -> id, delivery.
        self._noted: dict[str, tuple[str, Delivery]] = {}

    @property
    def is_failing(self) -> bool:
        """True while the broker or the store does not take what is owed."""
        return self._broker.is_failing or self._store.is_failing

    def is_idle(self) -> bool:
        """True when nothing is under way and nothing is owed."""
        is_under_way = self._flight or self._starting or self._storing or self._unread
        return not is_under_way and self._hand.owes_nothing()

    def has_given_up(self, stopped_mono: float) -> bool:
        """True when broker or store have failed for longer than a shutdown begun then waits."""
        parties = (self._broker, self._store)
        return any(it.has_failed_for(_LAST_TRIES_S, stopped_mono) for it in parties)

    def next_mono(self) -> float | None:
        """Return when to try again, None while nothing fails."""
        if not self.is_failing:
            return None
        monos = (self._broker.next_mono(), self._store.next_mono())
        return min(mono for mono in monos if mono is not None)

    def in_flight(self) -> list[Entry]:
        """Return what is being handed over, by the exchange under way or beside it."""
        batches = self._flight[1] if self._flight else []
        return [entry for batch in batches + self._starting for entry in batch]

    def exchange(self) -> None:
        """Make the cycle's exchange if there is anything to say or to fetch."""
        hand = self._hand
        if self._flight is not None:
            self._start()
            return
        if self._broker.is_waiting:
            return
        wanted = 0
        if not (hand.is_stopping or self._is_spool_full):
            wanted = self._room()
        if not (
            hand.settled
            or hand.batches
            or hand.publications
            or hand.results
            or hand.parked
            or (wanted and self._may_have_more)
        ):
            return
        exchange = Exchange(
            hand.settled,
            self._handing.handovers() if hand.batches else (),
            wanted,
            hand.results,
            hand.publications,
            hand.parked,
            is_ahead=bool(hand.ready),
        )
        if hand.options.notes_handed:
            self._note(hand.batches)
        self._flight, self._has_rung = (exchange, hand.batches), False
        self._may_start = hand.options.starts_beside
        hand.in_flight_count += len(hand.batches)
        hand.settled, hand.batches, hand.results = [], [], []
        hand.publications, hand.parked = [], []
        hand.actions.append(exchange)

    def _start(self) -> None:
        """Hand over, behind the exchange under way, what slots wait for. Its answer may be long in
        coming: the broker has a whole window to fetch.
        """
        hand = self._hand
        if not (self._may_start and hand.batches) or self._starting:
            return
        if hand.options.notes_handed:
            self._note(hand.batches)
        hand.actions.append(Start(self._handing.handovers()))
        hand.in_flight_count += len(hand.batches)
        self._starting, hand.batches = hand.batches, []

    def start_written(self, _: StartWritten) -> None:
        """What was handed over beside the exchange may start."""
        self._handing.submit(self._started())

    def start_failed(self, _: StartFailed) -> None:
        """It may not: it goes with the next exchange, since this one has failed as well."""
        self._may_start = False
        self._hand.batches[:0] = self._started()

    def _started(self) -> list[list[Entry]]:
        batches, self._starting = self._starting, []
        self._hand.in_flight_count -= len(batches)
        return _ours(batches)

    def _note(self, batches: Sequence[Sequence[Entry]]) -> None:
        """Have written down what the next exchange acknowledges although it has not run."""
        hand = self._hand
        new = {
            entry.delivery.tag: (entry.header.task_id, entry.delivery)
            for batch in batches
            for entry in batch
            if not (entry.policy.acks_late or entry.is_handed)
            and hand.stores(entry.header, entry.policy, is_error=True)
        }
        if new:
            self._noted.update(new)
            hand.actions.append(NoteHanded(list(self._noted.values())))

    def _room(self) -> int:
        hand = self._hand
        if not hand.options.fetches_ahead:
            return max(0, hand.free_count - len(hand.batches) - len(hand.ready))
        size = hand.window.size(hand.slot_count, hand.now.mono)
        return max(0, size - hand.in_window_count() - len(self._unread))

    def written(self, _: ExchangeWritten) -> None:
        """What the exchange hands over may start, although nobody has answered yet."""
        exchange, batches = self._land()
        self._flight = (exchange, [])
        self._handing.submit(batches)

    def done(self, done: ExchangeDone) -> None:
        """The exchange took effect: submit what it handed over, let in what it brought."""
        exchange, batches = self._land()
        if self._broker.succeed() is not None:
            self._hand.actions.append(BrokerBack())
        if self._noted:
            for settlement in exchange.settled:
                self._noted.pop(settlement.tag, None)
        if batches:
            self._handing.submit(batches)
        if exchange.wanted:
            found_count = len(done.arrivals) + len(done.unread)
            self._may_have_more = self._has_rung or found_count >= exchange.wanted
        if done.arrivals:
            self._admission.admit(done.arrivals)
        if done.unread:
            # What came before may still wait for its turn.
            self._unread = [*self._unread, *done.unread]

    def read(self) -> None:
        """Have what came read, behind the exchange that leaves now and the batches that it hands
        over: broker and slots work meanwhile.
        """
        if self._unread and not self._is_reading and not self._hand.in_flight_count:
            self._is_reading = True
            self._hand.actions.append(Read(self._unread))

    def arrived(self, arrived: Arrived) -> None:
        """What came is read."""
        self._unread, self._is_reading = (), False
        self._admission.admit(arrived.arrivals)

    def failed(self, failed: ExchangeFailed) -> None:
        """It took none: all of it goes into the next one."""
        hand = self._hand
        exchange, batches = self._land()
        # It took no effect: all of it goes into the next one, in front of what came since.
        hand.settled[:0] = exchange.settled
        hand.results[:0] = exchange.results
        hand.publications[:0] = exchange.publications
        hand.parked[:0] = exchange.parked
        hand.batches[:0] = batches
        self._may_have_more = True
        if self._broker.fail():
            hand.actions.append(BrokerAway(failed.reason))

    def _land(self) -> tuple[Exchange, list[list[Entry]]]:
        if self._flight is None:
            raise RuntimeError("an exchange was answered that nobody asked for")
        (exchange, batches), self._flight = self._flight, None
        self._hand.in_flight_count -= len(batches)
        return exchange, _ours(batches)

    def store(self) -> None:
        """Have the records stored that must be there before what they belong to is settled."""
        hand = self._hand
        if not hand.unsaved or self._storing or self._store.is_waiting:
            return
        self._storing, hand.unsaved = hand.unsaved, []
        writes = [write for debt in self._storing for write in debt.results]
        parts = [part for debt in self._storing for part in debt.parts]
        if writes or parts:
            hand.actions.append(Store(writes, parts))
        else:
            self._settle_stored()

    def stored(self, _: StoreDone) -> None:
        """The records are stored: settle what they belong to."""
        self._settle_stored()
        self._is_spool_full = False
        if (away_s := self._store.succeed()) is not None:
            self._hand.log(logging.WARNING, f"The result store answers again after {away_s:.1f}s")

    def _settle_stored(self) -> None:
        hand = self._hand
        for debt in self._storing:
            if debt.settlement is not None:
                hand.settled.append(debt.settlement)
            hand.publications.extend(debt.publications)
        self._storing = []

    def not_stored(self, failed: StoreFailed) -> None:
        """They are not: they are stored again later, or given up where a setting says so."""
        if self._store.has_failed_often:
            self._give_up_records(failed.reason)
            return
        unsaved = self._hand.unsaved
        unsaved[:0] = self._storing
        self._storing = []
        spool_bytes = sum(len(write.record) for debt in unsaved for write in debt.results)
        self._is_spool_full = spool_bytes > _SPOOL_BYTES
        if self._store.fail():
            text = f"The result store fails: {failed.reason}; trying again until it answers"
            self._hand.log(logging.ERROR, text)

    def _give_up_records(self, reason: str) -> None:
        """Settle without the records: somebody has set that one try more is one too many."""
        task_ids = [write.task_id for debt in self._storing for write in debt.results]
        shown = ", ".join(task_ids[:_MOST_SHOWN])
        text = (
            f"{len(task_ids)} results are lost ({shown}): the result store fails ({reason}) and"
            " result_backend_max_retries allows no further try"
        )
        self._hand.log(logging.CRITICAL, text)
        self._store.succeed()
        self._settle_stored()
        self._is_spool_full = False

    def ring(self, _: Rang) -> None:
        """Something may be there to fetch."""
        self._may_have_more = self._has_rung = True


def _ours(batches: list[list[Entry]]) -> list[list[Entry]]:
    """Return the batches without what the broker took from us while it was handed over."""
    for batch in batches:
        for entry in batch:
            if entry.is_forfeited:
                ours = [[entry for entry in batch if not entry.is_forfeited] for batch in batches]
                return [batch for batch in ours if batch]
    return batches

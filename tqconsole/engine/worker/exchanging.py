"""The trips of the state machine: what is owed to the broker and the store, and trying again.

At most one exchange and one store are under way. What fails is kept and made again, after 0.1, 0.2,
... 1 second with jitter; runs go on meanwhile. Pure: part of the state machine.
"""

from __future__ import annotations

import logging
from random import Random

from tqconsole.engine.worker.admission import Admission
from tqconsole.engine.worker.hand import Debt, Hand
from tqconsole.engine.worker.handing import Handing
from tqconsole.engine.worker.values import (
    Entry,
    Exchange,
    ExchangeDone,
    ExchangeFailed,
    ExchangeWritten,
    Rang,
    Store,
    StoreDone,
    StoreFailed,
)

#: Seconds before the first new try after a failure, and at most: whoever answers again is to be
#: used within two seconds, connecting included.
_RETRY_FIRST_S, _RETRY_MOST_S = 0.1, 1.0
#: Seconds a shutdown goes on trying to reach a broker or store that fails.
_LAST_TRIES_S = 10.0


class Exchanging:
    """Makes the exchanges, and keeps what they carry until it has taken effect."""

    def __init__(self, hand: Hand, handing: Handing, admission: Admission, random: Random) -> None:
        self._hand = hand
        self._handing = handing
        self._admission = admission
        self._random = random
        #: The exchange and the store that the loop has not answered yet.
        self._flight: tuple[Exchange, list[list[Entry]]] | None = None
        self._storing: list[Debt] = []
        #: The last fetch came back full, or the bell rang.
        self._may_have_more = True
        self._failure_count = 0
        self._failing_mono = 0.0
        self._retry_mono = 0.0

    @property
    def is_failing(self) -> bool:
        """True while the broker or the store does not take what is owed."""
        return self._failure_count > 0

    def is_idle(self) -> bool:
        """True when nothing is under way and nothing is owed."""
        return self._flight is None and not self._storing and self._hand.owes_nothing()

    def has_given_up(self, stopped_mono: float) -> bool:
        """True when broker or store have failed for longer than a shutdown begun then waits."""
        if not self._failure_count:
            return False
        return self._hand.now.mono - max(self._failing_mono, stopped_mono) > _LAST_TRIES_S

    def next_mono(self) -> float | None:
        """Return when to try again, None while nothing fails."""
        return self._retry_mono if self._failure_count else None

    def in_flight(self) -> list[Entry]:
        """Return what the exchange under way hands over."""
        batches = self._flight[1] if self._flight else ()
        return [entry for batch in batches for entry in batch]

    def exchange(self) -> None:
        """Make the cycle's exchange if there is anything to say or to fetch."""
        hand = self._hand
        if self._flight is not None or self._is_waiting_to_retry():
            return
        wanted = 0
        if not hand.is_stopping:
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
            self._handing.handovers(),
            wanted,
            hand.results,
            hand.publications,
            hand.parked,
        )
        self._flight = (exchange, hand.batches)
        hand.in_flight_count = len(hand.batches)
        hand.settled, hand.batches, hand.results = [], [], []
        hand.publications, hand.parked = [], []
        hand.actions.append(exchange)

    def _room(self) -> int:
        hand = self._hand
        if not hand.options.fetches_ahead:
            return max(0, hand.free_count - len(hand.batches) - len(hand.ready))
        size = hand.window.size(hand.slot_count, hand.now.mono)
        return max(0, size - hand.in_window_count())

    def written(self, _: ExchangeWritten) -> None:
        """What the exchange hands over may start, although nobody has answered yet."""
        exchange, batches = self._land()
        self._flight = (exchange, [])
        self._handing.submit(batches)

    def done(self, done: ExchangeDone) -> None:
        """The exchange took effect: submit what it handed over, let in what it brought."""
        exchange, batches = self._land()
        self._recovered()
        self._handing.submit(batches)
        if exchange.wanted:
            self._may_have_more = len(done.arrivals) >= exchange.wanted
        self._admission.admit(done.arrivals)

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
        self._failed("The broker", failed.reason)

    def _land(self) -> tuple[Exchange, list[list[Entry]]]:
        if self._flight is None:
            raise RuntimeError("an exchange was answered that nobody asked for")
        (exchange, batches), self._flight = self._flight, None
        self._hand.in_flight_count = 0
        if any(entry.is_forfeited for batch in batches for entry in batch):
            ours = [[entry for entry in batch if not entry.is_forfeited] for batch in batches]
            batches = [batch for batch in ours if batch]
        return exchange, batches

    def store(self) -> None:
        """Have the records stored that must be there before what they belong to is settled."""
        hand = self._hand
        if not hand.unsaved or self._storing or self._is_waiting_to_retry():
            return
        self._storing, hand.unsaved = hand.unsaved, []
        hand.actions.append(Store([write for debt in self._storing for write in debt.results]))

    def stored(self, _: StoreDone) -> None:
        """The records are stored: settle what they belong to."""
        hand = self._hand
        for debt in self._storing:
            if debt.settlement is not None:
                hand.settled.append(debt.settlement)
            hand.publications.extend(debt.publications)
        self._storing = []
        self._recovered()

    def not_stored(self, failed: StoreFailed) -> None:
        """They are not: they are stored again later."""
        self._hand.unsaved[:0] = self._storing
        self._storing = []
        self._failed("The result store", failed.reason)

    def _failed(self, who: str, reason: str) -> None:
        hand = self._hand
        if not self._failure_count:
            self._failing_mono = hand.now.mono
            hand.log(logging.ERROR, f"{who} fails: {reason}; trying again until it answers")
        delay_s = min(_RETRY_MOST_S, _RETRY_FIRST_S * 2.0**self._failure_count)
        self._failure_count = min(self._failure_count + 1, 16)
        self._retry_mono = hand.now.mono + delay_s * self._random.uniform(0.5, 1.0)

    def _recovered(self) -> None:
        if self._failure_count:
            away_s = self._hand.now.mono - self._failing_mono
            self._failure_count = 0
            self._hand.log(logging.WARNING, f"It answers again after {away_s:.1f}s")

    def _is_waiting_to_retry(self) -> bool:
        return self._failure_count > 0 and self._hand.now.mono < self._retry_mono

    def ring(self, _: Rang) -> None:
        """Something may be there to fetch."""
        self._may_have_more = True

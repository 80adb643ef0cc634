"""The exchange of a cycle on its way: one script in one write, and its answer.

When the answer is lost nobody knows whether it ran. The lease remembers the number of the last one
that did, and the next cycle asks for it first, so that nothing is written twice and nothing stays
in our hands unseen.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tqconsole.engine.brokers.redis import lua, members, need
from tqconsole.engine.brokers.redis.ageing import Place
from tqconsole.engine.brokers.redis.bell import Bell, Pending
from tqconsole.engine.brokers.redis.catch import Catch
from tqconsole.engine.brokers.redis.envelope import delivery_of
from tqconsole.engine.brokers.redis.exchange import (
    Feeding,
    Held,
    Landed,
    Plan,
    Popped,
    Word,
    after,
    dead_row,
)
from tqconsole.engine.brokers.redis.keys import Keys, envelope_of
from tqconsole.engine.brokers.redis.letters import Cause
from tqconsole.engine.brokers.redis.routing import Router
from tqconsole.engine.brokers.redis.starts import Starts
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import OperationalError, RefusedError
from tqconsole.engine.protocol.transfer import Delivery, Publication, Riding
from tqconsole.engine.redis_server import errors
from tqconsole.engine.redis_server.link import Link


class Server(msgspec.Struct, frozen=True):
    """What a consumer works with; the broker's own."""

    link: Link
    keys: Keys
    router: Router
    clock: Clock


class _Sent(msgspec.Struct, frozen=True):
    """An exchange whose answer is still to come, or was lost."""

    batch: int
    wanted: int
    places: Sequence[Place]
    riding: Riding | None
    plan: Plan


class Cycle:
    """The exchanges of one consumer, one at a time. Raises: OperationalError."""

    def __init__(
        self, server: Server, bell: Bell, feeding: Feeding, uuid: str, worker_name: str
    ) -> None:
        self._link, self._keys, self._clock = server.link, server.keys, server.clock
        self._bell = bell
        self._feeding = feeding
        #: What was noted to start.
        self.starts = Starts(bell, server.keys)
        self._catch = Catch(server.link.address, server.clock)
        self._worker_name = worker_name
        self._prefix = members.tag_prefix(uuid, worker_name)
        self._lease = self._keys.lease(uuid)
        self._batches = itertools.count(1)
        #: What we hold, by tag.
        self.hand: dict[str, Held] = {}
        #: When the next that is parked is due, as far as is known.
        self.due_at: float | None = None
        self._doubt: _Sent | None = None
        self._flight: tuple[_Sent, Pending] | None = None
        #: The fetch that waits in the server; and one of which is not known what became of it.
        self._waiting: _Sent | None = None
        self._unheard: _Sent | None = None
        #: Of the caller's publications, in their order, what is known to be written although the
        #: exchanges that carried them have failed.
        self._written: tuple[Publication, ...] = ()
        #: When the server was out of memory last.
        self._full_mono: float | None = None
        #: Fetched, and no envelopes: to become dead letters.
        self._unfit: list[tuple[str, Held, RefusedError]] = []
        #: Found again, and not told to the caller yet.
        self._recalled: list[Popped] = []

    @property
    def is_awaited(self) -> bool:
        """Whether an exchange has left whose answer is still to come."""
        return self._flight is not None and not self._flight[1].is_over

    @property
    def is_telling(self) -> bool:
        """Whether an exchange is awaited that brings nothing."""
        flight = self._flight
        return flight is not None and flight[0].wanted <= 0 and not flight[1].is_over

    @property
    def is_emptying(self) -> bool:
        """Whether nothing will be in our hands when what is under way has taken effect."""
        if self._flight is None or self._flight[0].wanted > 0:
            return False
        plan = self._flight[0].plan
        return plan.only_ends and len(plan.acked) == len(self.hand)

    @property
    def recalled_count(self) -> int:
        """How many were found again and are told with the next landing."""
        return len(self._recalled)

    def send(
        self, plan: Plan, wanted: int, riding: Riding | None, arming: Sequence[str] = ()
    ) -> None:
        """Let an exchange leave; `land` takes its answer. With `arming` the bell is armed for these
        lists right after it.
        """
        self._flight = self._sent(plan, wanted, riding, arming)

    def note_started(self, plan: Plan, arming: Sequence[str] = ()) -> None:
        """Let what starts be written down, of a plan that says nothing else. `arming` as in
        `send`.
        """
        self.starts.note(plan, arming)
        self._note(plan)

    def land(self) -> Landed:
        """Return what the exchange that is under way brought, and what was found again."""
        flight, self._flight = self._flight, None
        found = self._landed(*flight) if flight is not None else []
        self._written = ()
        popped = self.take_recalled() + found if self._recalled else found
        return Landed(popped, flight[0].wanted if flight else 0, len(found))

    # --- the fetch that waits -----------------------------------------------------------------

    @property
    def is_catching(self) -> bool:
        """Whether a fetch waits in the server."""
        return self._waiting is not None

    def catch(self, place: Place, wanted: int) -> None:
        """Let a fetch wait in the server for the next message of one list. It counts for nothing
        once an exchange was sent. Does nothing where the server does not take it.
        """
        if not self._catch.is_welcome:
            return
        batch = next(self._batches)
        keys, list_name = self._keys, self._feeding.list_of(place)
        words: list[Word] = [
            keys.unacked, keys.unacked_index, self._lease, batch, list_name, wanted,
            f"{self._prefix}{batch}.", self._feeding.tail_of(place), keys.busy,
        ]  # fmt: skip
        sent = _Sent(batch, wanted, (place,), None, Plan())
        try:
            readable = self._catch.put(list_name, words)
        except OperationalError:
            self._unheard = sent
            return
        self._waiting = sent
        self._bell.attend(readable)
        self._bell.leave_out(list_name)

    def take_caught(self) -> int | None:
        """Return how many the fetch that waited has brought: they are told with the next landing,
        or by `take_recalled`. None while it waits.
        """
        sent = self._waiting
        if sent is None:
            return None
        try:
            answer = self._catch.take()
        except OperationalError:
            self._unheard = self._no_longer_waiting()
            return 0
        if answer is None:
            return None
        self._waiting = None
        queue = sent.places[0][0]
        found = self._taken(sent.batch, enumerate([(queue, it) for it in answer], 1))
        if 0 < len(found) < sent.wanted:
            self._bell.miss()
        else:
            self._bell.disarm()
        self._recalled += found
        return len(found)

    def take_recalled(self) -> list[Popped]:
        """Return what was found and not told to the caller yet."""
        recalled, self._recalled = self._recalled, []
        return recalled

    def withdraw(self) -> None:
        """Let no fetch wait any more, and take over what it brought. Raises: OperationalError."""
        if self._waiting is not None:
            self._unheard = self._no_longer_waiting()
            self._catch.close()
        if self._unheard is not None:
            self._recall_unheard(self._unheard)
        if self._recalled:
            self._bell.ring()

    def _no_longer_waiting(self) -> _Sent | None:
        """Return the fetch that has waited. What the bell left out for it is not known."""
        waiting, self._waiting = self._waiting, None
        self._bell.attend(None)
        self._bell.disarm()
        return waiting

    def write(self, plan: Plan) -> None:
        """Carry out a plan and fetch nothing."""
        self._landed(*self._sent(plan, 0, None, ()))

    def clear_up(self, riding: Riding | None) -> Riding | None:
        """Find what a doubtful exchange fetched; return what of this one's is not written yet."""
        if self._doubt is not None:
            self._recall(self._doubt)
        if self._unheard is not None:
            self._recall_unheard(self._unheard)
        if self._unfit:
            self._bury()
        if riding is None or not self._written:
            return riding
        return Riding(riding.results, after(riding.publications, self._written))

    def _recall(self, doubt: _Sent) -> None:
        prefix = f"{self._prefix}{doubt.batch}."
        words: list[Word] = [self._keys.unacked, self._lease, prefix, doubt.wanted]
        # On the connection that is made after the one which broke: what that brought was read.
        done, *entries = self._bell.run(lua.RECALL, words)
        self._doubt = None
        if done == str(doubt.batch).encode() and doubt.riding is not None:
            # Another exchange may fail before the caller hears of success.
            self._written += doubt.riding.publications
        self._take_back(doubt, entries)

    def _recall_unheard(self, unheard: _Sent) -> None:
        prefix = f"{self._prefix}{unheard.batch}."
        words: list[Word] = [
            self._keys.unacked, self._lease, unheard.batch, members.LEASE_MS, prefix,
            unheard.wanted,
        ]  # fmt: skip
        entries = self._bell.run(lua.WITHDRAW, words)
        self._unheard = None
        self._take_back(unheard, entries)

    def _take_back(self, sent: _Sent, entries: Sequence[bytes]) -> None:
        found = [
            (number, (queue, envelope))
            for number, entry in enumerate(entries, 1)
            for envelope, queue in [envelope_of(entry)]
            if queue and f"{self._prefix}{sent.batch}.{number}" not in self.hand
        ]
        self._recalled += self._taken(sent.batch, found)

    def next_tag(self, envelope: bytes, queue: str) -> tuple[str, Held]:
        """Return a tag of ours for what a dead consumer had acknowledged early."""
        batch = next(self._batches)
        held = Held(envelope, queue, (batch, 0), is_started=True, is_lost=True)
        return f"{self._prefix}{batch}.0", held

    def close(self) -> None:
        """Let go of the connection on which fetches wait."""
        self._bell.attend(None)
        self._catch.close()

    # --- inside -------------------------------------------------------------------------------

    def _sent(
        self, plan: Plan, wanted: int, riding: Riding | None, arming: Sequence[str]
    ) -> tuple[_Sent, Pending]:
        batch = next(self._batches)
        if self._waiting is not None:
            # The fetch that waits counts for nothing from now on.
            self._bell.miss()
        keys = self._keys
        words: list[Word] = [
            keys.unacked, keys.unacked_index, self._lease, batch, members.LEASE_MS
        ]  # fmt: skip
        places: list[Place] = []
        # Each of the usual steps has a script of its own: what it does not do costs nothing.
        if plan.is_empty:
            script = lua.FETCH
        elif wanted <= 0 and plan.only_ends:
            script = lua.END
            words += plan.words_of_ends()
        else:
            script = lua.EXCHANGE
            words += plan.words_before()
        if script is not lua.END:
            busy = "" if self.hand else self._keys.busy
            fetch, places = self._feeding.next_turn()
            words += [wanted, f"{self._prefix}{batch}.", busy, *fetch]
        if script is lua.EXCHANGE:
            words += plan.words_after()
        full_mono = self._full_mono
        is_full = full_mono is not None and self._clock.mono() - full_mono < need.FULL_S
        if is_full and need.makes_room(plan, riding, self.hand):
            script = need.in_need(script)
        sent = _Sent(batch, wanted, places, riding, plan)
        try:
            return sent, self._bell.begin(script, words, arming)
        except OperationalError:
            self._doubt = sent
            raise

    def _landed(self, sent: _Sent, pending: Pending) -> list[Popped]:
        try:
            answer = self._bell.finish(pending)
        except OperationalError as error:
            self._doubt = sent
            if isinstance(error, errors.FullServerError):
                self._full_mono = self._clock.mono()
            raise
        found, problems = self._found(sent, answer), answer[1]
        self._note(sent.plan)
        self.starts.settle(sent.plan, self.hand)
        # What was to be written is: an error now would have it written once more.
        if problems and not found and sent.plan.is_empty:
            server = self._link.address.server
            raise OperationalError(f"Redis at {server}: {problems.decode()}")
        return found

    def _found(self, sent: _Sent, answer: Sequence[Any]) -> list[Popped]:
        """Take into our hands what a fetch brought."""
        next_due, _, reply = answer
        if sent.wanted <= 0:
            return []
        self.due_at = float(next_due) if next_due else None
        fetched = self._feeding.fetched(reply, sent.places, sent.wanted)
        return self._taken(sent.batch, enumerate(fetched, 1))

    def _taken(self, batch: int, entries: Iterable[tuple[int, tuple[str, bytes]]]) -> list[Popped]:
        """Take into our hands what was popped."""
        popped: list[Popped] = []
        prefix = f"{self._prefix}{batch}."
        for number, (queue, envelope) in entries:
            tag = f"{prefix}{number}"
            self.hand[tag] = Held(envelope, queue, (batch, number))
            popped.append((tag, queue, envelope))
        return popped

    def read(self, popped: Iterable[Popped]) -> list[Delivery]:
        """Return the deliveries; what is no envelope becomes a dead letter."""
        deliveries: list[Delivery] = []
        for tag, queue, envelope in popped:
            try:
                deliveries.append(delivery_of(envelope, tag, queue))
            except RefusedError as error:
                self._unfit.append((tag, self.hand[tag], error))
        if self._unfit and self._flight is None:
            # What else was fetched is told in any case; the next cycle tries once more.
            with contextlib.suppress(OperationalError):
                self._bury()
        return deliveries

    def _bury(self) -> None:
        unfit, self._unfit = self._unfit, []
        plan = Plan()
        for tag, held, error in unfit:
            cause = Cause(error.reason, error.detail, self._worker_name)
            plan.dead.append(
                dead_row(tag, held.envelope, held.queue, cause, self._keys, self._clock.now())
            )
        try:
            self.write(plan)
        except OperationalError:
            self._unfit += unfit
            raise

    def _note(self, plan: Plan) -> None:
        """The exchange took effect: what left is no longer in our hands."""
        hand = self.hand
        for tag in plan.acked:
            hand.pop(tag, None)
        for row in plan.backs:
            hand.pop(row[0], None)
        for dead in plan.dead:
            hand.pop(dead[0], None)
        for tags in (plan.late, plan.early):
            for tag in tags:
                hand[tag].is_started = True

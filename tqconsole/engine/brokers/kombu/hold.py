"""A worker's hold on its queues: the port's exchange, message by message.

kombu knows no batches and no waiting that can be woken: a queue is asked for one message after the
other, and one that was empty is left alone for a while, unless this process itself has published.
What comes back unstarted stands first in a line of this consumer's own; when nobody here wants it,
it returns to its queue.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.brokers.kombu.held import Held, read_held
from tqconsole.engine.brokers.kombu.letters import Letters
from tqconsole.engine.brokers.kombu.link import Link
from tqconsole.engine.brokers.kombu.post import Post
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import EngineError, NotSupportedError
from tqconsole.engine.protocol.letter import new_letter_id
from tqconsole.engine.protocol.transfer import (
    DeadLetter,
    Delivery,
    GivenBack,
    Handover,
    Publication,
    QueueSpec,
    Riding,
    Settlement,
    Verdict,
)

logger = logging.getLogger(__name__)

#: Seconds without a wish after which what nobody asked for goes back.
_REST_S = 1.0


class KombuConsumer(Consumer):
    """One consumer. Declares its queues when it is made."""

    def __init__(
        self,
        post: Post,
        letters: Letters,
        clock: Clock,
        queues: Sequence[QueueSpec],
        worker_name: str,
    ) -> None:
        self._post = post
        self._letters = letters
        self._clock = clock
        self._worker_name = worker_name
        self._link = Link(post.link.address)
        self._facts = post.link.address.facts
        self._names: list[str] = []
        self._turn = -1
        self._hand: dict[str, Held] = {}
        #: What waits here to be asked for, oldest first: came while waiting, or came back.
        self._line: list[tuple[int, Held]] = []
        self._forfeited: list[str] = []
        self._numbers = itertools.count(1)
        self._tags = itertools.count(1)
        self._generation = 0
        #: Queue -> when it was last seen empty; forgotten when this process publishes.
        self._empty_mono: dict[str, float] = {}
        self._rung_count = post.rung_count
        self._is_content = False
        self._wanted_mono = clock.mono()
        self._published: list[Publication] = []
        self._is_closed = False
        for queue in queues:
            self.add_queue(queue)
        self._restore_dead()

    def exchange(
        self,
        settled: Sequence[Settlement] = (),
        started: Sequence[Handover] = (),
        wanted: int = 0,
        riding: Riding | None = None,
    ) -> list[Delivery]:
        """See `Consumer.exchange`: what is published first, then settled, then fetched."""
        if riding is not None:
            self._ride(riding)
        with self._link.lock:
            self._notice_loss()
            for settlement in settled:
                self._settle(settlement)
            for handover in started:
                self._start(handover)
            self._published.clear()
            deliveries = [self._hand_out(held) for held in self._fetch(wanted)]
            self._is_content = len(deliveries) == wanted
            if wanted:
                self._wanted_mono = self._clock.mono()
        return deliveries

    def wait(self, timeout_s: float) -> bool:
        """See `Consumer.wait`: looks from time to time, and keeps what it finds."""
        deadline_mono = self._clock.mono() + timeout_s
        while True:
            with self._link.lock:
                self._notice_loss()
                if not self._line and not (self._is_content and self._hand):
                    for held in self._fetch(1):
                        heapq.heappush(self._line, (held.number, held))
                if self._line:
                    return True
            left_s = deadline_mono - self._clock.mono()
            if left_s <= 0:
                return False
            self._post.wait_for_ring(self._rung_count, min(left_s, self._facts.poll_s))

    def fileno(self) -> int | None:
        """See `Consumer.fileno`: only `wait` can tell."""
        return None

    def next_due_at(self) -> float | None:
        """See `Consumer.next_due_at`: nothing is parked here."""
        return None

    def park(self, due: Sequence[tuple[str, float]]) -> None:
        """See `Consumer.park`. Raises: NotSupportedError."""
        raise NotSupportedError(f"{self._link.address.scheme}:// keeps no message for later")

    def forfeited(self) -> list[str]:
        """See `Consumer.forfeited`: what a lost connection took with it."""
        with self._link.lock:
            found, self._forfeited = self._forfeited, []
        return found

    def renew(self) -> None:
        """See `Consumer.renew`: back with what nobody wants, and with what dead workers had."""
        with self._link.lock:
            if self._is_closed:
                return
            self._restore_dead()
            if self._line and self._clock.mono() - self._wanted_mono > _REST_S:
                self._return_line()

    def give_back(self, max_deaths: int) -> GivenBack:
        """See `Consumer.give_back`: what was started by whom is not written down anywhere."""
        return GivenBack()

    def add_queue(self, queue: QueueSpec) -> None:
        """See `Consumer.add_queue`."""
        self._post.declare(queue)
        with self._link.channel() as channel:
            self._post.make(channel, queue)
            if queue.name not in self._names:
                self._names.append(queue.name)

    def cancel_queue(self, queue_name: str) -> None:
        """See `Consumer.cancel_queue`."""
        with self._link.lock:
            if queue_name in self._names:
                self._names.remove(queue_name)
                self._return_line()

    def close(self) -> None:
        """See `Consumer.close`."""
        with self._link.lock:
            if self._is_closed:
                return
            self._is_closed = True
            try:
                self._notice_loss()
                self._put_back([*self._hand.values(), *(held for _, held in self._line)])
            except EngineError as error:
                logger.warning("%s messages could not be put back: %s", len(self._hand), error)
            self._hand.clear()
            self._line.clear()
            self._link.close()

    # --- settling -----------------------------------------------------------------------------

    def _ride(self, riding: Riding) -> None:
        """Publish what is not there yet: an exchange that failed comes again."""
        if riding.results:
            raise NotSupportedError(f"{self._link.address.scheme}:// stores no results")
        for publication in riding.publications:
            if publication not in self._published:
                self._post.publish([publication])
                self._published.append(publication)

    def _settle(self, settlement: Settlement) -> None:
        held = self._hand.get(settlement.tag)
        if held is None:
            return
        match settlement.verdict:
            case Verdict.RETURN if not held.is_acked:
                held.is_redelivered = True
                heapq.heappush(self._line, (held.number, held))
            case Verdict.RETURN:
                self._move(held, held.deaths)
            case Verdict.DIED:
                self._move(held, held.deaths + 1)
            case Verdict.DEAD:
                self._bury(held, settlement.reason, settlement.detail)
            case Verdict.ACK:
                self._acknowledge(held)
        del self._hand[settlement.tag]

    def _start(self, handover: Handover) -> None:
        held = self._hand.get(handover.tag)
        if held is not None and handover.is_acked:
            self._acknowledge(held)

    def _acknowledge(self, held: Held) -> None:
        if held.is_acked:
            return
        if self._facts.has_acks:
            with self._link.channel() as channel:
                # Over a new channel it would be another's tag.
                if held.generation == self._link.generation:
                    channel.basic_ack(held.kombu_tag)
        held.is_acked = True

    def _move(self, held: Held, deaths: int) -> None:
        if not held.is_moved:
            self._post.put_again(held.message, held.queue, deaths)
            held.is_moved = True
        self._acknowledge(held)

    def _bury(self, held: Held, reason: str, detail: str) -> None:
        if not held.is_moved:
            self._letters.put(
                DeadLetter(
                    new_letter_id(),
                    held.message,
                    held.queue,
                    reason,
                    detail,
                    self._worker_name,
                    self._clock.now(),
                )
            )
            held.is_moved = True
        self._acknowledge(held)

    # --- fetching -----------------------------------------------------------------------------

    def _hand_out(self, held: Held) -> Delivery:
        held.tag = f"{self._generation}.{next(self._tags)}"
        self._hand[held.tag] = held
        return held.delivery()

    def _fetch(self, wanted: int) -> list[Held]:
        found: list[Held] = []
        while self._line and len(found) < wanted:
            found.append(heapq.heappop(self._line)[1])
        if len(found) >= wanted:
            return found
        if self._post.rung_count != self._rung_count:
            self._rung_count = self._post.rung_count
            self._empty_mono.clear()
        # A full queue must not starve the others: each is first in its turn.
        self._turn = (self._turn + 1) % max(1, len(self._names))
        for name in self._names[self._turn :] + self._names[: self._turn]:
            found += self._fetch_from(name, wanted - len(found))
        return found

    def _fetch_from(self, queue_name: str, wanted: int) -> list[Held]:
        found: list[Held] = []
        looked_mono = self._empty_mono.get(queue_name, float("-inf"))
        if wanted <= 0 or self._clock.mono() - looked_mono < self._facts.poll_s:
            return found
        try:
            with self._link.channel() as channel:
                self._generation = self._link.generation
                while len(found) < wanted:
                    delivered = channel.basic_get(queue_name, no_ack=not self._facts.has_acks)
                    if delivered is None:
                        self._empty_mono[queue_name] = self._clock.mono()
                        break
                    held = self._read(queue_name, delivered)
                    if held is not None:
                        found.append(held)
        except EngineError:
            if self._facts.has_acks or not found:
                raise
            # The broker has them no more: they must not be forgotten.
        return found

    def _read(self, queue_name: str, delivered: Any) -> Held | None:
        held, refusal = read_held(next(self._numbers), queue_name, delivered, self._link.generation)
        if refusal is None:
            return held
        self._bury(held, refusal.reason, refusal.detail)
        return None

    # --- giving back --------------------------------------------------------------------------

    def _return_line(self) -> None:
        helds = [held for _, held in self._line]
        self._put_back(helds)
        self._line.clear()

    def _put_back(self, helds: Iterable[Held]) -> None:
        """Put back what is ours and was not acknowledged, oldest first."""
        ours = sorted(
            (it for it in helds if not it.is_acked and not it.is_moved), key=lambda it: it.number
        )
        if self._facts.requeues:
            with self._link.channel() as channel:
                # Each goes to the head.
                for held in reversed(ours):
                    if held.generation != self._link.generation:
                        break
                    channel.basic_reject(held.kombu_tag, requeue=True)
                    held.is_moved = True
            return
        for held in ours:
            self._post.put_again(held.message, held.queue, held.deaths)
            held.is_moved = True
            self._acknowledge(held)

    def _restore_dead(self) -> None:
        """Have the transport put back what killed workers had, where that is left to its users."""
        with self._link.channel() as channel:
            self._generation = self._link.generation
            restore = getattr(channel, "restore_dead", None) or _restorer(channel)
            if restore is not None:
                restore()

    def _notice_loss(self) -> None:
        """Forget what came over a connection that is lost: others may have it by now."""
        if not self._facts.has_acks:
            return
        now = self._link.generation
        lost = {tag for tag, it in self._hand.items() if it.generation != now and not it.is_acked}
        for tag in lost:
            del self._hand[tag]
        self._forfeited.extend(lost)
        self._line = [entry for entry in self._line if entry[1].generation == now]
        heapq.heapify(self._line)


def _restorer(channel: Any) -> Any:
    """Return kombu's own way (Redis' visibility timeout), None where there is none."""
    return getattr(getattr(channel, "qos", None), "restore_visible", None)

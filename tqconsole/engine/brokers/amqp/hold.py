"""A worker's hold on its queues: the cycle of exchanges on a connection of its own.

Consuming has its own connection, because a server that is short of memory stops reading from those
that publish, and acknowledgements must get through. What is published comes first and is confirmed,
then the server is told to let go: what is lost in between comes back, and nothing goes missing.
"""

from __future__ import annotations

import heapq
import itertools
import os
from collections.abc import Callable, Sequence

import msgspec

from tqconsole.engine.amqp_server.content import content_of, raw_message
from tqconsole.engine.amqp_server.declaring import Declarer
from tqconsole.engine.amqp_server.forms import Forms
from tqconsole.engine.amqp_server.link import Link
from tqconsole.engine.amqp_server.publisher import Posting, posting_of, result_posting
from tqconsole.engine.brokers.amqp.delays import SHORTEST_S, Delays
from tqconsole.engine.brokers.amqp.ended import Ended
from tqconsole.engine.brokers.amqp.held import DEATHS, Held
from tqconsole.engine.brokers.amqp.intake import Intake
from tqconsole.engine.brokers.amqp.ladder import Ladder
from tqconsole.engine.brokers.amqp.letters import Letters
from tqconsole.engine.brokers.amqp.post import Post
from tqconsole.engine.brokers.amqp.suspects import Suspects
from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Delivery,
    GivenBack,
    Handover,
    QueueSpec,
    Riding,
    Settlement,
    Verdict,
)

#: Seconds without a wish after which what nobody asked for goes back.
_REST_S = 1.0
#: A queue with this argument has a place of its user's for what is rejected.
_DEAD_LETTER_EXCHANGE = "x-dead-letter-exchange"


class Server(msgspec.Struct, frozen=True):
    """What a consumer works with; the broker's own."""

    post: Post
    delays: Delays
    letters: Letters
    clock: Clock
    #: Keeps the other connections alive; called with every renewal.
    beat: Callable[[], None]
    #: Kind of the queues in which Celery's clients leave calls with an ETA.
    delayed_queue_type: str


class _Plan(msgspec.Struct):
    """What one exchange does besides fetching. `moved` are those whose successor is published."""

    postings: list[Posting] = msgspec.field(default_factory=list)
    moved: list[Held] = msgspec.field(default_factory=list)
    acked: list[Held] = msgspec.field(default_factory=list)
    returned: list[Held] = msgspec.field(default_factory=list)
    rejected: list[Held] = msgspec.field(default_factory=list)
    early: list[Held] = msgspec.field(default_factory=list)
    kept: list[Held] = msgspec.field(default_factory=list)


class AmqpConsumer(Consumer):
    """One consumer. Declares its queues when it is made."""

    def __init__(
        self, server: Server, link: Link, queues: Sequence[QueueSpec], worker_name: str
    ) -> None:
        self._server = server
        self._clock = server.clock
        self._link = link
        self._worker_name = worker_name
        declarer = Declarer(link)
        ladder = Ladder(declarer, server.delayed_queue_type)
        self._intake = Intake(link, declarer, ladder, server.clock)
        self._suspects = Suspects(link, declarer)
        self._ended = Ended(server.clock)
        self._forms = Forms()
        #: What the caller has in its hands, by tag.
        self._hand: dict[str, Held] = {}
        self._forfeited: dict[str, Held] = {}
        #: Held here for the last second before it is due.
        self._soon: list[tuple[float, int, Held]] = []
        self._sequence = itertools.count()
        #: What was wanted last and did not come yet, and when that was.
        self._unmet_count = 0
        self._wanted_mono = server.clock.mono()
        self._published: tuple[object, ...] = ()
        self._pid = os.getpid()
        self._is_closed = False
        self._queues = {queue.name: queue for queue in queues}
        for queue in queues:
            self._intake.add(queue)

    def exchange(
        self,
        settled: Sequence[Settlement] = (),
        started: Sequence[Handover] = (),
        wanted: int = 0,
        riding: Riding | None = None,
    ) -> list[Delivery]:
        """See `Consumer.exchange`: one confirmed write of what is published, one of settlements."""
        self._refresh()
        # Nobody was told yet that these are lost, so they may have ended meanwhile.
        self._ended.lose(self._forfeited, settled)
        plan = self._plan(settled, started, riding)
        if plan.postings:
            # Not under the consuming link's lock: its heart must beat while the server thinks.
            self._server.post.publish(plan.postings)
        self._ended.conclude(settled)
        for held in plan.moved:
            held.is_moved = True
        for held in plan.kept:
            held.has_copy = True
        if riding is not None:
            self._published = (*riding.results, *riding.publications)
        with self._link.lock:
            self._carry_out(plan, wanted)
            deliveries = self._fetch(wanted) if wanted > 0 else []
            self._unmet_count = wanted - len(deliveries)
        self._published = ()
        return deliveries

    def wait(self, timeout_s: float) -> bool:
        """See `Consumer.wait`."""
        deadline_mono = self._clock.mono() + timeout_s
        self._refresh()
        while not (self._intake.has_waiting or self._is_due()):
            left_s = deadline_mono - self._clock.mono()
            if left_s <= 0:
                return False
            if self._soon:
                left_s = min(left_s, max(0.0, self._soon[0][0] - self._clock.now()))
            with self._link.lock:
                self._intake.want(max(1, self._unmet_count))
                self._lose(self._intake.refresh(left_s))
        return True

    def fileno(self) -> int | None:
        """See `Consumer.fileno`: the same through all connections."""
        return self._link.fileno()

    def next_due_at(self) -> float | None:
        """See `Consumer.next_due_at`: of what is held here; the rest comes by itself."""
        return self._soon[0][0] if self._soon else None

    def park(self, due: Sequence[tuple[str, float]]) -> None:
        """See `Consumer.park`: in a queue whose messages return when their time is over."""
        now_at = self._clock.now()
        postings: list[Posting] = []
        parked: list[Held] = []
        for tag, due_at in due:
            held = self._hand.get(tag)
            if held is None:
                continue
            if due_at - now_at < SHORTEST_S:
                del self._hand[tag]
                heapq.heappush(self._soon, (due_at, next(self._sequence), held))
                continue
            exchange = self._server.delays.exchange_for(due_at - now_at)
            marks = held.marks if held.is_suspect else None
            postings.append(Posting(content_of(_message(held), marks), exchange, held.queue))
            parked.append(held)
        if not parked:
            return
        self._server.post.publish(postings)
        with self._link.lock:
            self._intake.acknowledge(parked)
            for held in parked:
                self._hand.pop(held.tag, None)

    def forfeited(self) -> list[str]:
        """See `Consumer.forfeited`: what a lost channel or connection took with it."""
        found, self._forfeited = self._forfeited, {}
        return list(found)

    def renew(self) -> None:
        """See `Consumer.renew`: a heartbeat, and back with what nobody wants."""
        self._server.beat()
        with self._link.lock:
            if self._is_closed or self._pid != os.getpid():
                return
            self._link.tick()
            rested_s = self._clock.mono() - self._wanted_mono
            is_content = self._unmet_count == 0 and rested_s > _REST_S
            if is_content and self._link.is_open and self._intake.takes_more:
                self._intake.rest()

    def give_back(self, max_deaths: int) -> GivenBack:
        """See `Consumer.give_back`: the server gives back by itself what a dead worker had."""
        return GivenBack()

    def add_queue(self, queue: QueueSpec) -> None:
        """See `Consumer.add_queue`."""
        self._refresh()
        with self._link.lock:
            self._queues[queue.name] = queue
            self._intake.add(queue)

    def cancel_queue(self, queue_name: str) -> None:
        """See `Consumer.cancel_queue`."""
        self._refresh()
        with self._link.lock:
            self._queues.pop(queue_name, None)
            self._intake.remove(queue_name)

    def close(self) -> None:
        """See `Consumer.close`: the server puts back whatever is not settled."""
        with self._link.lock:
            if not self._is_closed:
                self._is_closed = True
                self._link.close()

    # --- inside -------------------------------------------------------------------------------

    def _refresh(self) -> None:
        with self._link.lock:
            self._lose(self._intake.refresh())
            self._suspects.refresh()

    def _lose(self, lost: Sequence[Held]) -> None:
        """Forget what is no longer ours; what has started goes on, and is settled by nobody."""
        if not lost:
            return
        gone = {held.tag for held in lost}
        self._soon = [entry for entry in self._soon if entry[2].tag not in gone]
        heapq.heapify(self._soon)
        for tag in gone:
            held = self._hand.pop(tag, None)
            if held is not None:
                self._forfeited[tag] = held

    def _plan(
        self, settled: Sequence[Settlement], started: Sequence[Handover], riding: Riding | None
    ) -> _Plan:
        plan = _Plan()
        if riding is not None:
            plan.postings = self._riding(riding)
        for settlement in settled:
            held = self._hand.get(settlement.tag)
            if held is not None:
                self._plan_settlement(plan, held, settlement)
        suspects: list[Held] = []
        for handover in started:
            held = self._hand.get(handover.tag)
            if held is None or held.is_acked:
                continue
            if handover.is_acked:
                plan.early.append(held)
            elif held.is_suspect:
                plan.kept.append(held)
                if not held.has_copy:
                    suspects.append(held)
        if suspects:
            with self._link.lock:
                plan.postings += self._suspects.postings(suspects)
        return plan

    def _riding(self, riding: Riding) -> list[Posting]:
        """Return what is not there yet: an exchange that failed comes again, with more behind."""
        done = self._published
        results = [it for it in riding.results if it not in done and it.reply_to]
        publications = [it for it in riding.publications if it not in done]
        return [*map(result_posting, results), *map(posting_of, publications)]

    def _plan_settlement(self, plan: _Plan, held: Held, settlement: Settlement) -> None:
        match settlement.verdict:
            case Verdict.ACK:
                plan.acked.append(held)
            case Verdict.RETURN if held.is_acked or held.has_copy:
                again = content_of(_message(held), held.marks)
                self._move(plan, held, Posting(again, "", held.queue))
            case Verdict.RETURN:
                plan.returned.append(held)
            case Verdict.DIED:
                again = content_of(_message(held), {DEATHS: held.deaths + 1})
                self._move(plan, held, Posting(again, "", held.queue))
            case Verdict.DEAD if self._has_own_place(held):
                plan.rejected.append(held)
            case Verdict.DEAD:
                self._move(plan, held, self._letter(held, settlement.reason, settlement.detail))

    def _move(self, plan: _Plan, held: Held, posting: Posting) -> None:
        plan.moved.append(held)
        if not held.is_moved:
            plan.postings.append(posting)

    def _has_own_place(self, held: Held) -> bool:
        """Whether the queue's user has said where what is rejected goes."""
        queue = self._queues.get(held.queue)
        is_told = queue is not None and _DEAD_LETTER_EXCHANGE in queue.arguments
        return is_told and not held.is_acked and not held.has_copy

    def _letter(self, held: Held, reason: str, detail: str) -> Posting:
        return self._server.letters.posting(
            held, reason, detail, self._worker_name, self._clock.now()
        )

    def _carry_out(self, plan: _Plan, wanted: int) -> None:
        intake, hand = self._intake, self._hand
        if plan.returned and wanted <= 0:
            # Else they would come straight back.
            intake.rest(len(plan.returned))
        intake.acknowledge([*plan.moved, *plan.acked, *plan.early, *plan.kept])
        intake.reject(plan.returned, is_requeued=True)
        intake.reject(plan.rejected, is_requeued=False)
        over = [*plan.moved, *plan.acked, *plan.returned, *plan.rejected]
        self._suspects.end(over)
        for held in over:
            hand.pop(held.tag, None)
        for held in plan.early:
            held.is_acked = True

    def _fetch(self, wanted: int) -> list[Delivery]:
        self._wanted_mono = self._clock.mono()
        deliveries: list[Delivery] = []
        has_left_room = True
        while has_left_room:
            missing = wanted - len(deliveries)
            taken = self._due(missing)
            taken += self._intake.take(missing - len(taken))
            read = self._read(taken)
            deliveries += read
            # What was refused or known leaves its place to the next, of which nobody rings again.
            has_left_room = len(read) < len(taken)
        self._intake.want(wanted - len(deliveries))
        return deliveries

    def _read(self, taken: Sequence[Held]) -> list[Delivery]:
        """Take into our hands what can be read and has not run here already."""
        deliveries: list[Delivery] = []
        refused: list[tuple[Held, RefusedError]] = []
        for held in taken:
            try:
                delivery = held.read(self._forms)
            except RefusedError as error:
                refused.append((held, error))
                continue
            if self._ended.knows(held):
                self._intake.acknowledge([held])
                continue
            self._hand[held.tag] = held
            deliveries.append(delivery)
        if refused:
            self._bury(refused)
        return deliveries

    def _bury(self, refused: Sequence[tuple[Held, RefusedError]]) -> None:
        """What has no readable header becomes a dead letter at once."""
        letters = [self._letter(held, error.reason, error.detail) for held, error in refused]
        self._server.post.publish(letters)
        self._intake.acknowledge([held for held, _ in refused])

    def _is_due(self) -> bool:
        return bool(self._soon) and self._soon[0][0] <= self._clock.now()

    def _due(self, wanted: int) -> list[Held]:
        found: list[Held] = []
        while len(found) < wanted and self._is_due():
            found.append(heapq.heappop(self._soon)[2])
        return found


def _message(held: Held) -> Message:
    return held.message or raw_message(held.delivered)

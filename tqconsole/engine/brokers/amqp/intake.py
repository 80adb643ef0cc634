"""The channel over which deliveries come: the window, the queues, and settling in few frames.

The server pushes: it sends as many messages as the window lets it, and what nobody has asked for
yet waits here. So the window follows what is wanted, frame by frame and without waiting for an
answer. When nothing is wanted for a while, what waits here goes back, for others to take.

Used under the link's lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from amqp import spec

from tqconsole.engine.amqp_server.address import ANSWER_TIMEOUT_S
from tqconsole.engine.amqp_server.declaring import Declarer
from tqconsole.engine.amqp_server.link import CONSUME, Link
from tqconsole.engine.amqp_server.wire import Channel
from tqconsole.engine.brokers.amqp.allowance import Allowance
from tqconsole.engine.brokers.amqp.held import Held
from tqconsole.engine.brokers.amqp.ladder import Ladder
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.transfer import QueueSpec

_QUORUM = "quorum"
#: One consumer of the queue gets its messages; another one's turn comes when that leaves.
_SINGLE_ACTIVE = "x-single-active-consumer"
#: Seconds for which a queue that was seen empty is not asked again.
_EMPTY_S = 0.05


class Intake:
    """Deliveries of one consumer."""

    def __init__(self, link: Link, declarer: Declarer, ladder: Ladder, clock: Clock) -> None:
        self._link = link
        self._declarer = declarer
        self._ladder = ladder
        self._clock = clock
        self._queues: dict[str, QueueSpec] = {}
        self._channel: Channel | None = None
        self._channel_count = 0
        self._tag_count = 0
        #: Consumer tag -> queue, also of those that were cancelled: what they sent may still come.
        self._tags: dict[str, str] = {}
        #: Queue -> tag of its consumer.
        self._active: dict[str, str] = {}
        self._allowance = Allowance()
        #: Whether it is one for each consumer, None before the channel knows any.
        self._is_own: bool | None = None
        self._pulled_count = 0
        self._turn = -1
        #: Queues of which a full fetch brought nothing, and when they were last seen empty.
        self._starved: list[str] = []
        self._empty_mono: dict[str, float] = {}
        #: What came and was not asked for yet, by queue.
        self._waiting: dict[str, deque[Held]] = {}
        #: Everything the server counts as ours, in the order in which it came.
        self._open: dict[int, Held] = {}

    @property
    def has_waiting(self) -> bool:
        """Whether something came that nobody has asked for yet."""
        return any(self._waiting.values())

    @property
    def takes_more(self) -> bool:
        """Whether the server may send, or has sent, more than is in the caller's hands."""
        least = 1 if self._has_to_stay() else 0
        has_room = self._is_own or self._allowance.size > max(least, self._in_hand_count())
        return bool(self._active) and has_room

    def add(self, queue: QueueSpec) -> None:
        """Consume from a queue too; it is declared. Raises: OperationalError."""
        self._declarer.queue(queue)
        self._queues[queue.name] = queue
        self._ladder.serve(self._queues.values())
        self._waiting.setdefault(queue.name, deque())

    def remove(self, queue_name: str) -> None:
        """Consume from it no longer; what nobody has asked for yet goes back."""
        if self._queues.pop(queue_name, None) is None:
            return
        with self._link.channel(CONSUME) as channel:
            if channel is self._channel:
                self._cancel(channel, [queue_name])
                self._give_back(channel, [queue_name])

    def refresh(self, timeout_s: float = 0.0) -> list[Held]:
        """Make sure of the channel and take in what has come, waiting at most `timeout_s`.

        Returns: what is no longer ours, because the channel or the connection was lost.
        Raises: OperationalError.
        """
        lost: list[Held] = []
        with self._link.channel(CONSUME) as channel:
            if channel is not self._channel:
                lost = self._begin(channel)
        self._link.pump(timeout_s)
        with self._link.channel(CONSUME) as channel:
            if channel is not self._channel:
                lost += self._begin(channel)
            self._collect(channel)
        return lost

    def want(self, wanted: int) -> None:
        """Let the server send what is wanted beside what is in hand already."""
        with self._link.channel(CONSUME) as channel:
            is_own = self._has_own_windows()
            is_other = is_own is not self._is_own
            if is_other:
                self._allowance = Allowance()
            unsettled_count = self._in_hand_count() + wanted
            window = self._allowance.due(unsettled_count, self._clock.mono(), doubles=is_own)
            if is_other or (is_own and self._may_change(window)):
                self._consume_anew(channel, window, is_own=is_own)
            elif not is_own:
                self._open_window(channel, window)
            self._consume(channel)

    def take(self, wanted: int) -> list[Held]:
        """Return up to `wanted` of what has come; the queues take turns to be first."""
        names = list(self._queues)
        self._turn += 1
        first = self._turn % max(1, len(names))
        names = names[first:] + names[:first]
        self._help_starved()
        taken: list[Held] = []
        bringing: set[str] = set()
        for name in names:
            waiting = self._waiting[name]
            while waiting and len(taken) < wanted:
                taken.append(waiting.popleft())
                bringing.add(name)
        is_full = len(taken) == wanted > 0
        self._starved = [name for name in names if name not in bringing] if is_full else []
        return taken

    def _help_starved(self) -> None:
        """Fetch one message of a queue that gets no place in the window beside fuller ones."""
        now_mono = self._clock.mono()
        for name in self._starved:
            is_known_empty = now_mono - self._empty_mono.get(name, float("-inf")) < _EMPTY_S
            if name in self._queues and not self._waiting[name] and not is_known_empty:
                self._pull(name)
                if not self._waiting[name]:
                    self._empty_mono[name] = now_mono
                return

    def rest(self, leaving_count: int = 0) -> None:
        """Nothing is wanted: take no more than is in hand, and give back what nobody has asked for.

        `leaving_count`: so many of those in hand are about to go back.
        """
        if self._channel is None or self._channel.connection is None:
            return
        with self._link.channel(CONSUME) as channel:
            self._collect(channel)
            window = self._in_hand_count() - leaving_count
            if not self._is_own and (window > 0 or self._has_to_stay()):
                self._open_window(channel, max(1, window))
            else:
                # A window of 0 would be one without end.
                self._cancel(channel, list(self._active))
                self._allowance = Allowance()
            self._give_back(channel, list(self._waiting))

    def acknowledge(self, helds: Iterable[Held]) -> None:
        """Settle for good: one frame for all that were the first to come, one for each other."""
        numbers = {it.number for it in helds if self._open.get(it.number) is it}
        if not numbers:
            return
        with self._link.channel(CONSUME) as channel, self._link.gathered():
            upto = 0
            for number in self._open:
                if number not in numbers:
                    break
                upto = number
            if upto:
                channel.basic_ack(upto, multiple=True)
            for number in sorted(it for it in numbers if it > upto):
                channel.basic_ack(number)
            for number in numbers:
                self._close(number)

    def reject(self, helds: Sequence[Held], *, is_requeued: bool) -> None:
        """Give back to the head of the queue, or to the queue's own dead-letter exchange."""
        numbers = sorted(it.number for it in helds if self._open.get(it.number) is it)
        if not numbers:
            return
        with self._link.channel(CONSUME) as channel, self._link.gathered():
            for number in numbers:
                channel.basic_reject(number, is_requeued)
                self._close(number)

    # --- inside -------------------------------------------------------------------------------

    def _begin(self, channel: Channel) -> list[Held]:
        """Begin anew on a new channel: what came over the old one is not ours any more."""
        lost = list(self._open.values())
        is_first = self._channel is None
        self._channel = channel
        self._channel_count += 1
        self._open, self._tags, self._active = {}, {}, {}
        self._allowance, self._is_own, self._pulled_count = Allowance(), None, 0
        for waiting in self._waiting.values():
            waiting.clear()
        if not is_first:
            for queue in self._queues.values():
                self._declarer.queue(queue)
        return lost

    def _collect(self, channel: Channel) -> None:
        delivered, channel.delivered = channel.delivered, []
        for it in delivered:
            queue = self._tags.get(it.consumer_tag)
            if queue is None:
                continue
            held = Held(f"{self._channel_count}.{it.number}", it.number, queue, it)
            self._open[it.number] = held
            self._waiting[queue].append(held)
        if delivered and len(self._tags) > len(self._active):
            self._forget_before(delivered[-1].consumer_tag)
        for tag in channel.cancelled:
            # Its queue was deleted: it is made again when something is wanted.
            name = self._tags.get(tag, "")
            if self._active.get(name) == tag:
                del self._active[name]
                self._declarer.forget(name)
        channel.cancelled.clear()

    def _forget_before(self, tag: str) -> None:
        """Forget those that were cancelled before the consumer began that brought this."""
        name = self._tags.get(tag)
        if name is not None and self._active.get(name) == tag:
            # The one before it was cancelled after that, and may still bring something.
            gone = [it for it, of in self._tags.items() if of == name][:-2]
            for it in gone:
                del self._tags[it]

    def _consume(self, channel: Channel) -> None:
        for name, queue in self._queues.items():
            if name in self._active:
                continue
            self._declarer.queue(queue)
            self._tag_count += 1
            tag = f"tq{self._tag_count}"
            channel.basic_consume(name, consumer_tag=tag, nowait=True)
            self._tags[tag] = name
            self._active[name] = tag

    def _cancel(self, channel: Channel, names: Iterable[str]) -> None:
        for name in names:
            tag = self._active.pop(name, None)
            if tag is not None:
                self._end_consumer(channel, tag)

    @staticmethod
    def _end_consumer(channel: Channel, tag: str) -> None:
        channel.basic_cancel(tag, nowait=True)
        # py-amqp waits for an answer before it forgets it.
        channel.callbacks.pop(tag, None)

    def _give_back(self, channel: Channel, names: Iterable[str]) -> None:
        surplus = [held for name in names for held in self._waiting.get(name, ())]
        for name in names:
            if name in self._waiting:
                self._waiting[name].clear()
        with self._link.gathered():
            for held in surplus:
                channel.basic_reject(held.number, True)  # noqa: FBT003 - py-amqp's signature
                self._close(held.number)

    def _close(self, number: int) -> None:
        held = self._open.pop(number, None)
        if held is not None and held.is_pulled:
            self._pulled_count -= 1

    def _in_hand_count(self) -> int:
        """Return how many the caller has of those that the window counts."""
        return len(self._open) - self._pulled_count - sum(map(len, self._waiting.values()))

    def _open_window(self, channel: Channel, window: int) -> None:
        if window != self._allowance.size:
            channel.send_method(spec.Basic.Qos, "lBb", (0, window, True))
            self._allowance.told(window, self._clock.mono())

    def _has_own_windows(self) -> bool:
        """Whether each consumer is to have a window of its own. That is the cheaper one for the
        server, which asks a process more about every message where it is shared; but it does not
        change while the consumer lasts.

        Quorum queues know no other. Where there are several queues, each would bring all that is
        wanted. And a consumer that is followed by another must not take its queue, or its turn,
        with it.
        """
        is_alone = len(self._queues) == 1 and not self._has_to_stay()
        return is_alone or self._has_quorum()

    def _has_to_stay(self) -> bool:
        """Whether a consumer that leaves takes its queue with it, or its turn."""
        queues = self._queues.values()
        return any(it.is_auto_delete or it.arguments.get(_SINGLE_ACTIVE) for it in queues)

    def _has_quorum(self) -> bool:
        return any(it.arguments.get("x-queue-type") == _QUORUM for it in self._queues.values())

    def _may_change(self, window: int) -> bool:
        """Whether it is worth new consumers: not while there is something here to go on with."""
        if window == self._allowance.size or self.has_waiting:
            return False
        # A quorum queue then forgets the order of what it has given.
        return window > self._allowance.size or not self._has_quorum()

    def _consume_anew(self, channel: Channel, window: int, *, is_own: bool) -> None:
        """Let new consumers take over: what the old ones have brought, no own window counts."""
        for queue in self._queues.values():
            # What waits for an answer cannot do so below.
            self._declarer.queue(queue)
        with self._link.gathered():
            if self._has_quorum():
                # Else both would bring messages at once.
                self._cancel(channel, list(self._active))
            if is_own is not self._is_own and self._is_own is not None:
                # Of both kinds the smaller one would hold.
                channel.send_method(spec.Basic.Qos, "lBb", (0, 0, is_own))
            channel.send_method(spec.Basic.Qos, "lBb", (0, window, not is_own))
            # Whoever was told that the queue stays, it may go with the last that consumes it.
            late_tags, self._active = list(self._active.values()), {}
            self._consume(channel)
            for tag in late_tags:
                self._end_consumer(channel, tag)
        self._is_own = is_own
        self._allowance.told(window, self._clock.mono())

    def _pull(self, name: str) -> None:
        """Fetch one message of a queue, whatever the window says."""
        with self._link.channel(CONSUME) as channel:
            channel.is_get_empty = False
            channel.send_method(spec.Basic.Get, "Bsb", (0, name, False))
            deadline_mono = self._clock.mono() + ANSWER_TIMEOUT_S
            while not channel.is_get_empty and not self._find_pulled(channel, name):
                left_s = deadline_mono - self._clock.mono()
                if left_s <= 0:
                    raise self._link.give_up(OperationalError("RabbitMQ does not answer"))
                self._link.pump(left_s)
            self._collect(channel)

    def _find_pulled(self, channel: Channel, name: str) -> bool:
        for at, delivered in enumerate(channel.delivered):
            if not delivered.consumer_tag:
                del channel.delivered[at]
                held = Held(
                    f"{self._channel_count}.{delivered.number}",
                    delivered.number,
                    name,
                    delivered,
                    is_pulled=True,
                )
                self._open[delivered.number] = held
                self._waiting[name].append(held)
                self._pulled_count += 1
                return True
        return channel.failure is not None

"""A worker's hold on its queues: its lease, its tags, its bell, and the cycle of exchanges.

Used by one thread, except `renew`. How an exchange travels stands in `cycle.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.brokers.redis import lua, members, reap
from tqconsole.engine.brokers.redis.bell import Bell
from tqconsole.engine.brokers.redis.cycle import Cycle, Server
from tqconsole.engine.brokers.redis.envelope import marked
from tqconsole.engine.brokers.redis.exchange import (
    MOST_WANTED,
    Feeding,
    Plan,
    Popped,
    Word,
    settle,
    start,
)
from tqconsole.engine.brokers.redis.hearing import Hearing
from tqconsole.engine.brokers.redis.pulse import Pulse
from tqconsole.engine.brokers.redis.routing import is_passing
from tqconsole.engine.brokers.redis.watch import Watch
from tqconsole.engine.exceptions import EngineError
from tqconsole.engine.protocol.transfer import (
    Delivery,
    GivenBack,
    Handover,
    QueueSpec,
    Riding,
    Settlement,
    Verdict,
)

#: Seconds between two words that a queue which ends with its reader is still read.
_ATTACH_S = 12.0
#: Seconds between two looks without a bell.
_POLL_S = 0.05


class RedisConsumer(Consumer):
    """One consumer. Registers on creation. Raises: OperationalError, ImproperlyConfigured."""

    def __init__(self, server: Server, queues: Sequence[QueueSpec], worker_name: str) -> None:
        self._server = server
        self._link, self._keys, self._clock = server.link, server.keys, server.clock
        self._worker_name = worker_name
        self._uuid = members.new_uuid()
        self._feeding = Feeding(self._keys)
        self._bell = Bell(self._link.address, self._clock, self._link.doubt)
        self._hearing = Hearing(server.link, server.keys)
        self._attached_mono = float("-inf")
        self._cycle = Cycle(server, self._bell, self._feeding, self._uuid, worker_name)
        #: What we hold; the cycle's own.
        self._hand = self._cycle.hand
        self._watch = Watch(server, self._bell, self._cycle, self._feeding, self._lasts)
        self._pulse = Pulse(server.link, server.keys, self._uuid, worker_name)
        self._reaper = reap.Reaper(server.link, server.keys, self._uuid, worker_name)
        self._pid = os.getpid()
        self._is_closed = False
        self._queues = {queue.name: queue for queue in queues}
        for queue in queues:
            self._feeding.add(queue.name)
            self._hearing.add(queue)
        # The first renewal declares them too.
        self.renew()
        self._bell.hear(self._hearing.globs)

    def exchange(
        self,
        settled: Sequence[Settlement] = (),
        started: Sequence[Handover] = (),
        wanted: int = 0,
        riding: Riding | None = None,
    ) -> list[Delivery]:
        """See `Consumer.exchange`: one script, or nothing at all while the bell is quiet."""
        self._begin(settled, started, wanted, riding)
        found = self.finish()
        self._watch.arm()
        return found

    def begin(
        self,
        settled: Sequence[Settlement] = (),
        started: Sequence[Handover] = (),
        wanted: int = 0,
        riding: Riding | None = None,
    ) -> None:
        """See `Consumer.begin`: the script is on its way."""
        self._begin(settled, started, wanted, riding)
        if self._cycle.is_emptying:
            # What comes next is asked for in the same breath. And what was answered meanwhile
            # wakes nobody any more.
            self._watch.let_a_fetch_wait()
            self._bell.look()

    def _begin(
        self,
        settled: Sequence[Settlement],
        started: Sequence[Handover],
        wanted: int,
        riding: Riding | None,
    ) -> None:
        watch, cycle = self._watch, self._cycle
        has_caught = watch.take_caught()
        watch.note_wanted(wanted)
        riding = cycle.clear_up(riding)
        plan = self._planned(settled, started, riding)
        if started and watch.notes_alone(plan):
            watch.note_caught(plan)
            return
        cycle.starts.add_to(plan)
        may_hear, will_wait = self._hearing.may_hear, watch.will_wait(plan)
        if may_hear or (not will_wait and watch.is_worth_a_look(plan)):
            self._bell.look()
            will_wait = watch.will_wait(plan)
        if may_hear:
            self._hearing.write(self._bell.take_heard())
        wanted = min(wanted - cycle.recalled_count, MOST_WANTED)
        # What is caught, or waited for, is not fetched as well.
        is_needless = has_caught or will_wait
        if wanted > 0 and (self._is_due() or (not is_needless and watch.may_find(plan))):
            self._bell.take_ring()
            cycle.send(plan, wanted, riding, watch.lists_to_arm())
        elif plan.only_starts and not cycle.starts.are_owed:
            cycle.note_started(plan)
        elif not plan.is_empty:
            cycle.send(plan, 0, riding)

    def _planned(
        self, settled: Sequence[Settlement], started: Sequence[Handover], riding: Riding | None
    ) -> Plan:
        plan = Plan()
        if riding is not None:
            plan.results = riding.results
            if riding.publications:
                plan.writes = self._server.router.writes(riding.publications)
        if settled:
            settle(plan, settled, self._hand, self._keys, self._worker_name, self._clock.now())
        if started:
            start(plan, started, self._hand)
        return plan

    def start(self, started: Sequence[Handover]) -> None:
        """See `Consumer.start`: a note behind the exchange, on the same connection."""
        plan = Plan()
        start(plan, started, self._hand)
        if self._watch.notes_alone(plan):
            self._watch.note_caught(plan)
        elif plan.only_starts:
            self._cycle.note_started(plan)

    def has_answered(self) -> bool:
        """See `Consumer.has_answered`."""
        self._bell.look()
        return not self._cycle.is_awaited

    def finish(self) -> list[Delivery]:
        """See `Consumer.finish`."""
        popped = self.finish_unread()
        return self.read(popped) if popped else []

    def read(self, unread: Sequence[Popped]) -> list[Delivery]:
        """See `Consumer.read`."""
        return self._cycle.read(unread)

    def finish_unread(self) -> list[Popped]:
        """See `Consumer.finish_unread`: envelopes are read when the next exchange has left."""
        landed = self._cycle.land()
        if landed.wanted > 0:
            self._watch.note_landed(landed)
        return landed.popped

    def prepare_wait(self) -> None:
        """See `Consumer.prepare_wait`: it costs a trip, which no task should wait for."""
        self._watch.prepare_wait(has_in_hand=bool(self._hand))

    def caught(self) -> list[Delivery]:
        """See `Consumer.caught`."""
        return self.read(self._cycle.take_recalled()) if self._watch.take_caught() else []

    def tells_nothing(self) -> bool:
        """See `Consumer.tells_nothing`: often it is the answer to what started, or to an arming."""
        try:
            self._bell.look()
        except EngineError:
            return False
        # The answer to a look that is under way will tell, too.
        return self._bell.is_armed

    @property
    def answers_later(self) -> bool:
        """See `Consumer.answers_later`: what travels, travels on the bell's connection."""
        return self._bell.is_tracking and self._cycle.is_awaited

    @property
    def brings_nothing(self) -> bool:
        """See `Consumer.brings_nothing`."""
        return self._bell.is_tracking and self._cycle.is_telling

    def take_ring(self) -> bool:
        """See `Consumer.take_ring`."""
        return self._bell.take_ring()

    def wait(self, timeout_s: float) -> bool:
        """See `Consumer.wait`."""
        deadline_mono = self._clock.mono() + timeout_s
        self._cycle.withdraw()
        if not self._bell.is_quiet:
            self._bell.arm(self._feeding.lists())
        while True:
            left_s = deadline_mono - self._clock.mono()
            if self._cycle.due_at is not None:
                left_s = min(left_s, self._cycle.due_at - self._clock.now())
            if self._bell.fileno() is None:
                self._clock.sleep(min(max(0.0, left_s), _POLL_S))
                return True
            self._bell.look(max(0.0, left_s))
            if not self._bell.is_armed:
                return True
            if self._is_due():
                return True
            if self._clock.mono() >= deadline_mono:
                return False

    def fileno(self) -> int | None:
        """See `Consumer.fileno`: a selector around the bell, the same for the consumer's life."""
        return self._bell.fileno()

    def next_due_at(self) -> float | None:
        """See `Consumer.next_due_at`: as the last fetch saw it."""
        return self._cycle.due_at

    def park(self, due: Sequence[tuple[str, float]]) -> None:
        """See `Consumer.park`: an entry of `unacked` that every fleet returns when it is due."""
        keys = self._keys
        words: list[Word] = [keys.unacked, keys.unacked_index, 0]
        parked: list[tuple[str, float]] = []
        for tag, due_at in due:
            held = self._hand.get(tag)
            if held is None:
                continue
            words += (
                tag,
                members.parked_tag(keys.step(marked(held.envelope, 0).priority), tag),
                keys.parked(held.queue),
                repr(due_at),
                repr(due_at - keys.visibility_s),
            )
            parked.append((tag, due_at))
        if not parked:
            return
        words[2] = len(parked)
        self._link.script(lua.PARK, words)
        for tag, _ in parked:
            self._hand.pop(tag, None)
        soonest_at = min(due_at for _, due_at in parked)
        known_at = self._cycle.due_at
        self._cycle.due_at = soonest_at if known_at is None else min(known_at, soonest_at)

    def renew(self) -> None:
        """See `Consumer.renew`. Any thread may call it."""
        if self._is_closed or self._pid != os.getpid():
            return
        queues, tags = self._feeding.names, list(self._hand)
        passing = [name for name, it in list(self._queues.items()) if is_passing(it)]
        renewed = self._pulse.beat(tags, queues, passing)
        self._cycle.starts.say_again(self._link)
        if renewed is None:
            self._reaper.confirm(self._clock.mono())
        else:
            self._reaper.note(renewed.known, self._clock.mono())
            if renewed.due_at is not None:
                self._cycle.due_at = min(renewed.due_at, self._cycle.due_at or renewed.due_at)
        self._attach(again=renewed is not None and not renewed.was_alive)
        expiries = [it for name in queues for it in self._server.router.expiries(name)]
        if expiries:
            self._link.ask(expiries)

    @property
    def fears_losses(self) -> bool:
        """See `Consumer.fears_losses`."""
        return self._reaper.fears_losses(self._clock.mono())

    def give_back(self, max_deaths: int) -> GivenBack:
        """See `Consumer.give_back`; what is lost is ours until it is settled."""
        given, lost = self._reaper.give_back(
            max_deaths, self._clock, self._cycle.next_tag, self._hand.__contains__
        )
        self._hand.update(lost)
        if given.returned_count:
            self._watch.look_again()
        return given

    def add_queue(self, queue: QueueSpec) -> None:
        """See `Consumer.add_queue`."""
        self._server.router.attach(queue)
        self._queues[queue.name] = queue
        self._feeding.add(queue.name)
        self._hearing.add(queue)
        self._bell.hear(self._hearing.globs)
        self._look_again()

    def cancel_queue(self, queue_name: str) -> None:
        """See `Consumer.cancel_queue`."""
        queue = self._queues.pop(queue_name, None)
        self._hearing.remove(queue_name)
        self._bell.hear(self._hearing.globs)
        if queue is not None:
            self._server.router.detach(queue)
        if self._feeding.remove(queue_name):
            self._cycle.withdraw()
            self._look_again()

    def close(self) -> None:
        """See `Consumer.close`. What started and is not settled stays on record."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._pid == os.getpid():
                self._cycle.land()
                self._cycle.withdraw()
                self._leave()
        finally:
            members.forget_own(self._uuid)
            self._cycle.close()
            self._bell.close()

    # --- inside -------------------------------------------------------------------------------

    def _lasts(self, queue_name: str) -> bool:
        """Return whether it is a queue of ours whose lists do not end by themselves."""
        queue = self._queues.get(queue_name)
        if queue is None or is_passing(queue):
            return False
        return not self._server.router.expiries(queue_name)

    def _is_due(self) -> bool:
        return self._cycle.due_at is not None and self._cycle.due_at <= self._clock.now()

    def _attach(self, *, again: bool) -> None:
        """Declare all queues when `again`: the server may have come back without its data; those
        that end with their reader from time to time.
        """
        now_mono = self._clock.mono()
        if not again and now_mono - self._attached_mono < _ATTACH_S:
            return
        self._attached_mono = now_mono
        for queue in list(self._queues.values()):
            if again or is_passing(queue):
                self._server.router.attach(queue)

    def _look_again(self) -> None:
        self._watch.look_again()
        self._bell.arm(self._feeding.lists())

    def _leave(self) -> None:
        plan, hand = Plan(), self._hand
        backs = [Settlement(tag, Verdict.RETURN) for tag in hand if not hand[tag].is_started]
        settle(plan, backs, hand, self._keys, self._worker_name, self._clock.now())
        if not plan.is_empty:
            self._cycle.write(plan)
        for queue in self._queues.values():
            self._server.router.detach(queue)
        members.leave(self._link, self._keys, self._uuid, has_left_work=bool(self._hand))

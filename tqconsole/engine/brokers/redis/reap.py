"""Giving back what dead consumers held. Any worker does it, and any number at once.

A consumer is dead when its lease has ended, or when it was this worker's own earlier life. What it
had fetched goes back to the head of its queue; what had started counts one death more; what was
acknowledged early passes into our hands, to be reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from tqconsole.engine.brokers.redis import lua, members
from tqconsole.engine.brokers.redis.envelope import delivery_of, marked, raw_delivery
from tqconsole.engine.brokers.redis.exchange import Held, Word, dead_row
from tqconsole.engine.brokers.redis.keys import Keys, envelope_of
from tqconsole.engine.brokers.redis.letters import Cause
from tqconsole.engine.brokers.redis.members import Member
from tqconsole.engine.brokers.redis.routing import PASSING_S
from tqconsole.engine.clock import Clock
from tqconsole.engine.embedded.host import this_host
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.limits import Reason
from tqconsole.engine.protocol.transfer import Delivery, GivenBack
from tqconsole.engine.redis_server.link import Command, Link

#: How old, seconds, the record may be that the last renewal brought, or found unchanged.
_FRESH_S = 12.0
#: Who may have something in hand has no longer lease.
_SHORT_S = members.LEASE_MS / 1000
_NEVER_S = float("inf")
#: Deliveries that go back in one step, and fields of `unacked` looked at in one.
_CHUNK, _SCAN_COUNT = 200, 1_000

#: Makes a tag of the reaper's own for what it takes over.
NextTag = Callable[[bytes, str], tuple[str, Held]]
#: Tells whether a tag is in our hands.
IsHeld = Callable[[str], bool]


class _Dead(msgspec.Struct, frozen=True):
    """A dead consumer. `is_over`: known by more than its lease."""

    uuid: str
    worker_name: str
    is_over: bool
    passing: tuple[str, ...] = ()


class _Given(msgspec.Struct):
    """What was done so far."""

    returned_count: int = 0
    lost: dict[str, Held] = msgspec.field(default_factory=dict)
    lost_deliveries: list[Delivery] = msgspec.field(default_factory=list)
    dead_lettered: list[Delivery] = msgspec.field(default_factory=list)


class _Step(msgspec.Struct, frozen=True):
    """What becomes of one delivery: the words of the script, and what to note when it was done."""

    words: tuple[Word, ...]
    delivery: Delivery
    our_tag: str = ""
    held: Held | None = None


class Reaper:
    """Finds the dead for one consumer."""

    def __init__(self, link: Link, keys: Keys, uuid: str, worker_name: str) -> None:
        self._link = link
        self._keys = keys
        self._uuid = uuid
        self._worker_name = worker_name
        self._has_searched = False
        #: A step may have passed something into our hands whose answer was lost.
        self._is_in_doubt = False
        self._known: Sequence[Member] = ()
        self._known_mono = float("-inf")
        #: When the first of the leases ends that are known to be short.
        self._ends_mono = float("inf")

    def note(self, known: Sequence[Member], now_mono: float) -> None:
        """Take in who is on record, as a renewal brought it. Any thread may call it."""
        self._known, self._known_mono = known, now_mono
        left_s = [it.left_s for it in known if it.is_alive and it.uuid != self._uuid]
        self._ends_mono = now_mono + min((it for it in left_s if it <= _SHORT_S), default=_NEVER_S)

    def confirm(self, now_mono: float) -> None:
        """Take in that nobody on record has died since. Any thread may call it."""
        self._known_mono = now_mono

    def fears_losses(self, now_mono: float) -> bool:
        """Tell whether somebody may be dead before the next renewal has told: who has something in
        hand or had, or may be an earlier life of this worker, or when nothing was learnt of late.
        Any thread may call it.
        """
        others = [it for it in self._known if it.uuid != self._uuid]
        is_known = self._has_searched and now_mono - self._known_mono <= _FRESH_S
        return not is_known or any(
            it.left_s <= _SHORT_S or it.worker_name == self._worker_name for it in others
        )

    def give_back(
        self, max_deaths: int, clock: Clock, next_tag: NextTag, is_held: IsHeld
    ) -> tuple[GivenBack, dict[str, Held]]:
        """Return what was given back, and what is in our hands now, to be reported."""
        now_mono = clock.mono()
        if now_mono - self._known_mono > _FRESH_S or now_mono >= self._ends_mono:
            self.note(members.known(self._link, self._keys), now_mono)
        given = _Given()
        if self._is_in_doubt:
            self._find_unheard(given, is_held)
        self._is_in_doubt = True
        names: list[str] = []
        for dead in self._dead():
            if self._give_back_one(dead, max_deaths, clock.now(), next_tag, given):
                names.append(dead.worker_name)
                self._end(dead)
                self._known = [it for it in self._known if it.uuid != dead.uuid]
            else:
                self._ends_mono = now_mono
        self._is_in_doubt = False
        return (
            GivenBack(
                given.returned_count,
                tuple(given.lost_deliveries),
                tuple(given.dead_lettered),
                tuple(dict.fromkeys(name for name in names if name)),
            ),
            given.lost,
        )

    def _find_unheard(self, given: _Given, is_held: IsHeld) -> None:
        for tag, entry in self._scan(f"tq:{self._uuid}:*"):
            order = members.order_of(tag)
            # Number 0 is what was taken over; what was fetched counts from 1.
            if order[1] == 0 and not is_held(tag):
                envelope, queue = envelope_of(entry)
                given.lost[tag] = Held(envelope, queue, order, is_started=True, is_lost=True)
                given.lost_deliveries.append(_delivery(envelope, tag, queue))

    def _end(self, dead: _Dead) -> None:
        """Strike a consumer off the record; what lies in queues that ended with it ends too."""
        lists = [name for queue in dead.passing for name in self._keys.lists(queue)]
        expiries: list[Command] = [("EXPIRE", name, PASSING_S) for name in lists]
        self._link.ask([*expiries, ("HDEL", self._keys.consumers, dead.uuid)])

    def _dead(self) -> Iterator[_Dead]:
        host = this_host()
        for it in self._known:
            if it.uuid == self._uuid:
                continue
            is_over = it.is_earlier_life(host, self._worker_name)
            if is_over or not it.is_alive:
                yield _Dead(it.uuid, it.worker_name, is_over, it.passing)
        if not self._has_searched:
            # A fleet that was away longer than its records has left only its tags.
            self._has_searched = True
            yield from self._strays({it.uuid for it in self._known})

    def _strays(self, on_record: set[str]) -> Iterator[_Dead]:
        owners = {
            members.owner_of(tag)
            for tag, _ in self._scan("tq:*")
            if members.owner_of(tag)[0] not in on_record
        }
        for uuid, worker_name in sorted(owners):
            yield _Dead(uuid, worker_name, is_over=False)

    def _give_back_one(
        self, dead: _Dead, max_deaths: int, now_at: float, next_tag: NextTag, given: _Given
    ) -> bool:
        """Give back all of one consumer's; False when it lives after all."""
        entries = dict(self._scan(f"tq:{dead.uuid}:*"))
        # What is pushed last is the first to be fetched: the oldest.
        tags = sorted(entries, key=members.order_of, reverse=True)
        for at in range(0, max(1, len(tags)), _CHUNK):
            chunk = tags[at : at + _CHUNK]
            scores = self._scores(chunk)
            steps = [
                self._step(tag, entries[tag], score, dead, max_deaths, (now_at, next_tag))
                for tag, score in zip(chunk, scores, strict=True)
            ]
            words: list[Word] = [
                self._keys.unacked,
                self._keys.unacked_index,
                self._keys.lease(dead.uuid),
                int(dead.is_over),
                len(steps),
            ]
            for step in steps:
                words += step.words
            done = self._link.script(lua.REAP, words)
            if done is None:
                return False
            _note(given, [step for step, was_done in zip(steps, done, strict=True) if was_done])
        return True

    def _step(
        self,
        tag: str,
        entry: bytes,
        score: float | None,
        dead: _Dead,
        max_deaths: int,
        ours: tuple[float, NextTag],
    ) -> _Step:
        now_at, next_tag = ours
        envelope, queue = envelope_of(entry)
        if score is None:
            our_tag, held = next_tag(envelope, queue)
            delivery = _delivery(envelope, our_tag, queue)
            return _Step(("lost", tag, our_tag, entry), delivery, our_tag, held)
        has_started = score % 1 != 0
        again = marked(envelope, int(has_started))
        delivery = _delivery(envelope, tag, queue)
        if has_started and again.deaths >= max_deaths:
            detail = f"the process that ran it died {again.deaths} times"
            cause = Cause(Reason.WORKER_LOST, detail, dead.worker_name)
            row = dead_row(tag, envelope, queue, cause, self._keys, now_at)
            return _Step(("dead", *row), msgspec.structs.replace(delivery, deaths=again.deaths))
        return _Step(
            ("back", tag, self._keys.list_for(queue, again.priority), again.envelope), delivery
        )

    def _scores(self, tags: Sequence[str]) -> list[float | None]:
        if not tags:
            return []
        found = self._link.ask([("ZSCORE", self._keys.unacked_index, tag) for tag in tags])
        return [None if score is None else float(score) for score in found]

    def _scan(self, pattern: str) -> Iterator[tuple[str, bytes]]:
        cursor: bytes | int = 0
        while True:
            cursor, found = self._link.run(
                "HSCAN", self._keys.unacked, cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT
            )
            for at in range(0, len(found), 2):
                yield found[at].decode(errors="replace"), found[at + 1]
            if int(cursor) == 0:
                return


def _note(given: _Given, steps: Sequence[_Step]) -> None:
    for step in steps:
        if step.held is not None:
            given.lost[step.our_tag] = step.held
            given.lost_deliveries.insert(0, step.delivery)
        elif step.words[0] == "dead":
            given.dead_lettered.insert(0, step.delivery)
        else:
            given.returned_count += 1


def _delivery(envelope: bytes, tag: str, queue: str) -> Delivery:
    try:
        return delivery_of(envelope, tag, queue)
    except RefusedError:
        return raw_delivery(envelope, tag, queue)

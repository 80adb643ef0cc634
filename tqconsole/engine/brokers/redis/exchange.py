"""One cycle of a worker as the words of one script: what rides, what leaves, what starts, a fetch.

The words and their order are those that `lua.EXCHANGE` takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from tqconsole.engine.brokers.redis.ageing import Ageing, Place
from tqconsole.engine.brokers.redis.envelope import marked
from tqconsole.engine.brokers.redis.keys import Keys, tail_of
from tqconsole.engine.brokers.redis.letters import Cause, letter_of
from tqconsole.engine.brokers.redis.routing import Write
from tqconsole.engine.protocol.transfer import (
    Handover,
    Publication,
    ResultWrite,
    Settlement,
    Verdict,
)
from tqconsole.engine.redis_server import records

#: What one script takes at most: the server does nothing else meanwhile.
MOST_WANTED = 1_000

Word = str | bytes | int | float


class Held(msgspec.Struct, eq=False, gc=False):
    """A delivery in our hands: its envelope, its queue, and what it is to us."""

    envelope: bytes
    queue: str
    #: Where it stands in the order of fetching.
    order: tuple[int, int]
    is_started: bool = False
    #: Acknowledged early by a worker that died: ours to report.
    is_lost: bool = False


#: What was popped: tag, queue and envelope.
Popped = tuple[str, str, bytes]


class Landed(msgspec.Struct, frozen=True):
    """What an exchange brought. `found_count` of it are its own, the others were found again after
    an earlier answer was lost.
    """

    popped: list[Popped]
    wanted: int = 0
    found_count: int = 0


class Plan(msgspec.Struct, eq=False):
    """What one exchange does besides fetching."""

    results: tuple[ResultWrite, ...] = ()
    writes: list[Write] = []
    backs: list[tuple[str, str, bytes]] = []
    dead: list[tuple[str, str, str, str, bytes]] = []
    late: list[str] = []
    early: list[str] = []
    acked: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.results
            or self.writes
            or self.backs
            or self.dead
            or self.late
            or self.early
            or self.acked
        )

    @property
    def only_ends(self) -> bool:
        """Whether it writes results and acknowledges, and does nothing else."""
        return not (self.writes or self.backs or self.dead or self.late or self.early)

    @property
    def only_starts(self) -> bool:
        """Whether it says what starts, and nothing else."""
        return bool(self.late or self.early) and not (
            self.results or self.writes or self.backs or self.dead or self.acked
        )

    def words_of_ends(self) -> list[Word]:
        """Return the words of results and acknowledgements."""
        return [*records.arguments(self.results), len(self.acked), *self.acked]

    def words_before(self) -> list[Word]:
        """Return the words before those of the fetch."""
        words: list[Word] = [*records.arguments(self.results), len(self.writes)]
        for write in self.writes:
            words += write
        for rows in (self.backs, self.dead):
            words.append(len(rows))
            for row in rows:
                words += row
        return words

    def words_after(self) -> list[Word]:
        """Return the words after those of the fetch."""
        words: list[Word] = []
        for tags in (self.late, self.early, self.acked):
            words.append(len(tags))
            words += tags
        return words


def settle(
    plan: Plan,
    settled: Iterable[Settlement],
    hand: dict[str, Held],
    keys: Keys,
    worker_name: str,
    now_at: float,
) -> None:
    """Add to the plan what becomes of deliveries. Tags that are not ours change nothing."""
    backs: list[tuple[Held, str, int]] = []
    for settlement in settled:
        tag = settlement.tag
        held = hand.get(tag)
        if held is None:
            continue
        if settlement.verdict is Verdict.ACK:
            plan.acked.append(tag)
            continue
        match settlement.verdict:
            case Verdict.RETURN:
                backs.append((held, tag, 0))
            case Verdict.DIED:
                backs.append((held, tag, 1))
            case Verdict.DEAD:
                cause = Cause(settlement.reason, settlement.detail, worker_name)
                plan.dead.append(dead_row(tag, held.envelope, held.queue, cause, keys, now_at))
    if not backs:
        return
    # What is pushed last is the first to be fetched: the oldest.
    backs.sort(key=lambda it: it[0].order, reverse=True)
    for held, tag, death_count in backs:
        again = marked(held.envelope, death_count)
        plan.backs.append((tag, keys.list_for(held.queue, again.priority), again.envelope))


def start(plan: Plan, started: Iterable[Handover], hand: dict[str, Held]) -> None:
    """Add to the plan what is handed to run."""
    for handover in started:
        if handover.tag in hand:
            (plan.early if handover.is_acked else plan.late).append(handover.tag)


def after(
    publications: tuple[Publication, ...], done: tuple[Publication, ...]
) -> tuple[Publication, ...]:
    """Return the publications without those in front that are written already."""
    if publications[: len(done)] == done:
        return publications[len(done) :]
    return publications


def dead_row(
    tag: str, envelope: bytes, queue: str, cause: Cause, keys: Keys, now_at: float
) -> tuple[str, str, str, str, bytes]:
    """Return the words that bury a delivery."""
    letter = letter_of(envelope, queue, cause, now_at)
    return tag, keys.dead(queue), queue, keys.dead_bytes, letter


class _Words(NamedTuple):
    """A queue: what is said of it, and a step and a list for each priority."""

    head: list[Word]
    steps: list[tuple[int, str]]


class Feeding:
    """The queues of a consumer as words, in turns: a full one must not starve the others."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._words: dict[str, _Words] = {}
        self._ageing = Ageing()
        self._lists: list[str] = []
        self._turn = -1
        #: Where the last message came from.
        self.last_place: Place | None = None

    @property
    def names(self) -> list[str]:
        """The queues."""
        return list(self._words)

    def lists(self) -> list[str]:
        """Return all lists of all queues."""
        return self._lists

    def list_of(self, place: Place) -> str:
        """Return the list at a place of a queue that is fetched from."""
        return self._words[place[0]].steps[place[1]][1]

    def tail_of(self, place: Place) -> Word:
        """Return what follows the envelope of a message of its queue in `unacked`."""
        return self._words[place[0]].head[0]

    def add(self, queue: str) -> None:
        """Fetch from this queue too."""
        lists = self._keys.lists(queue)
        head: list[Word] = [tail_of(queue), self._keys.parked(queue), len(lists)]
        steps = list(zip(self._keys.steps, lists, strict=True))
        self._words = {**self._words, queue: _Words(head, steps)}
        self._lists = self._listed()

    def remove(self, queue: str) -> bool:
        """Fetch from it no longer; False when it was not among them."""
        if queue not in self._words:
            return False
        self._words = {name: words for name, words in self._words.items() if name != queue}
        self._lists = self._listed()
        return True

    def next_turn(self) -> tuple[list[Word], list[Place]]:
        """Return the words of the queues in this cycle's order, and what each list is."""
        names = list(self._words)
        self._turn += 1
        first = self._turn % max(1, len(names))
        words: list[Word] = [len(names)]
        places: list[Place] = []
        for name in names[first:] + names[:first]:
            head, steps = self._words[name]
            words += head
            for at in self._ageing.order(name, len(steps)):
                words += steps[at]
                places.append((name, at))
        return words, places

    def fetched(
        self, reply: Sequence[Any], places: Sequence[Place], wanted: int
    ) -> list[tuple[str, bytes]]:
        """Return (queue, envelope) of what the script popped, in its order of tags."""
        found: list[tuple[str, bytes]] = []
        for at in range(0, len(reply), 2):
            queue = places[reply[at] - 1][0]
            found += [(queue, envelope) for envelope in reply[at + 1]]
        if found:
            self.last_place = places[reply[-2] - 1]
        if wanted > 0:
            last = reply[-2] if reply else 0
            self._ageing.note(places, last, is_full=len(found) >= wanted)
        return found

    def _listed(self) -> list[str]:
        return [name for queue in self._words for name in self._keys.lists(queue)]

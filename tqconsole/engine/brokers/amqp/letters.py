"""Dead letters: a queue `<queue>.dead`, bounded, with the reason in a header."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tqconsole.engine.amqp_server.content import message_of, raw_message
from tqconsole.engine.amqp_server.declaring import Declarer, find
from tqconsole.engine.amqp_server.inbound import Delivered
from tqconsole.engine.amqp_server.link import Link
from tqconsole.engine.amqp_server.publisher import Posting, posting_of
from tqconsole.engine.brokers.amqp.held import Held
from tqconsole.engine.brokers.amqp.post import Post
from tqconsole.engine.brokers.amqp.reading import Reading
from tqconsole.engine.brokers.amqp.register import Register
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.letter import (
    LETTERS_SUFFIX,
    from_letter,
    new_letter_id,
    to_letter,
)
from tqconsole.engine.protocol.transfer import DeadLetter, Publication, QueueSpec

#: What a queue of letters keeps at most; the oldest go first. As the other brokers.
_MOST_LETTERS, _MOST_BYTES = 10_000, 64 * 1024 * 1024


class Letters:
    """Writes, reads and moves dead letters over the broker's link."""

    def __init__(self, link: Link, declarer: Declarer, post: Post, clock: Clock) -> None:
        self._link = link
        self._declarer = declarer
        self._post = post
        self._reading = Reading(link, clock)
        self._register = Register(link, declarer, post, self._reading)

    def posting(
        self, held: Held, reason: str, detail: str, worker_name: str, died_at: float
    ) -> Posting:
        """Return the letter of a delivery; its queue is made. Raises: OperationalError."""
        self._register.enter(held.queue)
        self._declarer.queue(
            QueueSpec(
                held.queue + LETTERS_SUFFIX,
                arguments={"x-max-length": _MOST_LETTERS, "x-max-length-bytes": _MOST_BYTES},
            )
        )
        letter = DeadLetter(
            new_letter_id(),
            held.message or raw_message(held.delivered),
            held.queue,
            reason,
            detail,
            worker_name,
            died_at,
        )
        return posting_of(Publication(to_letter(letter), held.queue + LETTERS_SUFFIX))

    def count(self, queue_name: str) -> int | None:
        """Return how many letters a queue has, None when it never had one."""
        found = find(self._link, queue_name + LETTERS_SUFFIX)
        return None if found is None else found[0]

    def listed(self, queue_name: str | None, limit: int) -> list[DeadLetter]:
        """Return letters of a queue, or of all, newest first."""
        found: list[DeadLetter] = []
        with self._reading.turn():
            for name in self._register.names() if queue_name is None else [queue_name]:
                self._read(name, found.append)
        found.reverse()
        found.sort(key=lambda letter: -letter.died_at)
        return found[:limit]

    def replay(self, letter_ids: Sequence[str]) -> int:
        """Put letters back into their queues, deaths at 0; return how many were found."""

        def put_back(letter: DeadLetter) -> None:
            self._post.publish([posting_of(Publication(letter.message, letter.queue))])

        return self._take(letter_ids, put_back)

    def drop(self, letter_ids: Sequence[str]) -> int:
        """Delete letters; return how many were found."""
        return self._take(letter_ids, lambda _: None)

    def _take(self, letter_ids: Sequence[str], action: Callable[[DeadLetter], None]) -> int:
        wanted, taken = set(letter_ids), set[str]()

        def look(letter: DeadLetter) -> bool:
            is_wanted = letter.letter_id in wanted
            if is_wanted:
                action(letter)
                taken.add(letter.letter_id)
            return is_wanted

        with self._reading.turn():
            for name in self._register.names():
                if len(taken) < len(wanted):
                    self._read(name, look)
        return len(taken)

    def _read(self, name: str, look: Callable[[DeadLetter], bool | None]) -> None:
        self._reading.read(name + LETTERS_SUFFIX, lambda it: bool(look(_letter(it, name))))


def _letter(delivered: Delivered, queue_name: str) -> DeadLetter:
    """Return a letter and what it was before, whoever wrote it."""
    try:
        message = message_of(delivered)
    except RefusedError:
        message = raw_message(delivered)
    return from_letter(message, queue_name)

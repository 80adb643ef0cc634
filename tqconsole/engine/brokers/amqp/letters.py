"""Dead letters: a queue `<queue>.dead`, bounded, with the reason in a header.

AMQP has no way to look without taking: whoever reads letters takes them all for a moment and gives
them back by closing the channel, so two readers at once see some of them each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tqconsole.engine.amqp_server.content import message_of, raw_message
from tqconsole.engine.amqp_server.declaring import Declarer, find
from tqconsole.engine.amqp_server.link import Link
from tqconsole.engine.amqp_server.publisher import Posting, posting_of
from tqconsole.engine.amqp_server.wire import Channel, Delivered
from tqconsole.engine.brokers.amqp.held import Held
from tqconsole.engine.brokers.amqp.post import Post
from tqconsole.engine.exceptions import OperationalError, RefusedError
from tqconsole.engine.protocol.letter import (
    LETTERS_SUFFIX,
    from_letter,
    new_letter_id,
    to_letter,
)
from tqconsole.engine.protocol.transfer import DeadLetter, Publication, QueueSpec

#: What a queue of letters keeps at most; the oldest go first. As the other brokers.
_MOST_LETTERS, _MOST_BYTES = 10_000, 64 * 1024 * 1024
#: The channel on which letters are read; it lives as long as one reading.
_READING = "letters"


class Letters:
    """Writes, reads and moves dead letters over the broker's link."""

    def __init__(self, link: Link, declarer: Declarer, post: Post) -> None:
        self._link = link
        self._declarer = declarer
        self._post = post
        #: Queues that are known to have, or to have had, letters.
        self.queue_names: set[str] = set()

    def posting(
        self, held: Held, reason: str, detail: str, worker_name: str, died_at: float
    ) -> Posting:
        """Return the letter of a delivery; its queue is made. Raises: OperationalError."""
        self._declarer.queue(
            QueueSpec(
                held.queue + LETTERS_SUFFIX,
                arguments={"x-max-length": _MOST_LETTERS, "x-max-length-bytes": _MOST_BYTES},
            )
        )
        self.queue_names.add(held.queue)
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

    def listed(self, queue_names: Iterable[str], limit: int) -> list[DeadLetter]:
        """Return letters of these queues, newest first."""
        found: list[DeadLetter] = []
        for name in queue_names:
            self._read(name, lambda _, letter, __: found.append(letter))
        found.reverse()
        found.sort(key=lambda letter: -letter.died_at)
        return found[:limit]

    def replay(self, queue_names: Iterable[str], letter_ids: Sequence[str]) -> int:
        """Put letters back into their queues, deaths at 0; return how many were found."""

        def put_back(channel: Channel, letter: DeadLetter, number: int) -> None:
            self._post.publish([posting_of(Publication(letter.message, letter.queue))])
            channel.basic_ack(number)

        return self._take(queue_names, letter_ids, put_back)

    def drop(self, queue_names: Iterable[str], letter_ids: Sequence[str]) -> int:
        """Delete letters; return how many were found."""

        def delete(channel: Channel, _: DeadLetter, number: int) -> None:
            channel.basic_ack(number)

        return self._take(queue_names, letter_ids, delete)

    def _take(
        self,
        queue_names: Iterable[str],
        letter_ids: Sequence[str],
        action: Callable[[Channel, DeadLetter, int], None],
    ) -> int:
        wanted = set(letter_ids)
        taken: list[str] = []

        def look(channel: Channel, letter: DeadLetter, number: int) -> None:
            if letter.letter_id in wanted:
                action(channel, letter, number)
                taken.append(letter.letter_id)

        for name in queue_names:
            if wanted - set(taken):
                self._read(name, look)
        return len(taken)

    def _read(self, queue_name: str, look: Callable[[Channel, DeadLetter, int], None]) -> None:
        """Show every letter of a queue, oldest first, and give back what was not acknowledged."""
        count = self.count(queue_name)
        if not count:
            return
        self.queue_names.add(queue_name)
        link = self._link
        with link.lock:
            try:
                with link.channel(_READING) as channel:
                    channel.basic_consume(queue_name + LETTERS_SUFFIX, no_ack=False, nowait=False)
                    for _ in range(count):
                        delivered = self._next(channel)
                        look(channel, _letter(delivered, queue_name), delivered.number)
            finally:
                link.drop(_READING)

    def _next(self, channel: Channel) -> Delivered:
        while not channel.delivered:
            before = len(channel.delivered)
            self._link.pump(_PATIENCE_S)
            if len(channel.delivered) == before:
                raise OperationalError("another reader has the dead letters just now: try again")
        return channel.delivered.pop(0)


#: Seconds until a letter must come that the server has counted.
_PATIENCE_S = 2.0


def _letter(delivered: Delivered, queue_name: str) -> DeadLetter:
    """Return a letter and what it was before, whoever wrote it."""
    try:
        message = message_of(delivered)
    except RefusedError:
        message = raw_message(delivered)
    return from_letter(message, queue_name)

"""Dead letters: a plain queue `<queue>.dead`, which any transport has.

There is no way to look without taking: whoever reads letters takes them all for a moment and puts
them back in their order. So a reader that is killed in the middle may take letters with it, where
the transport forgets what was not acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tqconsole.engine.brokers.kombu.envelope import message_of, raw_message
from tqconsole.engine.brokers.kombu.post import Post
from tqconsole.engine.brokers.kombu.speech import SpokenChannel
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.letter import LETTERS_SUFFIX, from_letter, to_letter
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import DeadLetter, Publication

#: What a queue of letters keeps at most; the oldest go first. As the other brokers.
MOST_LETTERS = 10_000


class Letters:
    """Writes, reads and moves dead letters over the broker's link."""

    def __init__(self, post: Post) -> None:
        self._post = post
        #: Queues that are known to have, or to have had, letters.
        self.queue_names: set[str] = set()

    def put(self, letter: DeadLetter) -> None:
        """Keep a letter. Raises: OperationalError."""
        name = letter.queue + LETTERS_SUFFIX
        self.queue_names.add(letter.queue)
        self._post.publish([Publication(to_letter(letter), name)])
        with self._post.link.channel() as channel:
            surplus = (_count(channel, name) or 0) - MOST_LETTERS
            for _ in range(surplus):
                oldest = channel.basic_get(name, no_ack=False)
                if oldest is None:
                    return
                channel.basic_ack(oldest.delivery_tag)

    def count(self, queue_name: str) -> int | None:
        """Return how many letters a queue has, None where the transport cannot tell."""
        is_cheap = self._post.link.address.facts.is_cheap
        if queue_name not in self.queue_names and not is_cheap:
            return None
        with self._post.link.channel() as channel:
            return _count(channel, queue_name + LETTERS_SUFFIX)

    def listed(self, queue_names: Iterable[str], limit: int) -> list[DeadLetter]:
        """Return letters of these queues, newest first."""
        found: list[DeadLetter] = []

        def look(letter: DeadLetter) -> bool:
            found.append(letter)
            return False

        for name in queue_names:
            self._read(name, look)
        found.reverse()
        found.sort(key=lambda letter: -letter.died_at)
        return found[:limit]

    def replay(self, queue_names: Iterable[str], letter_ids: Sequence[str]) -> int:
        """Put letters back into their queues, deaths at 0; return how many were found."""

        def put_back(letter: DeadLetter) -> None:
            self._post.publish([Publication(letter.message, letter.queue)])

        return self._take(queue_names, letter_ids, put_back)

    def drop(self, queue_names: Iterable[str], letter_ids: Sequence[str]) -> int:
        """Delete letters; return how many were found."""
        return self._take(queue_names, letter_ids, lambda _: None)

    def _take(
        self,
        queue_names: Iterable[str],
        letter_ids: Sequence[str],
        action: Callable[[DeadLetter], None],
    ) -> int:
        wanted = set(letter_ids)

        def look(letter: DeadLetter) -> bool:
            if letter.letter_id not in wanted:
                return False
            action(letter)
            wanted.discard(letter.letter_id)
            return True

        for name in queue_names:
            if wanted:
                self._read(name, look)
        return len(set(letter_ids)) - len(wanted)

    def _read(self, queue_name: str, look: Callable[[DeadLetter], bool]) -> None:
        """Show every letter of a queue, oldest first; those stay for which `look` says False."""
        name = queue_name + LETTERS_SUFFIX
        with self._post.link.channel() as channel:
            taken = list(_taken(channel, name))
            if taken:
                self.queue_names.add(queue_name)
            for delivered in taken:
                message = _message(delivered)
                if not look(from_letter(message, queue_name)):
                    self._post.send(channel, Publication(message, name))
                channel.basic_ack(delivered.delivery_tag)


def _taken(channel: Any, name: str) -> Iterable[Any]:
    for _ in range(MOST_LETTERS):
        delivered = channel.basic_get(name, no_ack=False)
        if delivered is None:
            return
        yield delivered


def _count(channel: Any, name: str) -> int | None:
    return channel.count(name) if isinstance(channel, SpokenChannel) else None


def _message(delivered: Any) -> Message:
    try:
        return message_of(delivered)[0]
    except RefusedError:
        return raw_message(delivered)

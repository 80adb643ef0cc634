"""The names of all queues that have dead letters: AMQP lists no queues, so a queue keeps the list.

Whoever makes the first letter of a queue leaves its name there, before the letter. A reader clears
away names that stand there twice, or whose letters' queue is gone.
"""

from __future__ import annotations

from tqconsole.engine.amqp_server.declaring import Declarer, find
from tqconsole.engine.amqp_server.inbound import Delivered
from tqconsole.engine.amqp_server.link import Link
from tqconsole.engine.amqp_server.publisher import posting_of
from tqconsole.engine.brokers.amqp.held import OWN_PREFIX
from tqconsole.engine.brokers.amqp.post import Post
from tqconsole.engine.brokers.amqp.reading import Reading
from tqconsole.engine.protocol.letter import LETTERS_SUFFIX
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, QueueSpec

_LIST = QueueSpec(OWN_PREFIX + "lettered", arguments={"x-max-length": 10_000})


class Register:
    """Reads and writes the list over the broker's link."""

    def __init__(self, link: Link, declarer: Declarer, post: Post, reading: Reading) -> None:
        self._link = link
        self._declarer = declarer
        self._post = post
        self._reading = reading
        self._entered: set[str] = set()

    def enter(self, queue_name: str) -> None:
        """Have the name there before its letters' queue is made. Raises: OperationalError."""
        if queue_name in self._entered:
            return
        if find(self._link, queue_name + LETTERS_SUFFIX) is None:
            self._declarer.queue(_LIST)
            message = Message(
                queue_name.encode("utf-8", "surrogateescape"), "text/plain", "utf-8", {},
                {"delivery_mode": 2},
            )  # fmt: skip
            self._post.publish([posting_of(Publication(message, _LIST.name))])
        self._entered.add(queue_name)

    def names(self) -> list[str]:
        """Return the names, in order. To be used in one's turn. Raises: OperationalError."""
        found: set[str] = set()

        def is_stale(delivered: Delivered) -> bool:
            name = delivered.body.decode("utf-8", "surrogateescape")
            if name in found or find(self._link, name + LETTERS_SUFFIX) is None:
                return True
            found.add(name)
            return False

        self._reading.read(_LIST.name, is_stale)
        return sorted(found)

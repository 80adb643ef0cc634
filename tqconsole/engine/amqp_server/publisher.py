"""Publishing in batches: written together, then waited for together until the server has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tqconsole.engine.amqp_server import errors
from tqconsole.engine.amqp_server.content import Content, content_of
from tqconsole.engine.amqp_server.link import PUBLISH, Link
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, ResultWrite

#: Messages in one write: what the server has not confirmed yet stays bounded.
_CHUNK = 500


class Posting(NamedTuple):
    """A message that is ready to be written."""

    content: Content
    exchange: str
    routing_key: str
    #: Whether to hear of it when no queue takes it.
    is_mandatory: bool = True


def posting_of(publication: Publication) -> Posting:
    """Return a publication as it is written. Raises: EncodeError."""
    content = content_of(publication.message)
    return Posting(content, publication.exchange, publication.routing_key)


def result_posting(write: ResultWrite, delivery_mode: int = 1) -> Posting:
    """Return a result record as the message that the caller waits for (wire.md §4.4)."""
    properties = {"correlation_id": write.task_id, "delivery_mode": delivery_mode, "priority": 0}
    encoding = "utf-8" if write.content_type == "application/json" else "binary"
    message = Message(write.record, write.content_type, encoding, {}, properties)
    # Who asked may be gone: then nobody misses it.
    return Posting(content_of(message), "", write.reply_to, is_mandatory=False)


class Publisher:
    """Publishes over one link. Thread-safe."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def publish(self, postings: Sequence[Posting]) -> list[tuple[str, str]]:
        """Put all in place; return the (exchange, routing key) of those that no queue took.

        Raises: OperationalError when the server does not confirm them in time, or refuses one.
        """
        link = self._link
        with link.channel(PUBLISH) as channel:
            channel.returned = []
            for at in range(0, len(postings), _CHUNK):
                with link.gathered():
                    for it in postings[at : at + _CHUNK]:
                        channel.publish(
                            it.content, it.exchange, it.routing_key, is_mandatory=it.is_mandatory
                        )
                # The server works on one chunk while the next is on its way.
                most = _CHUNK if at + _CHUNK < len(postings) else 0
                if link.address.confirms and not link.answered(channel, most):
                    if channel.failure is not None:
                        return []  # the link says why
                    raise link.give_up(self._silence())
            if channel.is_nacked:
                channel.is_nacked = False
                raise OperationalError(
                    f"RabbitMQ at {link.address.server} refused a message: its queue is full, or"
                    " has failed"
                )
            return channel.returned

    def _silence(self) -> OperationalError:
        server = self._link.address.server
        if self._link.is_blocked:
            return errors.blocked(server)
        return OperationalError(f"RabbitMQ at {server} does not confirm what was published")

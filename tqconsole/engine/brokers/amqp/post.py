"""Publishing where nothing may vanish: a queue that is missing is made, and the message sent again.

AMQP drops what no queue takes. So every message asks to come back in that case.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from tqconsole.engine.amqp_server.declaring import NOT_FOUND, Declarer
from tqconsole.engine.amqp_server.errors import ChannelRefusedError
from tqconsole.engine.amqp_server.publisher import Posting, Publisher
from tqconsole.engine.exceptions import ImproperlyConfigured, OperationalError
from tqconsole.engine.protocol.transfer import ExchangeSpec, QueueSpec

logger = logging.getLogger(__name__)


class Post:
    """Publishes over the broker's link. Thread-safe."""

    def __init__(self, publisher: Publisher, declarer: Declarer) -> None:
        self._publisher = publisher
        self._declarer = declarer
        self._untaken: set[tuple[str, str]] = set()
        #: Queues that were published to by name.
        self.queue_names: set[str] = set()

    def publish(self, postings: Sequence[Posting]) -> None:
        """Put all in place, confirmed.

        Raises: OperationalError; ImproperlyConfigured when there is no such exchange.
        """
        try:
            returned = self._publisher.publish(postings)
        except ChannelRefusedError as error:
            if error.code == NOT_FOUND:
                raise ImproperlyConfigured(
                    f"{error}: declare the exchange (task_queues), or start a worker that does"
                ) from error
            raise
        self.queue_names.update(
            it.routing_key for it in postings if it.is_mandatory and not it.exchange
        )
        if returned:
            self._publish_again(postings, Counter(returned))

    def _publish_again(
        self, postings: Sequence[Posting], returned: Counter[tuple[str, str]]
    ) -> None:
        """Make the queues that were missing, and publish what came back because of that."""
        again: list[Posting] = []
        for it in postings:
            address = (it.exchange, it.routing_key)
            if not returned[address]:
                continue
            # The first ones came back, if the queue was made by somebody meanwhile.
            returned[address] -= 1
            if it.exchange:
                self._tell_untaken(address)
            else:
                again.append(it)
        for name in dict.fromkeys(it.routing_key for it in again):
            self._declarer.forget(name)
            self._declarer.queue(QueueSpec(name, ExchangeSpec(name), name))
        if again and self._publisher.publish(again):
            raise OperationalError(f"somebody deletes the queue {again[0].routing_key!r} at once")

    def _tell_untaken(self, address: tuple[str, str]) -> None:
        if address not in self._untaken:
            self._untaken.add(address)
            logger.warning(
                "No queue is bound to exchange %r with key %r: the message went to nobody", *address
            )

"""Looking at all messages of a queue, although AMQP knows no way to look without taking.

Who reads takes them all for a moment, and gives back what it did not settle. So that nobody else
takes that for an empty queue, one reader in a virtual host reads at a time: who may is who has an
exclusive queue, which ends with its connection, whatever becomes of its owner.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tqconsole.engine.amqp_server.declaring import LOCKED, NOT_FOUND, find
from tqconsole.engine.amqp_server.errors import ChannelRefusedError
from tqconsole.engine.amqp_server.inbound import Delivered
from tqconsole.engine.amqp_server.link import ADMIN, Link
from tqconsole.engine.amqp_server.wire import Channel
from tqconsole.engine.brokers.amqp.held import OWN_PREFIX
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import OperationalError

#: The channel on which is read; it lives as long as one reading.
_READING = "reading"
_TURN = OWN_PREFIX + "reading"
#: Seconds to wait for one's turn, between two looks at it, and for a message that was counted.
_TURN_S, _LOOK_S, _PATIENCE_S = 5.0, 0.02, 2.0


class Reading:
    """Reads over the broker's link."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Read alone. Raises: OperationalError when others do not come to an end."""
        with self._link.lock:
            self._await_turn()
            try:
                yield
            finally:
                if self._link.is_open:
                    with self._link.channel(ADMIN) as channel:
                        channel.queue_delete(_TURN)

    def read(self, queue_name: str, look: Callable[[Delivered], bool]) -> None:
        """Show what a queue has now, oldest first; what `look` says True of is gone then, the rest
        goes back. Nothing is shown of a queue that does not exist. To be used in one's turn.
        """
        found = find(self._link, queue_name)
        if not found or not found[0]:
            return
        try:
            with self._link.channel(_READING) as channel:
                channel.basic_consume(queue_name, no_ack=False, nowait=False)
                for _ in range(found[0]):
                    delivered = self._next(channel)
                    if look(delivered):
                        channel.basic_ack(delivered.number)
        except ChannelRefusedError as error:
            if error.code != NOT_FOUND:
                raise
        finally:
            self._link.drop(_READING)

    def _await_turn(self) -> None:
        deadline_mono = self._clock.mono() + _TURN_S
        while not self._is_our_turn():
            if self._clock.mono() > deadline_mono:
                raise OperationalError("somebody else is reading the dead letters: try again")
            self._link.pump(_LOOK_S)

    def _is_our_turn(self) -> bool:
        try:
            with self._link.channel(ADMIN) as channel:
                channel.queue_declare(_TURN, exclusive=True, auto_delete=False)
        except ChannelRefusedError as error:
            if error.code != LOCKED:
                raise
            return False
        return True

    def _next(self, channel: Channel) -> Delivered:
        while not channel.delivered:
            asked_mono = self._clock.mono()
            self._link.pump(_PATIENCE_S)
            # A large one comes in many pieces: only silence means that there is none.
            is_silent = self._clock.mono() - asked_mono >= _PATIENCE_S
            if is_silent and not channel.delivered:
                raise OperationalError("dead letters went away while they were read: try again")
        return channel.delivered.pop(0)

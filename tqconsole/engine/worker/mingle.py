"""Mingle: ask the workers that are up what a starting one must know. Nobody waits for it.

`hello` is sent at the start; the replies are merged as they come, for two seconds (Celery's
workers wait a second for them before they start). This node hears itself too, with nothing to
tell: a second reply under its own name is another worker's, and two of one name may take each
other's commands.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence

from tqconsole.engine.brokers.base import Broker, Subscription
from tqconsole.engine.clock import Clock, LamportClock
from tqconsole.engine.exceptions import EngineError, RefusedError
from tqconsole.engine.protocol.control import Request, decode_reply, encode_request
from tqconsole.engine.protocol.mailboxes import CELERYS, Mailboxes
from tqconsole.engine.protocol.transfer import Publication

logger = logging.getLogger(__name__)

#: Seconds that replies are taken in.
_OPEN_S = 2.0


class Mingle:
    """One question and its answers."""

    def __init__(
        self,
        broker: Broker,
        node: str,
        clock: Clock,
        lamport: LamportClock,
        merge: Callable[[Sequence[str]], None],
        mailboxes: Mailboxes = CELERYS,
    ) -> None:
        self._broker = broker
        self._mailboxes = mailboxes
        self._node = node
        self._clock = clock
        self._lamport = lamport
        self._merge = merge
        self._ticket = str(uuid.uuid4())
        self._subscription: Subscription | None = None
        self._until_mono = 0.0
        self._own_count = 0
        self.met_count = 0

    @property
    def is_open(self) -> bool:
        """True while replies are expected."""
        return self._subscription is not None

    @property
    def has_asked(self) -> bool:
        """True once hello is sent."""
        return self._until_mono > 0

    def ask(self, revoked_ids: Sequence[str]) -> None:
        """Send hello to all. Raises: OperationalError."""
        key = str(uuid.uuid4())
        self._subscription = self._broker.subscribe(self._mailboxes.of_caller(key), [key])
        self._until_mono = self._clock.mono() + _OPEN_S
        request = Request(
            method="hello",
            arguments={"from_node": self._node, "revoked": list(revoked_ids)},
            ticket=self._ticket,
            reply_exchange=self._mailboxes.replies.name,
            reply_key=key,
            expires_at=self._clock.now() + _OPEN_S,
            clock=self._lamport.forward(),
        )
        message = encode_request(request, self._mailboxes.control_serializer)
        commands = self._mailboxes.commands
        self._broker.broadcast(commands, [Publication(message, "", commands.name)])

    def poll(self) -> None:
        """Merge what has come; close when the time is over. Raises: OperationalError."""
        if self._subscription is None:
            return
        for broadcasted in self._subscription.receive(0.0):
            try:
                reply = decode_reply(broadcasted.message, self._mailboxes.accepted_commands)
            except RefusedError:
                continue
            if reply.ticket != self._ticket:
                continue
            if reply.node == self._node:
                self._hear_own_name()
            else:
                self._take(reply.node, reply.value)
        if self._clock.mono() >= self._until_mono:
            self.close()

    def _hear_own_name(self) -> None:
        self._own_count += 1
        if self._own_count == 2:
            logger.warning(
                "Another worker answers as %s: give each one a name of its own with -n", self._node
            )

    def _take(self, node: str, value: object) -> None:
        if not isinstance(value, dict):
            return
        self.met_count += 1
        revoked = value.get("revoked")
        if isinstance(revoked, list | dict):
            self._merge([each for each in revoked if isinstance(each, str)])
        clock = value.get("clock")
        if isinstance(clock, int):
            self._lamport.adjust(clock)
        logger.info("sync with %s complete", node)

    def close(self) -> None:
        """Take no more replies."""
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            try:
                subscription.close()
            except EngineError as error:
                logger.debug("Closing the mingle mailbox: %s", error)

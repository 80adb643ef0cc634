"""Sending one request and collecting its replies, no longer than needed.

Where the broker knows its workers, or how many listen, waiting ends with the last of them; where
it cannot tell (RabbitMQ), the whole timeout is waited, as Celery does, unless the asker says of a
reply that it is enough. Each request gets a reply
address of its own, so any number of threads may ask at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tqconsole.engine.brokers.base import Broker, Subscription
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock, LamportClock
from tqconsole.engine.control.answer import Answers
from tqconsole.engine.control.selection import Selection
from tqconsole.engine.exceptions import NotSupportedError, RefusedError
from tqconsole.engine.protocol.control import Request, decode_reply, encode_request
from tqconsole.engine.protocol.mailboxes import CELERYS, Mailboxes
from tqconsole.engine.protocol.transfer import Publication

#: Called with each reply as it comes: (node, value).
OnReply = Callable[[str, Any], None]
#: Asked of each reply's value: is there no need to wait for further ones?
IsEnough = Callable[[Any], bool]


class _Expectation(msgspec.Struct, frozen=True):
    """When to stop waiting: all `nodes` answered, or `count` did; both None: only the clock."""

    nodes: frozenset[str] | None = None
    count: int | None = None

    def is_met(self, answered: Mapping[str, Any], received_count: int) -> bool:
        if self.count is not None and received_count >= self.count:
            return True
        return self.nodes is not None and answered.keys() >= self.nodes

    @property
    def known_count(self) -> int | None:
        return len(self.nodes) if self.nodes is not None else self.count


class Asker:
    """Sends requests through one broker. Thread-safe."""

    def __init__(
        self, broker: Broker, clock: Clock = SYSTEM_CLOCK, mailboxes: Mailboxes = CELERYS
    ) -> None:
        self._broker = broker
        self._mailboxes = mailboxes
        self._clock = clock
        self._lamport = LamportClock()

    def cast(self, method: str, arguments: Mapping[str, Any], selection: Selection) -> None:
        """Send a request that nobody answers."""
        self._send(method, arguments, selection, ticket=None, reply_key="", expires_at=0.0)

    def ask(
        self,
        method: str,
        arguments: Mapping[str, Any],
        selection: Selection,
        *,
        timeout_s: float = 1.0,
        limit: int | None = None,
        on_reply: OnReply | None = None,
        is_enough: IsEnough | None = None,
    ) -> Answers:
        """Send a request and return the replies; nobody's silence costs more than `timeout_s`.

        Raises: OperationalError when the broker fails.
        """
        started_mono = self._clock.mono()
        ticket, reply_key = str(uuid.uuid4()), str(uuid.uuid4())
        live = self._live_nodes()
        subscription = self._broker.subscribe(self._mailboxes.of_caller(reply_key), [reply_key])
        try:
            listener_count = self._send(
                method,
                arguments,
                selection,
                ticket=ticket,
                reply_key=reply_key,
                expires_at=self._clock.now() + timeout_s,
            )
            expectation = _expectation(selection, live, listener_count, limit)
            collected = _Collected(
                ticket, self._lamport, on_reply, is_enough, self._mailboxes.accepted_commands
            )
            deadline_mono = started_mono + timeout_s
            while not (
                collected.is_enough or expectation.is_met(collected.replies, collected.count)
            ):
                remaining_s = deadline_mono - self._clock.mono()
                if remaining_s <= 0:
                    break
                collected.take(subscription, remaining_s)
        finally:
            subscription.close()
        return Answers(
            collected.replies,
            () if collected.is_enough else selection.unanswered(collected.replies, live or ()),
            self._clock.mono() - started_mono,
            expectation.known_count,
            tuple(sorted(collected.duplicates)),
        )

    def _send(
        self,
        method: str,
        arguments: Mapping[str, Any],
        selection: Selection,
        *,
        ticket: str | None,
        reply_key: str,
        expires_at: float,
    ) -> int | None:
        request = Request(
            method=method,
            arguments=dict(arguments),
            destination=selection.destination,
            pattern=selection.pattern,
            matcher=selection.matcher,
            ticket=ticket,
            reply_exchange=self._mailboxes.replies.name,
            reply_key=reply_key,
            expires_at=expires_at,
            clock=self._lamport.forward(),
        )
        message = encode_request(request, self._mailboxes.control_serializer)
        commands = self._mailboxes.commands
        return self._broker.broadcast(commands, [Publication(message, "", commands.name)])

    def _live_nodes(self) -> frozenset[str] | None:
        """Return the nodes the broker itself knows to live, None when it cannot tell."""
        if not self._broker.capabilities.knows_workers:
            return None
        try:
            return frozenset(worker.worker_name for worker in self._broker.live_workers())
        except NotSupportedError:
            return None


class _Collected:
    """The replies of one ticket, as they come."""

    def __init__(
        self,
        ticket: str,
        lamport: LamportClock,
        on_reply: OnReply | None,
        is_enough: IsEnough | None,
        accept: frozenset[str],
    ) -> None:
        self._ticket = ticket
        self._accept = accept
        self._lamport = lamport
        self._on_reply = on_reply
        self._is_enough = is_enough
        #: No further reply is needed, whoever has not answered yet.
        self.is_enough = False
        self.replies: dict[str, Any] = {}
        self.duplicates: set[str] = set()
        self.count = 0

    def take(self, subscription: Subscription, timeout_s: float) -> None:
        """Receive once; replies to other tickets and junk are let go."""
        for broadcasted in subscription.receive(timeout_s):
            try:
                reply = decode_reply(broadcasted.message, self._accept)
            except RefusedError:
                continue
            if reply.ticket != self._ticket:
                continue
            self._lamport.adjust(reply.clock)
            self.count += 1
            if reply.node in self.replies:
                self.duplicates.add(reply.node)
            self.replies[reply.node] = reply.value
            if self._on_reply is not None:
                self._on_reply(reply.node, reply.value)
            if self._is_enough is not None and self._is_enough(reply.value):
                self.is_enough = True


def _expectation(
    selection: Selection,
    live: frozenset[str] | None,
    listener_count: int | None,
    limit: int | None,
) -> _Expectation:
    """Return when the replies are complete.

    The broker's list of workers counts as complete only when no more than those listen: a foreign
    worker may listen that it does not list (a Celery worker on our kombu transport).
    """
    if listener_count == 0:
        return _Expectation(frozenset(), 0)
    if selection.is_all and limit is None:
        # Every listener answers once, so so many replies are all, whoever the broker lists.
        limit = listener_count
    if live is not None and (listener_count is None or listener_count <= len(live)):
        return _Expectation(frozenset(filter(selection.is_for, live)), limit)
    if selection.destination is not None:
        return _Expectation(frozenset(selection.destination), limit)
    return _Expectation(None, limit)

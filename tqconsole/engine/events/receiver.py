"""Receiving events: `app.events.Receiver` with Celery's methods.

It hands each event to the handler of its type and to `"*"`. It blocks the thread that calls
`capture` or `itercapture` and nothing else; `should_stop` ends it within half a second.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tqconsole.engine.brokers.base import Broker, Subscription
from tqconsole.engine.clock import Clock, LamportClock
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.exceptions import TimeoutError as WaitTimeoutError
from tqconsole.engine.protocol.control import Request, encode_request
from tqconsole.engine.protocol.event import decode_events, utcoffset
from tqconsole.engine.protocol.mailboxes import CELERYS, Mailboxes
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication

Event = dict[str, Any]
EventHandler = Callable[[Event], Any]

#: Seconds after which a waiting receiver looks whether it should stop.
_LOOK_S = 0.5
_SECONDS_PER_HOUR = 3600


class Receiver:
    """Listens to the events of a broker.

    `handlers` maps an event type, or `"*"`, to a callable. `routing_key` is a topic pattern.
    """

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        lamport: LamportClock,
        handlers: Mapping[str, EventHandler] | None = None,
        routing_key: str = "#",
        node_id: str | None = None,
        mailboxes: Mailboxes = CELERYS,
    ) -> None:
        self._broker = broker
        self._mailboxes = mailboxes
        self._clock = clock
        self._lamport = lamport
        self._utcoffset = utcoffset()
        self.handlers: dict[str, EventHandler] = dict(handlers or {})
        self.routing_key = routing_key
        self.node_id = node_id or str(uuid.uuid4())
        self.should_stop = False
        self._subscription: Subscription | None = None

    def process(self, event_type: str, event: Event) -> None:
        """Hand one event to its handler, else to that of `"*"`."""
        handler = self.handlers.get(event_type) or self.handlers.get("*")
        if handler is not None:
            handler(event)

    def capture(
        self,
        limit: int | None = None,
        timeout: float | None = None,
        wakeup: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
    ) -> None:
        """Handle events until `limit` messages came or `should_stop` is set.

        Raises: TimeoutError after `timeout` seconds of silence; OperationalError.
        """
        for _ in self.itercapture(limit, timeout, wakeup):
            pass

    def itercapture(
        self,
        limit: int | None = None,
        timeout: float | None = None,
        wakeup: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
    ) -> Iterator[None]:
        """Handle events as `capture` does, yielding after each message (which may hold a batch)."""
        subscription = self._subscribe()
        try:
            if wakeup:
                self.wakeup_workers()
            count = 0
            heard_mono = self._clock.mono()
            while not self.should_stop and (limit is None or count < limit):
                for broadcasted in subscription.receive(_wait_s(timeout)):
                    heard_mono = self._clock.mono()
                    self._handle(broadcasted.message)
                    count += 1
                    yield
                    if count == limit:
                        return
                if timeout is not None and self._clock.mono() - heard_mono >= timeout:
                    raise WaitTimeoutError(f"no event for {timeout:g} s")
        finally:
            subscription.close()

    def listen(self, until_mono: float) -> None:
        """Handle events until that instant or `should_stop`, on a subscription that stays.

        Raises: OperationalError; the next call subscribes anew.
        """
        if self._subscription is None:
            self._subscription = self._subscribe()
            self.wakeup_workers()
        try:
            while not self.should_stop and (left_s := until_mono - self._clock.mono()) > 0:
                for broadcasted in self._subscription.receive(min(left_s, _LOOK_S)):
                    self._handle(broadcasted.message)
        except OperationalError:
            self.close()
            raise

    def close(self) -> None:
        """Leave, after `listen`."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()

    def wakeup_workers(self) -> None:
        """Ask all workers for a heartbeat now, so that a new listener knows them at once."""
        request = Request(method="heartbeat", arguments={}, clock=self._lamport.forward())
        message = encode_request(request, self._mailboxes.control_serializer)
        commands = self._mailboxes.commands
        self._broker.broadcast(commands, [Publication(message, "", commands.name)])

    def event_from_message(
        self,
        event: Event,
        localize: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
    ) -> tuple[str, Event]:
        """Complete one decoded event: `local_received`, clock, timestamp in the local zone.

        Clients have no clock worth the name, so `task-sent` counts as just before now.
        """
        event_type = str(event.get("type", ""))
        if event_type == "task-sent":
            event["clock"] = self._lamport.value - 1
        else:
            clock = event.get("clock")
            if isinstance(clock, int):
                # Behind those of its batch, whose last was taken note of.
                if clock >= self._lamport.value:
                    self._lamport.adjust(clock)
            else:
                event["clock"] = self._lamport.forward()
        if localize and event.get("utcoffset") != self._utcoffset:
            _localize(event, self._utcoffset)
        event["local_received"] = self._clock.now()
        return event_type, event

    def _subscribe(self) -> Subscription:
        queue = self._mailboxes.of_monitor(self.node_id)
        return self._broker.subscribe(queue, [self.routing_key])

    def _handle(self, message: Message) -> None:
        events = decode_events(message, self._mailboxes.accepted_events)
        if len(events) > 1:
            self._note_clock(events[-1])
        for event in events:
            event_type, complete = self.event_from_message(event)
            self.process(event_type, complete)

    def _note_clock(self, last: Event) -> None:
        """Take note of the last clock of a batch, so that those before it need no lock each."""
        clock = last.get("clock")
        if isinstance(clock, int) and last.get("type") != "task-sent":
            self._lamport.adjust(clock)


def _wait_s(timeout: float | None) -> float:
    return _LOOK_S if timeout is None else min(_LOOK_S, timeout)


def _localize(event: Event, own_utcoffset: float) -> None:
    """Shift the timestamp of an event from another time zone, as Celery does (wire.md §5.2)."""
    theirs, timestamp = event.get("utcoffset"), event.get("timestamp")
    if isinstance(theirs, int | float) and isinstance(timestamp, int | float):
        event["timestamp"] = timestamp - (theirs - own_utcoffset) * _SECONDS_PER_HOUR

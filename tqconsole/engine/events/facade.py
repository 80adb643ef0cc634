"""What `app.events` is: the classes of this package with the app's broker and clocks filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock, LamportClock
from tqconsole.engine.events.dispatcher import Dispatcher as EventDispatcher
from tqconsole.engine.events.receiver import EventHandler
from tqconsole.engine.events.receiver import Receiver as EventReceiver
from tqconsole.engine.events.state import State as ClusterState
from tqconsole.engine.protocol.mailboxes import Mailboxes


class EventsApp(Protocol):
    """What events need of the App."""

    @property
    def broker(self) -> Broker:
        """Where events go."""
        ...

    @property
    def mailboxes(self) -> Mailboxes:
        """How they travel."""
        ...

    @property
    def clock(self) -> LamportClock:
        """The app's logical clock."""
        ...


class Events:
    """Dispatcher, receiver and state of one app. `hostname` is the sender's node name."""

    State = ClusterState

    def __init__(self, app: EventsApp, hostname: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._app = app
        self._hostname = hostname
        self._clock = clock
        self._default: EventDispatcher | None = None
        self._default_broker: Broker | None = None

    def Dispatcher(  # noqa: N802 - Celery's name
        self,
        connection: Any = None,
        hostname: str | None = None,
        enabled: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
    ) -> EventDispatcher:
        """Return a dispatcher on the app's broker, whatever connection Celery's users hand in."""
        return EventDispatcher(
            self._app.broker,
            hostname or self._hostname,
            self._clock,
            self._app.clock,
            is_enabled=enabled,
            mailboxes=self._app.mailboxes,
        )

    def default_dispatcher(self) -> EventDispatcher:
        """Return the dispatcher that senders of this app share."""
        broker = self._app.broker
        if self._default is None or self._default_broker is not broker:
            self._default, self._default_broker = self.Dispatcher(), broker
        return self._default

    def Receiver(  # noqa: N802 - Celery's name
        self,
        connection: Any = None,
        handlers: Mapping[str, EventHandler] | None = None,
        routing_key: str = "#",
        node_id: str | None = None,
    ) -> EventReceiver:
        """Return a receiver on the app's broker, whatever connection Celery's users hand in."""
        return EventReceiver(
            self._app.broker,
            self._clock,
            self._app.clock,
            handlers,
            routing_key,
            node_id,
            self._app.mailboxes,
        )

"""kombu's transport for the embedded store: `sqlite:///abs/queue.db` in a real Celery application.

It drains by looking when somebody rang: the bells of its consumers and feeds are descriptors, which
`drain_events` selects on and Celery's event loop watches. Without bells (`?bell=poll`) it looks
every 50 ms. Used by one thread, except that any may wake it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import sqlite3
import threading
from collections.abc import Mapping
from typing import Any

from kombu.transport import virtual

from tqconsole.engine.embedded import guest
from tqconsole.engine.embedded.guest_message import broadcast_payload
from tqconsole.engine.embedded.hold import BACKSTOP_S, RENEW_INTERVAL_S, Hold
from tqconsole.engine.embedded.kombu_channel import KINDS, StoreChannel
from tqconsole.engine.embedded.location import locate
from tqconsole.engine.embedded.log_queue import LogQueue
from tqconsole.engine.embedded.store import Store, open_store
from tqconsole.engine.exceptions import EngineError, OperationalError
from tqconsole.engine.protocol.transfer import QueueSpec

logger = logging.getLogger(__name__)

#: Seconds between two looks where a bell cannot ring.
POLL_S = 0.05
#: The exchange of the events, unless the transport option `event_exchange` names another.
EVENT_EXCHANGE = "celeryev"
#: What ends the name of the exchanges of commands and of replies.
_PIDBOX = ".pidbox"
#: Transport options that `kombu.Connection` reads itself.
_CONNECTION_OPTIONS = frozenset(
    ("max_retries", "interval_start", "interval_step", "interval_max", "connect_retries_timeout")
)


class Transport(virtual.Transport):
    """A connection to the embedded store.

    Transport options: `sync` and `bell` as in the URL, `event_exchange` when Celery's setting of
    that name is changed.
    """

    Channel = StoreChannel
    can_parse_url = True
    driver_type = "sqlite"
    driver_name = "sqlite3"
    #: There is nothing to poll but what `drain_events` waits for.
    polling_interval = None  # type: ignore[assignment]  # kombu's own is a number
    connection_errors = (*virtual.Transport.connection_errors, OperationalError)  # type: ignore[assignment]  # kombu's has one
    implements = virtual.Transport.implements.extend(
        asynchronous=True,
        exchange_type=frozenset(KINDS),
        heartbeats=False,
    )

    channels: list[StoreChannel]

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)  # type: ignore[no-untyped-call]  # kombu has no types
        transport_options: Mapping[str, Any] = client.transport_options or {}
        self._event_exchange = str(transport_options.get("event_exchange", EVENT_EXCHANGE))
        known = {
            key: value
            for key, value in transport_options.items()
            if key not in _CONNECTION_OPTIONS and key != "event_exchange"
        }
        self._location = locate(client.hostname or "sqlite:", known)
        self.store: Store = open_store(self._location)
        #: The node whose mailbox is bound here: it names the consumers of a Celery worker.
        self.node_name = ""
        #: Declared auto-delete queues whose first binding or use will tell what they are.
        self.transient: dict[str, QueueSpec] = {}
        self.log_queues: dict[str, LogQueue] = {}
        self._pid = os.getpid()
        self._waker = _Waker()
        self._renewer: _Renewer | None = None
        self._reaped_mono = 0.0
        self._loop: Any = None
        self._loop_timer: Any = None

    # -- what kombu asks

    def establish_connection(self) -> Transport:
        """Make the file, or check that it is ours.

        Raises: OperationalError (kombu tries again); ImproperlyConfigured.
        """
        self.store.connect()
        super().establish_connection()  # type: ignore[no-untyped-call]  # kombu has no types
        return self

    def close_connection(self, connection: Any) -> None:
        """Return what is not acknowledged and leave."""
        self._forget_parent()
        self._leave_loop()
        if self._renewer is not None:
            self._renewer.stop()
            self._renewer = None
        try:
            super().close_connection(connection)  # type: ignore[no-untyped-call]  # kombu has no types
        finally:
            for name in list(self.log_queues):
                self.close_log_queue(name)
            self.transient.clear()
            self._waker.close()

    def drain_events(self, connection: Any, *, timeout: float | None = None) -> None:  # type: ignore[override]
        """Deliver one message; wait at most `timeout` seconds for it, None: for ever.

        Raises: TimeoutError, which is `socket.timeout`.
        """
        clock = self.store.clock
        until_mono = None if timeout is None else clock.mono() + timeout
        while not self._deliver_next():
            left_s = BACKSTOP_S if until_mono is None else until_mono - clock.mono()
            if left_s <= 0:
                raise TimeoutError
            self._wait(min(left_s, BACKSTOP_S))

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let kombu's hub watch the bells; each of its turns delivers one message."""
        self._leave_loop()
        self._loop = loop
        # Open before anybody may ring.
        self._waker.fileno()
        loop.on_tick.add(self._on_tick)
        has_bells = self._location.bell_kind != "poll"
        # An empty turn: it only keeps the hub from sleeping longer than we may.
        self._loop_timer = loop.call_repeatedly(BACKSTOP_S if has_bells else POLL_S, _nothing)

    def unregister_from_event_loop(self, connection: Any, loop: Any) -> None:
        """Take the bells out of the hub again."""
        self._leave_loop()

    def driver_version(self) -> str:
        """Return SQLite's version."""
        return sqlite3.sqlite_version

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:  # noqa: FBT001, FBT002 - kombu's signature
        """Return the URL; there is no password in it."""
        return self._location.url

    # -- what channels ask

    @property
    def exchanges(self) -> dict[str, dict[str, Any]]:
        """The exchanges that were declared on this connection: name -> type and the like."""
        return self.state.exchanges or {}

    def is_logged(self, exchange: str) -> bool:
        """Return whether an exchange is served from the event log: commands, replies, events."""
        return exchange.endswith(_PIDBOX) or exchange == self._event_exchange

    def log_queue(self, name: str) -> LogQueue:
        """Return the log queue of that name, made when there is none."""
        queue = self.log_queues.get(name)
        if queue is None:
            queue = self.log_queues[name] = LogQueue(self.store, name, self.forget)
            self._note_node(name)
        return queue

    def close_log_queue(self, name: str) -> None:
        """End a log queue."""
        queue = self.log_queues.pop(name, None)
        if queue is not None:
            queue.close()

    def on_first_hold(self) -> None:
        """Take care of leases from now on, and of what dead consumers have left."""
        if self._renewer is None:
            self._renewer = _Renewer(self._holds)
        # Open before anybody may ring.
        self._waker.fileno()
        self._reaped_mono = self.store.clock.mono()
        self._reap()

    def wake(self) -> None:
        """Make whoever waits look again. Thread-safe."""
        self._waker.ring()

    def forget(self, fileno: int | None) -> None:
        """Let the hub watch a descriptor no longer: its number may soon be another's."""
        if self._loop is not None and fileno is not None:
            entry = self._loop.readers.get(fileno)
            if entry is not None and entry[0] == _nothing:
                self._loop.remove_reader(fileno)

    # -- beneath

    def _note_node(self, queue_name: str) -> None:
        """Celery's worker binds `<node>.celery.pidbox`, a caller `<oid>.reply.celery.pidbox`."""
        node, _, rest = queue_name.removesuffix(_PIDBOX).rpartition(".")
        if queue_name.endswith(_PIDBOX) and rest and not node.endswith(".reply"):
            self.node_name = node

    def _deliver_next(self) -> bool:
        """Hand one message to its consumer; commands and events come before tasks."""
        self._mind_forks()
        self._waker.drain()
        self._reap_if_due()
        for name, queue in list(self.log_queues.items()):
            if name in self._callbacks:
                received = queue.take()
                if received is not None:
                    self._deliver(broadcast_payload(*received), name)  # type: ignore[no-untyped-call]  # kombu has no types
                    return True
        for channel in list(self.channels):
            taken = channel.take()
            if taken is not None:
                # Channels take turns.
                self.channels.remove(channel)
                self.channels.append(channel)
                self._deliver(*taken)  # type: ignore[no-untyped-call]  # kombu has no types
                return True
        return False

    def _filenos(self) -> list[int | None]:
        """Return all that may ring, None for what has no bell."""
        filenos: list[int | None] = [self._waker.fileno()]
        for name, queue in self.log_queues.items():
            if name in self._callbacks:
                filenos.extend(queue.filenos())
        filenos.extend(
            channel.hold.fileno()
            for channel in self.channels
            if channel.hold is not None and channel.has_consumers
        )
        return filenos

    def _wait(self, timeout_s: float) -> None:
        filenos = self._filenos()
        if None in filenos:
            timeout_s = min(timeout_s, POLL_S)
        timeout_s = min(timeout_s, self._next_due_s())
        _select([fileno for fileno in filenos if fileno is not None], max(0.0, timeout_s))

    def _next_due_s(self) -> float:
        """Return in how many seconds a parked message is due."""
        due = (
            channel.hold.next_due_at()
            for channel in self.channels
            if channel.hold is not None and channel.qos.can_consume()
        )
        soonest_at = min((at for at in due if at is not None), default=None)
        if soonest_at is None:
            return BACKSTOP_S
        return soonest_at - self.store.clock.now()

    def _on_tick(self) -> None:
        """One turn of the hub, before it waits."""
        if self._deliver_next():
            # The hub has timers and other readers: more in its next turn, which comes at once.
            self._waker.ring()
        for fileno in self._filenos():
            if fileno is not None and fileno not in self._loop.readers:
                self._loop.add_reader(fileno, _nothing)

    def _leave_loop(self) -> None:
        if self._loop is None:
            return
        for fileno in self._filenos():
            self.forget(fileno)
        self._loop.on_tick.discard(self._on_tick)
        self._loop_timer.cancel()
        self._loop = None

    def _holds(self) -> list[Hold]:
        return [channel.hold for channel in list(self.channels) if channel.hold is not None]

    def _reap_if_due(self) -> None:
        now_mono = self.store.clock.mono()
        if self._renewer is not None and now_mono - self._reaped_mono >= RENEW_INTERVAL_S:
            self._reaped_mono = now_mono
            self._reap()

    def _reap(self) -> None:
        returned_count = guest.give_back(self.store, [hold.consumer_id for hold in self._holds()])
        if returned_count:
            logger.info("%d messages of dead consumers are back in their queues", returned_count)

    def _mind_forks(self) -> None:
        """In a forked child: become a connection of its own, with the same consumers."""
        if self._forget_parent():
            for queue in self.log_queues.values():
                queue.reopen()
            for channel in self.channels:
                channel.reopen()

    def _forget_parent(self) -> bool:
        """Let go of what a fork has copied and only the parent may touch; True when it did."""
        if self._pid == os.getpid():
            return False
        self._pid = os.getpid()
        # A closed copy of a socket leaves the parent's open. The hub's poller is shared with it.
        self._waker.close()
        self._renewer = self._loop = None
        return True


class _Waker:
    """A descriptor that becomes readable when any thread rings. Opened by the one who waits."""

    def __init__(self) -> None:
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def fileno(self) -> int:
        if self._ends is None:
            self._ends = socket.socketpair()
            for end in self._ends:
                end.settimeout(0)
        return self._ends[0].fileno()

    def ring(self) -> None:
        # Full: it rings already. Closed meanwhile: nobody waits.
        if self._ends is not None:
            with contextlib.suppress(OSError):
                self._ends[1].send(b"!")

    def drain(self) -> None:
        if self._ends is not None:
            with contextlib.suppress(OSError):
                while self._ends[0].recv(4096):
                    pass

    def close(self) -> None:
        if self._ends is not None:
            for end in self._ends:
                end.close()
            self._ends = None


class _Renewer:
    """A thread that renews leases while the consuming thread runs a task."""

    def __init__(self, holds: Any) -> None:
        self._holds = holds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tqconsole-lease", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()

    def _run(self) -> None:
        while not self._is_over.wait(RENEW_INTERVAL_S):
            for hold in self._holds():
                try:
                    hold.renew()
                except EngineError as error:
                    # The next turn tries again, before the lease ends.
                    logger.warning("a lease could not be renewed: %s", error)


def _select(filenos: list[int], timeout_s: float) -> None:
    """Sleep until one of these is readable."""
    if not hasattr(select, "poll"):
        select.select(filenos, [], [], timeout_s)
        return
    poller = select.poll()
    for fileno in filenos:
        poller.register(fileno, select.POLLIN)
    poller.poll(timeout_s * 1000)


def _nothing() -> None:
    """Do nothing: a ring has woken the hub, and its next turn looks."""

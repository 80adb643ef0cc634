"""One connection to RabbitMQ with a few channels, made on first use. Thread-safe.

Each kind of work has a channel of its own, because the server answers a mistake by closing the
channel on which it was made: a queue that clashes must not take a publish or a consumer with it.
Every wait is bounded. A connection that fails is given up and made anew by the next use.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import weakref
from collections.abc import Iterator
from typing import Any

from amqp.exceptions import AMQPError, ChannelError

from tqconsole import __version__
from tqconsole.engine.alternates import first_answering
from tqconsole.engine.amqp_server import errors
from tqconsole.engine.amqp_server.address import (
    ANSWER_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    HEARTBEAT_S,
    Address,
)
from tqconsole.engine.amqp_server.ear import Ear
from tqconsole.engine.amqp_server.wire import Channel, Connection
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import (
    EngineError,
    ImproperlyConfigured,
    NotAdmittedError,
    OperationalError,
)

#: After this long without use, seconds, it is looked whether the server has hung up.
_IDLE_S = 1.0
#: Seconds for which a server that says it takes no messages is waited for.
_BLOCKED_S = 5.0
#: What may fail on the wire; py-amqp lets some of it through as it comes.
_WIRE_ERRORS = (OSError, AMQPError, struct.error)
#: Channels by the work they do.
PUBLISH, CAST, ADMIN, CONSUME, HELD = "publish", "cast", "admin", "consume", "held"


class Link:
    """A connection. Raises OperationalError or ImproperlyConfigured only.

    `has_heartbeat`: the owner calls `tick` every few seconds; others rely on bounded waits.
    """

    def __init__(
        self, address: Address, clock: Clock = SYSTEM_CLOCK, *, has_heartbeat: bool = False
    ) -> None:
        self.address = address
        self._clock = clock
        self._heartbeat_s = _heartbeat_s(address) if has_heartbeat else 0.0
        self.lock = threading.RLock()
        self._connection: Connection | None = None
        self._channels: dict[str, Channel] = {}
        self._ear = Ear()
        self._pid = 0
        self._used_mono = 0.0
        #: Rises with every connection: what belonged to an earlier one is gone.
        self.epoch = 0
        self.is_blocked = False
        self._patience_s = _BLOCKED_S
        _links.add(self)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection of this process's."""
        return self._connection is not None and self._pid == os.getpid()

    def connect(self) -> None:
        """Make sure of a connection. Raises: BrokerUnreachableError, ImproperlyConfigured."""
        with self.lock:
            self._opened()

    @contextlib.contextmanager
    def channel(self, name: str) -> Iterator[Channel]:
        """Lend a channel, with the connection to oneself; what fails comes out as our error.

        Raises: ChannelRefusedError when the server closed this channel, OperationalError when the
        connection broke; it is given up then.
        """
        with self.lock:
            channel = self._channel(name)
            try:
                yield channel
            except EngineError:
                raise
            except Exception as error:
                # py-amqp trips over what it has cleared away itself when a connection ends.
                if isinstance(error, _WIRE_ERRORS) or channel.connection is None:
                    raise self._failure(name, channel, error) from error
                raise
            if channel.failure is not None:
                raise self._refusal(name, channel.failure)

    def pump(self, timeout_s: float = 0.0) -> None:
        """Take in what has come, waiting at most `timeout_s`. It never connects.

        Raises: OperationalError when there is no connection, or it broke.
        """
        with self.lock:
            connection = self._listening()
            self._ear.hush()
            try:
                connection.pump(timeout_s)
            except _WIRE_ERRORS as error:
                raise self._broken(error) from error

    def answered(self, channel: Channel, most: int = 0) -> bool:
        """Wait until all but `most` of what was published on the channel is confirmed; False when
        it is not.

        A server that is known to take nothing is not waited for a second time.
        """
        connection = self._listening()
        begun_mono = self._clock.mono()
        while channel.unconfirmed_count > most and channel.failure is None:
            longest_s = self._patience_s if self.is_blocked else ANSWER_TIMEOUT_S
            left_s = begun_mono + longest_s - self._clock.mono()
            if left_s <= 0:
                self._patience_s = 0.0 if self.is_blocked else _BLOCKED_S
                return False
            connection.pump(left_s)
        self._patience_s = _BLOCKED_S
        return channel.failure is None

    def gathered(self) -> contextlib.AbstractContextManager[None]:
        """Let what is written meanwhile leave in one write. Used while a channel is lent."""
        gathered: contextlib.AbstractContextManager[None] = self._listening().transport.gathered()
        return gathered

    def tick(self) -> None:
        """Show the server that we live, and look whether it does. Any thread may call it."""
        with self.lock:
            if not self.is_open:
                return
            self.pump()
            try:
                self._listening().heartbeat_tick()
            except _WIRE_ERRORS as error:
                raise self._broken(error) from error
            if any(channel.delivered for channel in self._channels.values()):
                # Nobody else sees that something has come: it is read already.
                self._ear.ring()

    def fileno(self) -> int | None:
        """Return a descriptor for a selector, the same for all connections to come: readable when
        `pump` may bring something, or the connection is gone. None where `Ear.fileno` has none.
        """
        with self.lock:
            return self._ear.fileno(self._connection.sock if self._connection else None)

    def drop(self, name: str) -> None:
        """Close one channel; what was delivered on it goes back to its queues."""
        with self.lock:
            channel = self._channels.pop(name, None)
            if channel is None or not self.is_open:
                return
            try:
                channel.close()
            except _WIRE_ERRORS as error:
                raise self._broken(error) from error

    def close(self) -> None:
        """Hang up; unsettled deliveries go back to their queues. A later use connects again."""
        with self.lock:
            self._ear.close()
            connection, self._connection = self._connection, None
            self._channels = {}
            self.is_blocked = False
            if connection is None:
                return
            if self._pid != os.getpid():
                _let_go(connection)
                return
            with contextlib.suppress(*_WIRE_ERRORS):
                connection.close()
            with contextlib.suppress(*_WIRE_ERRORS):
                connection.collect()

    def forked(self) -> None:
        """Begin anew in a fork's child: the connection is the parent's."""
        self.lock = threading.RLock()
        self._ear = Ear()
        connection, self._connection = self._connection, None
        self._channels = {}
        if connection is not None:
            _let_go(connection)

    # --- inside -------------------------------------------------------------------------------

    def _channel(self, name: str) -> Channel:
        connection = self._opened()
        channel = self._channels.get(name)
        if channel is not None and channel.failure is not None:
            # Closed by the server for something that nobody waited for.
            del self._channels[name]
            channel = None
        if channel is None:
            try:
                channel = connection.channel()
                if name == PUBLISH and self.address.confirms:
                    channel.confirm_select()
            except _WIRE_ERRORS as error:
                raise self._broken(error) from error
            self._channels[name] = channel
        return channel

    def _opened(self) -> Connection:
        connection = self._connection
        if connection is not None:
            now_mono = self._clock.mono()
            is_stale = self._pid != os.getpid()
            if not is_stale and now_mono - self._used_mono > _IDLE_S:
                is_stale = _has_hung_up(connection)
            self._used_mono = now_mono
            if not is_stale:
                return connection
            self._abandon()
        return self._connected()

    def _listening(self) -> Connection:
        if self._connection is None or self._pid != os.getpid():
            raise errors.of_link(ConnectionError("not connected"), self.address.server)
        return self._connection

    def _connected(self) -> Connection:
        """Connect; where there are several servers, to the next that answers."""
        self.address, connection = first_answering(self.address, self._connected_to)
        return connection

    def _connected_to(self, address: Address) -> Connection:
        connection = Connection(
            host=address.server,
            userid=address.username,
            password=address.password,
            login_method=address.options.get("login_method") or "PLAIN",
            virtual_host=address.vhost,
            ssl=_tls_of(address),
            connect_timeout=address.seconds("connect_timeout", CONNECT_TIMEOUT_S),
            heartbeat=self._heartbeat_s,
            client_properties={"product": "tqconsole", "product_version": __version__},
            on_blocked=self._on_blocked,
            on_unblocked=self._on_unblocked,
            socket_settings=_keepalive(),
        )
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_TIMEOUT_S)
        except ValueError as error:
            _let_go(connection)
            raise errors.of_setting(error) from error
        except _WIRE_ERRORS as error:
            _let_go(connection)
            refused = errors.of_connecting(
                error, address.server, address.vhost, is_someone_there=connection.has_met
            )
            if isinstance(refused, ImproperlyConfigured) and address.has_let_in.is_set():
                # A password may be being changed, a virtual host start anew: no worker ends for it.
                refused = NotAdmittedError(str(refused))
            raise refused from error
        address.has_let_in.set()
        self._connection, self._pid = connection, os.getpid()
        self._ear.listen(connection.sock)
        self._used_mono = self._clock.mono()
        self.epoch += 1
        return connection

    def _on_blocked(self, *_: Any) -> None:
        self.is_blocked = True

    def _on_unblocked(self, *_: Any) -> None:
        self.is_blocked = False

    def _failure(self, name: str, channel: Channel, error: BaseException) -> EngineError:
        """Return our error for what went wrong while a channel was lent."""
        if channel.failure is not None and self.is_open:
            return self._refusal(name, channel.failure)
        return self._broken(error)

    def _refusal(self, name: str, failure: ChannelError) -> EngineError:
        self._channels.pop(name, None)
        return errors.of_channel(failure, self.address.server)

    def _broken(self, error: BaseException) -> EngineError:
        was_blocked = self.is_blocked
        self._abandon()
        if was_blocked:
            return errors.blocked(self.address.server)
        return errors.of_link(error, self.address.server)

    def give_up(self, error: OperationalError) -> OperationalError:
        """Give the connection up and return the error: what was written may not be read."""
        self._abandon()
        return error

    def _abandon(self) -> None:
        connection, self._connection = self._connection, None
        self._channels = {}
        self.is_blocked = False
        if connection is None:
            return
        self._ear.listen(None)
        self._ear.ring()
        if self._pid == os.getpid():
            with contextlib.suppress(*_WIRE_ERRORS):
                connection.collect()
        else:
            _let_go(connection)


#: Every link of this process; process-wide because forks are.
_links: weakref.WeakSet[Link] = weakref.WeakSet()


def _forked() -> None:
    for link in list(_links):
        link.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _let_go(connection: Connection) -> None:
    """Close this process's copy of the socket and say nothing: another may be talking there."""
    transport = connection._transport  # noqa: SLF001 - its only door; `transport` would connect
    if transport is not None and transport.sock is not None:
        with contextlib.suppress(OSError):
            transport.sock.close()
        transport.sock = None
        transport.connected = False


def _has_hung_up(connection: Connection) -> bool:
    """Take in what waits on a link that was not used for a while; True when it has ended."""
    try:
        connection.pump()
    except _WIRE_ERRORS:
        return True
    return not connection.connected


def _heartbeat_s(address: Address) -> float:
    return address.seconds("heartbeat", HEARTBEAT_S)


def _tls_of(address: Address) -> dict[str, Any] | bool:
    if address.tls is None:
        return False
    return {"server_hostname": address.host, **address.tls}


def _keepalive() -> dict[int, int]:
    """Return options by which the kernel notices within 15 s that nobody is there any more."""
    wanted = {
        "TCP_NODELAY": 1,
        "TCP_KEEPIDLE": 5,
        "TCP_KEEPINTVL": 3,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": 15_000,
    }
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}

"""py-amqp's connection with other ends: big reads, writes that gather, content left undecoded.

py-amqp reads a message with nine small reads and decodes its header table at once; and a header
that cannot be decoded would break the connection that it came over. Here a read takes all that has
come, several messages leave in one write, and what is delivered stays bytes until `content.py`
looks at it. A channel that the server closes is remembered, not raised in the middle of something
else that the connection does.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import ChannelError, error_for_code
from amqp.method_framing import frame_handler
from amqp.transport import SSLTransport, TCPTransport

from tqconsole.engine.amqp_server.inbound import Coming, Delivered, Inbound
from tqconsole.engine.clock import SYSTEM_CLOCK

#: Bytes read at once; for room for more the kernel would be asked with every read.
_READ_BYTES = 64 * 1024


class _Gathering:
    """What both transports share: one buffer for what comes, one list for what leaves."""

    sock: Any
    connected: bool
    #: Whether a read that is not full has taken all there is.
    _reads_all = True
    #: Whether the other side took the connection, whatever became of it.
    has_met = False
    #: When something came the last time.
    heard_mono = 0.0

    def _begin(self) -> None:
        self.has_met = True
        self.inbound = Inbound()
        self._outbound: list[bytes] | None = None
        #: The last read has taken all there was.
        self.is_drained = False

    def _set_socket_options(self, socket_settings: dict[int, int]) -> None:
        # py-amqp writes all options back as it reads them, which the kernel may refuse.
        for option, value in socket_settings.items():
            self.sock.setsockopt(socket.IPPROTO_TCP, option, value)

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """Write what is written meanwhile in one go; nothing of it when this fails."""
        self._outbound = []
        try:
            yield
            data = b"".join(self._outbound)
        finally:
            self._outbound = None
        if data:
            self.write(data)

    def write(self, data: Any) -> None:
        """Write, or keep it for the one write to come. Raises: OSError."""
        if self._outbound is not None:
            # py-amqp packs every frame into the same buffer.
            self._outbound.append(bytes(data))
            return
        try:
            self.sock.sendall(data)
        except OSError:
            self.connected = False
            raise

    def read_frame(self, unpack: object = None) -> tuple[int, int, bytes]:
        """Return the next frame, waiting as long as the socket does. Raises: OSError."""
        del unpack
        while (frame := self.inbound.next_frame()) is None:
            self._receive()
        return frame

    def fill(self, timeout_s: float) -> bool:
        """Read what has come, waiting at most `timeout_s`; True when there was anything."""
        if not self._is_readable(timeout_s):
            return False
        self._receive()
        return True

    def _receive(self) -> None:
        try:
            data = self.sock.recv(_READ_BYTES)
        except TimeoutError:
            raise
        except OSError:
            self.connected = False
            raise
        if not data:
            self.connected = False
            raise ConnectionResetError("the server hung up")
        self.inbound.add(data)
        self.is_drained = self._reads_all and len(data) < _READ_BYTES
        self.heard_mono = SYSTEM_CLOCK.mono()

    def _is_readable(self, timeout_s: float) -> bool:
        pending = getattr(self.sock, "pending", None)
        if pending is not None and pending():
            return True
        if not hasattr(select, "poll"):
            return bool(select.select([self.sock], [], [], timeout_s)[0])
        # `select` knows no descriptors above 1023.
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(max(0.0, timeout_s) * 1000))


class _PlainTransport(_Gathering, TCPTransport):
    def _setup_transport(self) -> None:
        super()._setup_transport()
        self._begin()


class _TlsTransport(_Gathering, SSLTransport):
    # TLS comes in records.
    _reads_all = False

    def _setup_transport(self) -> None:
        super()._setup_transport()
        self._begin()


class Channel(amqp.Channel):
    """A channel that keeps what comes for it until it is asked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.delivered: list[Delivered] = []
        #: (exchange, routing key) of mandatory messages that nobody got.
        self.returned: list[tuple[str, str]] = []
        #: Why the server closed it.
        self.failure: ChannelError | None = None
        #: Tags of consumers that the server has ended: their queue was deleted.
        self.cancelled: list[str] = []
        self.is_get_empty = False
        self.is_nacked = False
        self._published_count = 0
        self._confirmed_count = 0
        self._confirmed_ahead: set[int] = set()
        super().__init__(*args, **kwargs)

    def publish(
        self, content: amqp.Message, exchange: str, routing_key: str, *, is_mandatory: bool
    ) -> None:
        """Write a publish, and wait for nothing."""
        arguments = (0, exchange, routing_key, is_mandatory, False)
        self.send_method(spec.Basic.Publish, "Bssbb", arguments, content)
        self._published_count += 1

    @property
    def unconfirmed_count(self) -> int:
        """How many of those published the server may still have to say that it has them, or not."""
        return self._published_count - self._confirmed_count

    # --- what the server says -------------------------------------------------------------------

    def _setup_listeners(self) -> None:
        super()._setup_listeners()
        self._callbacks[spec.Basic.GetEmpty] = self._on_get_empty

    def _on_get_empty(self, *_: Any) -> None:
        self.is_get_empty = True

    def _on_basic_ack(self, delivery_tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp's signature
        ahead = self._confirmed_ahead
        if multiple:
            self._confirmed_count = max(self._confirmed_count, delivery_tag)
            self._confirmed_ahead = ahead = {it for it in ahead if it > delivery_tag}
        else:
            ahead.add(delivery_tag)
        while self._confirmed_count + 1 in ahead:
            self._confirmed_count += 1
            ahead.discard(self._confirmed_count)

    def _on_basic_nack(self, delivery_tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp's signature
        self.is_nacked = True
        self._on_basic_ack(delivery_tag, multiple)

    def _on_basic_return(
        self, reply_code: int, reply_text: str, exchange: str, routing_key: str, message: Any
    ) -> None:
        self.returned.append((exchange, routing_key))

    def _on_basic_cancel(self, consumer_tag: str) -> None:
        self.cancelled.append(consumer_tag)

    def _on_close(self, reply_code: int, reply_text: str, class_id: int, method_id: int) -> None:
        self.send_method(spec.Channel.CloseOk)
        self.failure = error_for_code(reply_code, reply_text, (class_id, method_id), ChannelError)
        self.collect()


class Connection(amqp.Connection):
    """A connection with these transports and channels."""

    Channel = Channel

    def __init__(self, **options: Any) -> None:
        #: By channel, messages of which some frames are still to come.
        self._coming: dict[int, Coming] = {}
        super().__init__(frame_handler=self._handler, **options)
        self._first: Any = None

    @property
    def has_met(self) -> bool:
        """Whether somebody took the connection, also when nothing came of it."""
        return self._first is not None and bool(self._first.has_met)

    def Transport(  # type: ignore[override]  # noqa: N802 - py-amqp's name; options by keyword
        self,
        host: str,
        connect_timeout: float,
        ssl: Any = None,
        read_timeout: float | None = None,
        write_timeout: float | None = None,
        **options: Any,
    ) -> Any:
        """Return the transport for this link."""
        options |= {"read_timeout": read_timeout, "write_timeout": write_timeout}
        options |= {"connect_timeout": connect_timeout}
        # py-amqp forgets a transport with which it could not begin.
        self._first = (
            _TlsTransport(host, ssl=ssl, **options) if ssl else _PlainTransport(host, **options)
        )
        return self._first

    def heartbeat_tick(self, rate: int = 2) -> None:
        """Send a heartbeat if it is time to. Raises: ConnectionForced when the server is silent.

        Silence counts from the last word that came, not from when somebody last looked for one:
        whoever calls this may have been held up elsewhere.
        """
        self.last_heartbeat_received = self.transport.heard_mono
        self.prev_recv = self.bytes_recv
        super().heartbeat_tick(rate)

    def pump(self, timeout_s: float = 0.0) -> None:
        """Handle all that has come; wait at most `timeout_s` for the first. Raises: OSError, and
        py-amqp's errors.
        """
        transport = self.transport
        if self._handle_all():
            # It came with an answer that somebody waited for: the wait is over.
            timeout_s = 0.0
        while transport.fill(timeout_s):
            self._handle_all()
            if transport.is_drained:
                return
            timeout_s = 0.0

    def _handle_all(self) -> bool:
        inbound, handle = self.transport.inbound, self.on_inbound_frame
        has_any = False
        while True:
            found = inbound.next_delivery() if not self._coming else None
            if found is not None:
                self._keep(*found)
            elif (frame := inbound.next_frame()) is not None:
                handle(frame)
            else:
                return has_any
            has_any = True

    def _keep(self, channel_id: int, delivered: Delivered) -> None:
        self.bytes_recv += 1
        channel = self.channels.get(channel_id)
        if channel is not None:
            channel.delivered.append(delivered)

    def _handler(self, connection: Connection, callback: Any) -> Any:
        """Return py-amqp's handler of frames, but for messages, which are kept as they came."""
        standard = frame_handler(connection, callback)
        coming: dict[int, Coming] = {}
        self._coming = coming

        def on_frame(frame: tuple[int, int, bytes]) -> bool:
            kind, channel_id, payload = frame
            message = coming.get(channel_id)
            if message is None:
                if not Coming.begins_with(kind, payload):
                    return bool(standard(frame))
                self.bytes_recv += 1
                coming[channel_id] = Coming(payload)
                return False
            self.bytes_recv += 1
            if not message.take(kind, payload):
                return False
            del coming[channel_id]
            self._keep(channel_id, message.delivered)
            return True

        return on_frame

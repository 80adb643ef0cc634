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
from struct import Struct
from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import ChannelError, UnexpectedFrame, error_for_code
from amqp.method_framing import frame_handler
from amqp.transport import SSLTransport, TCPTransport

from tqconsole.engine.clock import SYSTEM_CLOCK

#: Bytes read at once.
_READ_BYTES = 256 * 1024
#: Consumed bytes after which the rest is moved to the front of the buffer.
_COMPACT_BYTES = 1024 * 1024
_FRAME_END = 0xCE
_METHOD, _HEADER, _BODY = 1, 2, 3
#: With the heartbeat; whatever else comes is not AMQP, and may claim to be four gigabytes long.
_KINDS = (_METHOD, _HEADER, _BODY, 8)

_FRAME = Struct(">BHI")
_BODY_SIZE = Struct(">Q")
_NUMBER = Struct(">Q")
_METHOD_ID = Struct(">HH")
_DELIVER, _GET_OK = (_METHOD_ID.pack(*it) for it in (spec.Basic.Deliver, spec.Basic.GetOk))


class Delivered:
    """A message as it came: its address, and its header and body as bytes."""

    __slots__ = (
        "chunks",
        "consumer_tag",
        "exchange",
        "header",
        "is_redelivered",
        "left_bytes",
        "number",
        "routing_key",
    )

    def __init__(self, payload: bytes) -> None:
        at = 4
        self.consumer_tag = ""
        if payload[:4] == _DELIVER:
            self.consumer_tag, at = _short(payload, at)
        self.number: int = _NUMBER.unpack_from(payload, at)[0]
        self.is_redelivered = bool(payload[at + 8])
        self.exchange, at = _short(payload, at + 9)
        self.routing_key, at = _short(payload, at)
        self.header = b""
        self.chunks: list[bytes] = []
        self.left_bytes = -1

    @property
    def body(self) -> bytes:
        """The body as it came."""
        return self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)

    def take(self, kind: int, payload: bytes) -> bool:
        """Take the next frame; True when the message is complete. Raises: UnexpectedFrame."""
        if kind == _HEADER and self.left_bytes < 0:
            self.header = payload
            self.left_bytes = _BODY_SIZE.unpack_from(payload, 4)[0]
        elif kind == _BODY and self.left_bytes > 0:
            self.chunks.append(payload)
            self.left_bytes -= len(payload)
        else:
            raise UnexpectedFrame(f"a frame of kind {kind} in the middle of a message")
        return self.left_bytes <= 0


class _Gathering:
    """What both transports share: one buffer for what comes, one list for what leaves."""

    sock: Any
    connected: bool
    #: Whether the other side took the connection, whatever became of it.
    has_met = False
    #: When something came the last time.
    heard_mono = 0.0

    def _begin(self) -> None:
        self.has_met = True
        self._inbound = bytearray()
        self._at = 0
        self._outbound: list[bytes] | None = None

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
        while (frame := self.next_frame()) is None:
            self._receive()
        return frame

    def next_frame(self) -> tuple[int, int, bytes] | None:
        """Return the next frame that has come whole, None when there is none."""
        inbound, at = self._inbound, self._at
        if len(inbound) - at < 8:
            return None
        kind, channel_id, size = _FRAME.unpack_from(inbound, at)
        end = at + 7 + size
        if len(inbound) <= end:
            if kind not in _KINDS:
                raise UnexpectedFrame(f"{bytes(inbound[at : at + 8])!r} begins no frame")
            return None
        if inbound[end] != _FRAME_END:
            raise UnexpectedFrame(f"a frame ends with {inbound[end]:#04x}, not with 0xce")
        payload = bytes(memoryview(inbound)[at + 7 : end])
        self._at = end + 1
        if self._at == len(inbound):
            self._inbound, self._at = bytearray(), 0
        elif self._at > _COMPACT_BYTES:
            del inbound[: self._at]
            self._at = 0
        return kind, channel_id, payload

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
        self._inbound += data
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
        super().__init__(frame_handler=_frame_handler, **options)
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
            timeout_s = 0.0

    def _handle_all(self) -> bool:
        transport, handle = self.transport, self.on_inbound_frame
        has_any = False
        while (frame := transport.next_frame()) is not None:
            handle(frame)
            has_any = True
        return has_any


def _frame_handler(connection: Connection, callback: Any) -> Any:
    """Return py-amqp's handler of frames, but for deliveries, which are kept as they came."""
    standard = frame_handler(connection, callback)
    coming: dict[int, Delivered] = {}

    def on_frame(frame: tuple[int, int, bytes]) -> bool:
        kind, channel_id, payload = frame
        delivered = coming.get(channel_id)
        if delivered is None:
            if kind != _METHOD or payload[:4] not in (_DELIVER, _GET_OK):
                return bool(standard(frame))
            connection.bytes_recv += 1
            coming[channel_id] = Delivered(payload)
            return False
        connection.bytes_recv += 1
        if not delivered.take(kind, payload):
            return False
        del coming[channel_id]
        channel = connection.channels.get(channel_id)
        if channel is not None:
            channel.delivered.append(delivered)
        return True

    return on_frame


def _short(payload: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + payload[at]
    return payload[at + 1 : end].decode("utf-8", "surrogateescape"), end

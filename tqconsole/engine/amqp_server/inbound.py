"""What came over a connection: a buffer that is read frame by frame, or delivery by delivery.

A delivery is three frames, of which a busy worker gets thirty thousand a second. Those that have
come whole are read in one step each; a message in several pieces, and everything else, goes frame
by frame.
"""

from __future__ import annotations

import functools
import struct
from struct import Struct

import msgspec
from amqp import spec
from amqp.exceptions import UnexpectedFrame

_FRAME_END = 0xCE
METHOD, HEADER, BODY = 1, 2, 3
#: With the heartbeat; whatever else comes is not AMQP, and may claim to be four gigabytes long.
_KINDS = (METHOD, HEADER, BODY, 8)
#: The type of a frame, its channel and the size of what follows; then comes an end mark.
_FRAME = Struct(">BHI")
_FRAME_BYTES = 7
#: An end mark and the frame behind it; the second with what begins a header frame: class, weight
#: and size of the body.
_NEXT_FRAME, _NEXT_HEADER = Struct(">BBHI"), Struct(">BBHI4xQ")
_NEXT_BYTES = 8
_BODY_SIZE = Struct(">Q")
#: What a delivery says of itself behind the consumer's tag: its number, and whether it was given
#: out before.
_NUMBER = Struct(">Q?")
_METHOD_ID = Struct(">HH")
_METHOD_ID_BYTES = 4
_DELIVER, _GET_OK = (_METHOD_ID.pack(*it) for it in (spec.Basic.Deliver, spec.Basic.GetOk))


class Delivered(msgspec.Struct, gc=False):
    """A message as it came: its address, and its header and body as bytes."""

    consumer_tag: str
    number: int
    is_redelivered: bool
    exchange: str
    routing_key: str
    header: bytes = b""
    body: bytes = b""


class Coming:
    """A message of which some frames are still to come."""

    __slots__ = ("_chunks", "_left_bytes", "delivered")

    def __init__(self, payload: bytes) -> None:
        """It begins with the payload of the method that announces it."""
        at = _METHOD_ID_BYTES
        tag = ""
        if payload.startswith(_DELIVER):
            end = at + 1 + payload[at]
            tag, at = _decoded(payload[at + 1 : end]), end
        number, is_redelivered = _NUMBER.unpack_from(payload, at)
        exchange, routing_key = _address_of(payload[at + _NUMBER.size :])
        self.delivered = Delivered(tag, number, is_redelivered, exchange, routing_key)
        self._chunks: list[bytes] = []
        self._left_bytes = -1

    @staticmethod
    def begins_with(kind: int, payload: bytes) -> bool:
        """Whether this frame announces a message."""
        return kind == METHOD and payload[:_METHOD_ID_BYTES] in (_DELIVER, _GET_OK)

    def take(self, kind: int, payload: bytes) -> bool:
        """Take the next frame; True when the message is complete. Raises: UnexpectedFrame."""
        if kind == HEADER and self._left_bytes < 0:
            self.delivered.header = payload
            self._left_bytes = _BODY_SIZE.unpack_from(payload, 4)[0]
        elif kind == BODY and self._left_bytes > 0:
            self._chunks.append(payload)
            self._left_bytes -= len(payload)
        else:
            raise UnexpectedFrame(f"a frame of kind {kind} in the middle of a message")
        if self._left_bytes <= 0:
            self.delivered.body = b"".join(self._chunks)
        return self._left_bytes <= 0


class Inbound:
    """The bytes that have come and were not read yet."""

    __slots__ = ("_at", "_data", "_later", "_missing_bytes")

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        #: What came since, until it completes the frame that is begun.
        self._later: list[bytes] = []
        self._missing_bytes = 0

    def add(self, data: bytes) -> None:
        """Take in what has come."""
        self._later.append(data)
        self._missing_bytes -= len(data)
        if self._missing_bytes <= 0:
            self._data = b"".join((self._data[self._at :], *self._later))
            self._at = 0
            self._later.clear()

    def next_frame(self) -> tuple[int, int, bytes] | None:
        """Return the next frame, (kind, channel, payload); None while it has not come whole.

        Raises: UnexpectedFrame.
        """
        data, at = self._data, self._at
        begun_bytes = len(data) - at
        if begun_bytes <= _FRAME_BYTES:
            self._miss(_FRAME_BYTES + 1 - begun_bytes)
            return None
        kind, channel_id, size = _FRAME.unpack_from(data, at)
        if kind not in _KINDS:
            raise UnexpectedFrame(f"{data[at : at + 8]!r} begins no frame")
        end = at + _FRAME_BYTES + size
        if len(data) <= end:
            self._miss(end + 1 - len(data))
            return None
        if data[end] != _FRAME_END:
            raise UnexpectedFrame(f"a frame ends with {data[end]:#04x}, not with 0xce")
        self._at = end + 1
        return kind, channel_id, data[at + _FRAME_BYTES : end]

    def _miss(self, missing_bytes: int) -> None:
        """So much has to come before there is a frame; it may have come in part."""
        self._missing_bytes = missing_bytes - sum(map(len, self._later))

    def next_delivery(self) -> tuple[int, Delivered] | None:
        """Return (channel, message) when a whole delivery comes next, its body in one piece."""
        data, at = self._data, self._at
        if not data.startswith(_DELIVER, at + _FRAME_BYTES):
            return None
        try:
            kind, channel_id, size = _FRAME.unpack_from(data, at)
            method_end = at + _FRAME_BYTES + size
            end_1, kind_2, channel_2, size_2, body_bytes = _NEXT_HEADER.unpack_from(
                data, method_end
            )
            header_at = method_end + _NEXT_BYTES
            header_end = header_at + size_2
            end_2, kind_3, channel_3, size_3 = _NEXT_FRAME.unpack_from(data, header_end)
            body_at = header_end + _NEXT_BYTES
            body_end = body_at + size_3
            end_3 = data[body_end]
            tag_at = at + _FRAME_BYTES + _METHOD_ID_BYTES
            number_at = tag_at + 1 + data[tag_at]
            number, is_redelivered = _NUMBER.unpack_from(data, number_at)
            exchange, routing_key = _address_of(data[number_at + _NUMBER.size : method_end])
        except (struct.error, IndexError):
            return None
        if (
            not (kind == METHOD and kind_2 == HEADER and kind_3 == BODY)
            or not channel_id == channel_2 == channel_3
            or not end_1 == end_2 == end_3 == _FRAME_END
            or size_3 != body_bytes
        ):
            # What is wrong with it, if it is wrong, is told frame by frame.
            return None
        self._at = body_end + 1
        return channel_id, Delivered(
            _decoded(data[tag_at + 1 : number_at]),
            number,
            is_redelivered,
            exchange,
            routing_key,
            data[header_at:header_end],
            data[body_at:body_end],
        )


@functools.lru_cache(maxsize=256)
def _address_of(written: bytes) -> tuple[str, str]:
    """Return the exchange and the routing key: the same for nearly all that comes."""
    at = 1 + written[0]
    return _decoded(written[1:at]), _decoded(written[at + 1 : at + 1 + written[at]])


@functools.lru_cache(maxsize=256)
def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")

"""However what comes is cut, and whatever it is: the same messages, or the same refusal."""

from __future__ import annotations

import struct

import pytest
from amqp.exceptions import UnexpectedFrame
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.engine.amqp_server.inbound import BODY, HEADER, METHOD, Coming, Delivered, Inbound

Found = list[tuple[int, Delivered] | tuple[int, int, bytes]]
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"


def short(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()


def frame(kind: int, payload: bytes, channel: int = 3, end: int = 0xCE) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes((end,))


def announced(number: int, tag: str = "tq1") -> bytes:
    address = struct.pack(">Q?", number, number % 2) + short("exchange") + short("key")
    return frame(METHOD, struct.pack(">HH", 60, 60) + short(tag) + address)


def header(size: int, properties: bytes = b"\x00\x00") -> bytes:
    return frame(HEADER, struct.pack(">HHQ", 60, 0, size) + properties)


def message(number: int, *pieces: bytes) -> bytes:
    parts = [frame(BODY, it) for it in pieces]
    return announced(number) + header(len(b"".join(pieces))) + b"".join(parts)


def read(inbound: Inbound, coming: list[Coming]) -> Found:
    """Everything that is there, as a connection reads it."""
    found: Found = []
    while True:
        delivery = None if coming else inbound.next_delivery()
        if delivery is not None:
            found.append(delivery)
        elif (it := inbound.next_frame()) is None:
            return found
        elif coming:
            if coming[0].take(it[0], it[2]):
                found.append((it[1], coming.pop().delivered))
        elif Coming.begins_with(it[0], it[2]):
            coming.append(Coming(it[2]))
        else:
            found.append(it)


def read_in_pieces(pieces: list[bytes]) -> Found:
    inbound = Inbound()
    coming: list[Coming] = []
    found: Found = []
    for piece in pieces:
        inbound.add(piece)
        found += read(inbound, coming)
    return found


STREAM = b"".join(
    (message(1, b"one"), HEARTBEAT, message(2, b"tw", b"o"), message(3), message(4, b"\xce" * 9))
)
WANTED = [(1, b"one"), None, (2, b"two"), (3, b""), (4, b"\xce" * 9)]


def bodies(found: Found) -> list[tuple[int, bytes] | None]:
    return [(it[1].number, it[1].body) if len(it) == 2 else None for it in found]


def test_message_is_read_with_its_address() -> None:
    [it] = read_in_pieces([message(7, b"body")])

    properties = struct.pack(">HHQ", 60, 0, 4) + b"\x00\x00"
    assert it == (3, Delivered("tq1", 7, True, "exchange", "key", properties, b"body"))


@pytest.mark.parametrize("cut", range(1, len(STREAM)))
def test_stream_is_read_whole_wherever_it_is_cut(cut: int) -> None:
    found = read_in_pieces([STREAM[:cut], STREAM[cut:]])

    assert bodies(found) == WANTED
    assert found == read_in_pieces([STREAM])


def test_stream_is_read_byte_by_byte() -> None:
    assert bodies(read_in_pieces([STREAM[at : at + 1] for at in range(len(STREAM))])) == WANTED


def test_each_frame_of_a_message_may_be_the_first_to_end_wrong() -> None:
    whole = message(1, b"one")
    ends = [at for at in range(len(whole)) if whole[at] == 0xCE]
    assert len(ends) == 3
    for end in ends:
        with pytest.raises(UnexpectedFrame, match="ends with 0x07"):
            read_in_pieces([whole[:end] + b"\x07" + whole[end + 1 :]])


@pytest.mark.parametrize(
    "frames",
    [
        announced(1) + announced(2),
        announced(1) + frame(BODY, b"x"),
        announced(1) + header(1) + header(1),
        announced(1) + header(1) + HEARTBEAT,
    ],
)
def test_frame_in_the_middle_of_a_message_is_refused(frames: bytes) -> None:
    with pytest.raises(UnexpectedFrame, match="in the middle"):
        read_in_pieces([frames])


def test_what_is_not_amqp_is_refused_before_it_has_come() -> None:
    with pytest.raises(UnexpectedFrame, match="begins no frame"):
        read_in_pieces([b"HTTP/1.1 400 Bad Request"])


@given(st.binary(max_size=200), st.integers(0, len(STREAM) - 1), st.integers(0, 255))
def test_ruined_bytes_are_read_alike_in_one_step_and_frame_by_frame(
    behind: bytes, at: int, byte: int
) -> None:
    """Frame by frame is what happens when no message comes whole."""
    ruined = STREAM[:at] + bytes((byte,)) + STREAM[at + 1 :] + behind

    def said(pieces: list[bytes]) -> object:
        try:
            return read_in_pieces(pieces)
        except (UnexpectedFrame, IndexError, struct.error) as error:
            return type(error)

    assert said([ruined]) == said([ruined[at : at + 1] for at in range(len(ruined))])

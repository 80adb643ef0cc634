"""The bytes of a connection that never blocks: all of them arrive, and no wait is without end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tqconsole.engine.redis_server.wire import Wire


@pytest.fixture
def ends() -> Iterator[tuple[Wire, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Wire(ours, 0.05), theirs


def test_more_than_the_socket_takes_at_once_arrives(ends: tuple[Wire, socket.socket]) -> None:
    wire, theirs = ends
    sent = bytes(range(256)) * 16_384
    received = bytearray()

    def read_all() -> None:
        while len(received) < len(sent):
            received.extend(theirs.recv(65_536))

    reader = threading.Thread(target=read_all)
    reader.start()
    wire.write(sent)
    reader.join(10)

    assert bytes(received) == sent


def test_write_that_nobody_reads_ends(ends: tuple[Wire, socket.socket]) -> None:
    wire, _ = ends

    with pytest.raises(TimeoutError):
        wire.write(b"x" * 16_000_000)


def test_read_brings_what_is_there_then_nothing_then_the_end(
    ends: tuple[Wire, socket.socket],
) -> None:
    wire, theirs = ends
    assert wire.read(0.0) is None
    assert not wire.has_something()

    theirs.sendall(b"said")

    assert wire.has_something()
    assert wire.read(1.0) == b"said"
    assert wire.read(0.01) is None
    theirs.close()
    assert wire.has_something()
    assert wire.read(1.0) == b""

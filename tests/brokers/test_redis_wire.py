"""A look at the socket before the sleep: what it brings, and when it is left out."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator

import pytest

from tqconsole.engine.redis_server.wire import Wire


class CountedSocket(socket.socket):
    """A socket that knows how often it was read."""

    read_count = 0

    def recv(self, *arguments: int) -> bytes:
        self.read_count += 1
        return super().recv(*arguments)


class LateSocket(socket.socket):
    """A socket that has nothing yet at the first look."""

    has_looked = False

    def recv(self, *arguments: int) -> bytes:
        if not self.has_looked:
            self.has_looked = True
            raise BlockingIOError
        return super().recv(*arguments)


@pytest.fixture
def ends() -> Iterator[tuple[CountedSocket, socket.socket]]:
    near, far = socket.socketpair()
    ours = CountedSocket(fileno=near.detach())
    yield ours, far
    ours.close()
    far.close()


def test_a_glance_brings_what_is_there(ends: tuple[CountedSocket, socket.socket]) -> None:
    ours, far = ends
    wire = Wire(ours, 5.0)
    far.sendall(b"+OK\r\n")

    assert wire.glance() == b"+OK\r\n"
    assert ours.read_count == 1


def test_a_glance_tells_the_end(ends: tuple[CountedSocket, socket.socket]) -> None:
    ours, far = ends
    far.close()

    assert Wire(ours, 5.0).glance() == b""


def test_glances_in_vain_are_left_out_ever_more_often(
    ends: tuple[CountedSocket, socket.socket],
) -> None:
    ours, _ = ends
    wire = Wire(ours, 5.0)
    looks = []
    for _ in range(2000):
        before = ours.read_count
        assert wire.glance() is None
        looks.append(ours.read_count > before)

    taken = [number for number, has_looked in enumerate(looks) if has_looked]
    assert taken[:5] == [0, 2, 6, 14, 30]
    assert 256 in {after - before for before, after in itertools.pairwise(taken)}
    assert len(taken) < 20


def test_glances_that_bring_something_are_taken_again(
    ends: tuple[CountedSocket, socket.socket],
) -> None:
    ours, far = ends
    wire = Wire(ours, 5.0)
    for _ in range(30):
        assert wire.glance() is None
    for answer in (b"1", b"2", b"3", b"4", b"5"):
        far.sendall(answer)
        assert wire.glance() == answer
    assert wire.glance() is None
    far.sendall(b"6")

    assert [wire.glance(), wire.glance()] == [None, b"6"]


@pytest.fixture
def tcp_ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    yield ours, far
    ours.close()
    far.close()


def test_expected_bytes_wake_nobody(tcp_ends: tuple[socket.socket, socket.socket]) -> None:
    ours, far = tcp_ends
    wire = Wire(ours, 5.0)
    wire.expect(11)
    assert wire.read(0.01) is None

    far.sendall(b"0123456789")
    assert not wire.has_something()

    wire.expect(11)
    far.sendall(b"news")
    assert wire.read(5.0) == b"0123456789news"


def test_fewer_bytes_than_expected_are_read_in_the_end(
    tcp_ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, far = tcp_ends
    late = LateSocket(fileno=ours.detach())
    wire = Wire(late, 5.0)
    far.sendall(b"few")
    wire.expect(11)

    assert wire.read(0.01) == b"few"
    # Nothing more is expected: every byte wakes again.
    far.sendall(b"1")
    assert wire.read(60.0) == b"1"
    late.close()


def test_what_was_read_is_expected_no_more(
    tcp_ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, far = tcp_ends
    wire = Wire(ours, 5.0)
    far.sendall(b"0123456789")
    wire.expect(11)

    assert wire.read(60.0) == b"0123456789"
    assert wire.read(0.01) is None
    far.sendall(b"1")
    assert wire.has_something()


def test_the_end_wakes_who_expects_more(tcp_ends: tuple[socket.socket, socket.socket]) -> None:
    ours, far = tcp_ends
    wire = Wire(ours, 5.0)
    wire.expect(11)
    far.sendall(b"few")
    far.close()

    assert wire.read(60.0) == b"few"
    assert wire.read(60.0) == b""

"""The proxy: what it does to links, and that it does nothing else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from faults.proxy import Manner, TcpProxy

PATIENCE_S = 5.0


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(link: socket.socket) -> None:
        with link:
            try:
                while data := link.recv(65536):
                    link.sendall(data)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(link,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy(echo: int) -> Iterator[TcpProxy]:
    with TcpProxy(echo) as between:
        yield between


@pytest.fixture
def link(proxy: TcpProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE_S) as opened:
        assert said(opened, b"hello") == b"hello"
        yield opened


def eventually(is_so: Callable[[], bool]) -> bool:
    until_mono = time.monotonic() + PATIENCE_S
    while not is_so() and time.monotonic() < until_mono:
        time.sleep(0.001)
    return is_so()


def said(link: socket.socket, data: bytes) -> bytes:
    link.sendall(data)
    return received(link, len(data))


def received(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := link.recv(65536)):
        data += more
    return data


def test_nothing_overtakes_what_is_late(proxy: TcpProxy, link: socket.socket) -> None:
    proxy.carry(Manner(delay_s=0.2))
    link.sendall(b"first ")
    assert eventually(lambda: bool(proxy._late))
    proxy.carry(Manner())

    link.sendall(b"second")

    assert received(link, 12) == b"first second"


def test_pieces_of_one_byte_are_the_same_bytes(proxy: TcpProxy, link: socket.socket) -> None:
    proxy.carry(Manner(piece_bytes=1))

    assert said(link, bytes(range(256))) == bytes(range(256))


def test_link_ends_in_the_middle(proxy: TcpProxy, link: socket.socket) -> None:
    proxy.carry(Manner(left_bytes=10))

    link.sendall(b"0123456789abcdef")

    assert received(link, 16) in (b"", b"0123456789")


def test_held_link_carries_on(proxy: TcpProxy, link: socket.socket) -> None:
    proxy.hold()
    link.sendall(b"later")
    link.settimeout(0.1)
    with pytest.raises(TimeoutError):
        link.recv(1)

    proxy.release()
    link.settimeout(PATIENCE_S)

    assert received(link, 5) == b"later"


def test_silent_link_stays_open_and_new_ones_work(proxy: TcpProxy, link: socket.socket) -> None:
    proxy.silence()
    link.sendall(b"nobody")
    link.settimeout(0.1)

    with pytest.raises(TimeoutError):
        link.recv(1)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE_S) as new:
        assert said(new, b"hello") == b"hello"


@pytest.mark.parametrize("with_reset", [False, True])
def test_cut_link_is_told(proxy: TcpProxy, link: socket.socket, with_reset: bool) -> None:
    assert proxy.cut(with_reset=with_reset) == 1

    if with_reset:
        with pytest.raises(ConnectionResetError):
            link.recv(1)
    else:
        assert link.recv(1) == b""
    assert proxy.link_count == 0


def test_url_keeps_all_but_the_port() -> None:
    with TcpProxy(1) as proxy:
        port = proxy.port

        assert proxy.url("redis://127.0.0.1:6379/3") == f"redis://127.0.0.1:{port}/3"
        assert proxy.url("amqp://u:p@127.0.0.1:5672//") == f"amqp://u:p@127.0.0.1:{port}//"

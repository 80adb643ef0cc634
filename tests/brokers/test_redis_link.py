"""A connection's answers, however they are cut into pieces on their way."""

from __future__ import annotations

import os
import socket

from tqconsole.engine.redis_server.address import locate
from tqconsole.engine.redis_server.link import Link
from tqconsole.engine.redis_server.wire import Wire


def test_answer_that_is_cut_after_a_large_one_is_read_whole() -> None:
    ours, servers = socket.socketpair()
    link = Link(locate("redis://"))
    link._wire, link._pid = Wire(ours, 5.0), os.getpid()
    large = b"x" * 3_000_000

    # The second answer stops between two of its parts: no byte of it is left to be read.
    pieces = b"$%d\r\n%b\r\n*3\r\n$1\r\na\r\n" % (len(large), large)
    got: list[object] = []
    sent = 0
    servers.setblocking(False)
    while sent < len(pieces):
        try:
            sent += servers.send(pieces[sent:])
        except BlockingIOError:
            got += link.receive(0.0)
    while not got:
        got += link.receive(0.0)
    got += link.receive(0.0)
    servers.send(b"$1\r\nb\r\n:3\r\n")

    got += link.receive(5.0)
    assert got == [large, [b"a", b"b", 3]]
    link.close()
    servers.close()

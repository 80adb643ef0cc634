"""A TCP proxy between a program and a server, which can cut links or let them go silent."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Self


class TcpProxy:
    """Forwards from its own `port`. One thread."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._silent: set[socket.socket] = set()
        self._is_over = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        self.cut()
        self._listener.close()
        self._selector.close()

    def url(self, url: str) -> str:
        """Return an amqp URL with this port."""
        head, _, vhost = url.rpartition("/")
        if head.endswith("/"):
            head, vhost = head[:-1], "/" + vhost
        return f"{head.rpartition(':')[0]}:{self.port}/{vhost}"

    def silence(self) -> None:
        """Let the links that there are say nothing any more, and stay open; new ones work."""
        with self._lock:
            self._silent.update(self._pairs)

    def cut(self) -> int:
        """End all links; return how many there were."""
        with self._lock:
            ends = list(self._pairs)
            for end in ends:
                self._drop(end)
        return len(ends) // 2

    @property
    def link_count(self) -> int:
        with self._lock:
            return (len(self._pairs) - len(self._silent)) // 2

    def _run(self) -> None:
        while not self._is_over:
            for key, _ in self._selector.select(0.02):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket):
                        self._forward(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        target = self._pairs.get(source)
        if target is None:
            return
        if source in self._silent:
            # Unread, so that the kernel says at last that it takes no more.
            self._selector.unregister(source)
            return
        try:
            data = source.recv(65536)
            if data:
                target.sendall(data)
                return
        except OSError:
            pass
        self._drop(source)

    def _drop(self, end: socket.socket) -> None:
        other = self._pairs.pop(end, None)
        if other is None:
            return
        for each in (end, other):
            self._pairs.pop(each, None)
            self._silent.discard(each)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(each)
            each.close()

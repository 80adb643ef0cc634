"""The servers that are measured against: private, on free loopback ports, started when needed."""

from __future__ import annotations

import contextlib
import itertools
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.values import Place
from tests.servers.brokers_up import Server, make_vhosts, rabbitmq_up, redis_up

#: RabbitMQ virtual hosts made at once: each call takes seconds.
_VHOST_COUNT = 20
#: A slow listener is to be measured, not thrown out.
_REDIS_OPTIONS = ("--client-output-buffer-limit", "pubsub 0 0 0")


class Servers:
    """Places to work in, each empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._redis: Server | None = None
        self._rabbitmq: Server | None = None
        self._vhosts: list[str] = []
        self._vhost_count = 0
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def place(self, broker: str) -> Place:
        """Return an empty broker with a result store. Raises: FileNotFoundError without server."""
        folder = self._folder / f"run{next(self._numbers)}"
        (folder / "counts").mkdir(parents=True)
        if broker == "sqlite":
            url = f"sqlite:///{(folder / 'queue.db').as_posix().lstrip('/')}"
            return Place(broker, url, url, folder)
        redis = self._redis_server()
        ask_redis(redis.port, "FLUSHALL")
        if broker == "redis":
            return Place(broker, redis.url, redis.url, folder, redis.pid, redis.port)
        url, pid = self._vhost()
        return Place(broker, url, redis.url, folder, pid, redis.port)

    def _redis_server(self) -> Server:
        if self._redis is None:
            self._redis = self._stack.enter_context(
                redis_up(self._folder / "redis", *_REDIS_OPTIONS)
            )
        return self._redis

    def _vhost(self) -> tuple[str, int]:
        if self._rabbitmq is None:
            self._rabbitmq = self._stack.enter_context(rabbitmq_up(self._folder / "rabbitmq"))
        if not self._vhosts:
            self._vhosts = make_vhosts(self._rabbitmq, self._vhost_count, _VHOST_COUNT)
            self._vhost_count += _VHOST_COUNT
        return self._vhosts.pop(), self._rabbitmq.pid


def ask_redis(port: int, command: str) -> str:
    """Send one inline command and return the reply's text."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(f"{command}\r\nQUIT\r\n".encode())
        parts = []
        while part := link.recv(65536):
            parts.append(part)
    return b"".join(parts).decode(errors="replace")


def redis_command_count(port: int) -> int:
    """Return how many commands clients and scripts have run since the server's start."""
    for line in ask_redis(port, "INFO stats").splitlines():
        if line.startswith("total_commands_processed:"):
            return int(line.partition(":")[2])
    raise ValueError("INFO stats without total_commands_processed")

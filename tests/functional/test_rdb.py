"""A debugger over a socket: at SIGUSR2 in a worker, and where a task asks for one."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable

import pytest
from worker_process import PATIENCE_S, Site, eventually

from tqconsole.engine.contrib import rdb
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.worker import inspecting

pytestmark = pytest.mark.slow


@pytest.fixture
def free_port(monkeypatch: pytest.MonkeyPatch) -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    monkeypatch.setenv("CELERY_RDB_PORT", str(port))
    monkeypatch.setenv(inspecting.SWITCH, "1")
    return port


class Client:
    """Somebody at the other end of the socket."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._told = b""

    def prompted(self) -> str:
        """Return what came before the next prompt."""
        while b"(rdb:" not in self._told:
            part = self._socket.recv(4096)
            assert part, self._told
            self._told += part
        text, _, self._told = self._told.partition(b"(rdb:")
        return text.decode()

    def type(self, line: str) -> None:
        self._socket.sendall(f"{line}\n".encode())

    def close(self) -> None:
        self._socket.close()


def port_in(log: Callable[[], str]) -> int:
    found = eventually(lambda: re.findall(r"waits: telnet 127\.0\.0\.1 (\d+)", log()))
    return int(found[-1])


@pytest.mark.parametrize("of", ["worker", "child"])
def test_usr2_opens_a_debugger_where_asked(site: Site, free_port: int, of: str) -> None:
    worker = site.worker(pool="prefork")
    assert site.call("add", 1, 1).get(timeout=PATIENCE_S) == 2
    (child,) = site.ask("stats")["pool"]["processes"]
    pid = worker.process.pid if of == "worker" else child

    os.kill(pid, signal.SIGUSR2)
    client = Client(port_in(lambda: worker.log))
    client.prompted()
    client.type("p 'pid', __import__('os').getpid()")
    assert str(pid) in client.prompted()
    client.type("quit")

    assert worker.says("Remote debugger: left")
    assert site.call("add", 2, 2).get(timeout=PATIENCE_S) == 4
    client.close()


def test_a_task_stops_where_it_says(site: Site, free_port: int) -> None:
    worker = site.worker(pool="prefork", include=["functional_extra"])
    result = site.call("halt", 41)

    client = Client(port_in(lambda: worker.log))
    assert "return number + 1" in client.prompted()
    client.type("number = 100")
    client.prompted()
    client.type("c")

    assert result.get(timeout=PATIENCE_S) == 101
    client.close()


def test_a_port_that_is_none_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match="CELERY_RDB_PORT is a number, not 'high'"):
        rdb.Rdb({"CELERY_RDB_PORT": "high"})


def test_without_the_switch_the_signal_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGUSR2)

    inspecting.listen_to_usr2({})

    assert signal.getsignal(signal.SIGUSR2) is before

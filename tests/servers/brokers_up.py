"""Private servers for tests: a redis-server or rabbitmq-server on a free loopback port.

Nothing is shared with a server that runs already: each has its folder, its ports and (RabbitMQ) its
own port mapper, node name and cookie, so that several can run side by side, also as root. They are
stopped by the pids that were started here. A missing program is an error, never a skip: whoever
asks for a server test wants the server.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import amqp

#: Seconds until a server must answer; RabbitMQ needs five alone and more beside other tests.
REDIS_START_S, RABBITMQ_START_S, STOP_S = 10.0, 90.0, 10.0
#: Below those that Linux and macOS hand out themselves; how many of them a process takes at most
#: before it comes to its neighbour's.
_PORTS, _PORTS_EACH = range(20_000, 32_768), 61
_asked = itertools.count()
_PING, _PONG = b"PING\r\n", b"+PONG"
#: Debian's wrapper on the PATH changes to another user; the program itself does not.
_RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    port: int
    pid: int
    folder: Path
    #: RabbitMQ's own, by which its command line finds it.
    environ: dict[str, str] = field(default_factory=dict)


def free_port() -> int:
    """Return a loopback port that nobody listens on, nor is given before it is used.

    A port of the system's own choice would be free again until the server binds it, seconds later:
    any connection that is made meanwhile may get it as its near end.
    """
    while True:
        # Each process goes through ports of its own: another one looks for some at the same time.
        port = _PORTS[(os.getpid() * _PORTS_EACH + next(_asked)) % len(_PORTS)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Daemon:
    """A server that can be stopped and started anew, on its port and its files."""

    def __init__(
        self, url: str, port: int, folder: Path, command: list[str], environ: dict[str, str]
    ) -> None:
        self.url = url
        self.port = port
        self.folder = folder
        self._command = command
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> Server:
        """The running server. Raises: RuntimeError when it is stopped."""
        if self._process is None:
            raise RuntimeError(f"{self.url} is stopped")
        return Server(self.url, self.port, self._process.pid, self.folder, self._environ)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = Path(self._command[0]).stem
        self._process = _started(self._command, self.folder / f"{program}.log", self._environ)
        if self.url.startswith("redis"):
            _until(lambda: _answers(self.port, _PING, _PONG), self._process, REDIS_START_S)
        else:
            _until(lambda: _speaks_amqp(self.port), self._process, RABBITMQ_START_S)

    def stop(self, kind: signal.Signals = signal.SIGKILL) -> None:
        """Send its group a signal and wait for its end; it may be stopped already."""
        if self._process is not None:
            _stop(self._process, kind, signal.SIGKILL)
            self._process = None


@contextlib.contextmanager
def redis_daemon(folder: Path, *options: str) -> Iterator[Daemon]:
    """Run a redis-server without persistence; `options` are its command line's."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(folder), *options]
    daemon = Daemon(f"redis://127.0.0.1:{port}/0", port, folder, command, dict(os.environ))
    with _started_daemon(daemon):
        yield daemon


@contextlib.contextmanager
def rabbitmq_daemon(folder: Path) -> Iterator[Daemon]:
    """Run a rabbitmq-server with its own epmd; user guest, virtual host `/`."""
    port, epmd_port = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    environ = _rabbitmq_environ(folder, port, epmd_port)
    epmd = [_program("epmd"), "-port", str(epmd_port), "-address", "127.0.0.1"]
    server = _RABBITMQ if Path(_RABBITMQ).exists() else _program("rabbitmq-server")
    url = f"amqp://guest:guest@127.0.0.1:{port}//"
    with _running(epmd, folder / "epmd.log", environ) as mapper:
        _until(lambda: _answers(epmd_port, b"\x00\x01n", b""), mapper, REDIS_START_S)
        daemon = Daemon(url, port, folder, [server], environ)
        with _started_daemon(daemon):
            yield daemon


@contextlib.contextmanager
def redis_up(folder: Path, *options: str) -> Iterator[Server]:
    """Run a redis-server that is to stay as it is."""
    with redis_daemon(folder, *options) as daemon:
        yield daemon.server


@contextlib.contextmanager
def rabbitmq_up(folder: Path) -> Iterator[Server]:
    """Run a rabbitmq-server that is to stay as it is."""
    with rabbitmq_daemon(folder) as daemon:
        yield daemon.server


@contextlib.contextmanager
def rabbitmq_that_restarts(folder: Path) -> Iterator[tuple[Server, Callable[[], None]]]:
    """Run a rabbitmq-server as above, with a call that kills it and starts it anew."""
    with rabbitmq_daemon(folder) as daemon:

        def restart() -> None:
            daemon.stop()
            daemon.start()

        yield daemon.server, restart


def rabbitmqctl(server: Server, *command: str) -> str:
    """Run the server's own command line, and return what it says."""
    done = subprocess.run(
        [str(Path(_RABBITMQ).with_name("rabbitmqctl")), "-q", *command],
        env=server.environ,
        capture_output=True,
        text=True,
        timeout=RABBITMQ_START_S,
        check=True,
    )
    return done.stdout


def make_vhosts(server: Server, first: int, count: int) -> list[str]:
    """Make virtual hosts `t<number>` in one call, since each call takes seconds; return URLs."""
    rabbitmqctl(
        server,
        "eval",
        "lists:foreach(fun(I) -> V = list_to_binary([$t | integer_to_list(I)]),"
        " rabbit_vhost:add(V, <<>>), rabbit_auth_backend_internal:set_permissions("
        '<<"guest">>, V, <<".*">>, <<".*">>, <<".*">>, <<>>) end,'
        f" lists:seq({first}, {first + count - 1})).",
    )
    return [f"{server.url[:-1]}t{number}" for number in range(first, first + count)]


def _rabbitmq_environ(folder: Path, port: int, epmd_port: int) -> dict[str, str]:
    config = folder / "rabbitmq.conf"
    config.write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\nvm_memory_high_watermark.relative = 0.9\n"
    )
    plugins = folder / "enabled_plugins"
    plugins.write_text("[].\n")
    return {
        **os.environ,
        # Its Erlang cookie is written to HOME.
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"tq{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        # Idle schedulers must not spin: tests share few cores.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
    }


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed, this test needs it")
    return found


@contextlib.contextmanager
def _started_daemon(daemon: Daemon) -> Iterator[None]:
    try:
        daemon.start()
        yield
    finally:
        daemon.stop(signal.SIGTERM)


@contextlib.contextmanager
def _running(
    command: list[str], log: Path, environ: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own, which ends with the block."""
    process = _started(command, log, environ)
    try:
        yield process
    finally:
        _stop(process, signal.SIGTERM, signal.SIGKILL)


def _started(command: list[str], log: Path, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=output, env=environ, start_new_session=True
        )


def _stop(process: subprocess.Popen[bytes], *kinds: signal.Signals) -> None:
    # The group was made by us and holds only what this server started (beam, its helpers).
    for kind in kinds:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    process.wait()


def _until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], limit_s: float) -> None:
    end_mono = time.monotonic() + limit_s
    while not is_ready():
        if time.monotonic() > end_mono:
            raise TimeoutError(f"{process.args!r} did not answer within {limit_s} s")
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(0.05)
            raise RuntimeError(f"{process.args!r} ended with {code} before it answered")


def _answers(port: int, question: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
            link.sendall(question)
            return link.recv(64).startswith(answer)
    except OSError:
        return False


def _speaks_amqp(port: int) -> bool:
    try:
        with amqp.Connection(f"127.0.0.1:{port}", connect_timeout=2) as link:
            link.connect()
            return True
    except (OSError, amqp.exceptions.AMQPError):
        return False

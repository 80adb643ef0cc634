"""Private servers for tests: a redis-server or rabbitmq-server on a free loopback port.

Nothing is shared with a server that runs already: each has its folder, its ports and (RabbitMQ) its
own port mapper, node name and cookie, so that several can run side by side, also as root. They are
stopped by the pids that were started here. A missing program is an error, never a skip: whoever
asks for a server test wants the server.
"""

from __future__ import annotations

import contextlib
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
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def redis_up(folder: Path, *options: str) -> Iterator[Server]:
    """Run a redis-server without persistence; `options` are its command line's."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(folder), *options]
    with _running(command, folder / "redis.log", dict(os.environ)) as process:
        _until(lambda: _answers(port, b"PING\r\n", b"+PONG"), process, REDIS_START_S)
        yield Server(f"redis://127.0.0.1:{port}/0", port, process.pid, folder)


@contextlib.contextmanager
def rabbitmq_up(folder: Path) -> Iterator[Server]:
    """Run a rabbitmq-server with its own epmd; user guest, virtual host `/`."""
    port, epmd_port = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    environ = _rabbitmq_environ(folder, port, epmd_port)
    epmd = [_program("epmd"), "-port", str(epmd_port), "-address", "127.0.0.1"]
    server = _RABBITMQ if Path(_RABBITMQ).exists() else _program("rabbitmq-server")
    with (
        _running(epmd, folder / "epmd.log", environ) as mapper,
        _running([server], folder / "rabbitmq.log", environ) as process,
    ):
        _until(lambda: _answers(epmd_port, b"\x00\x01n", b""), mapper, REDIS_START_S)
        _until(lambda: _speaks_amqp(port), process, RABBITMQ_START_S)
        url = f"amqp://guest:guest@127.0.0.1:{port}//"
        yield Server(url, port, process.pid, folder, environ)


@contextlib.contextmanager
def rabbitmq_that_restarts(folder: Path) -> Iterator[tuple[Server, Callable[[], None]]]:
    """Run a rabbitmq-server as above, with a call that kills it and starts it anew."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(rabbitmq_up(folder))
        program = _RABBITMQ if Path(_RABBITMQ).exists() else _program("rabbitmq-server")
        pids = [server.pid]

        def restart() -> None:
            os.killpg(pids.pop(), signal.SIGKILL)
            process = stack.enter_context(
                _running([program], folder / "rabbitmq.log", server.environ)
            )
            _until(lambda: _speaks_amqp(server.port), process, RABBITMQ_START_S)
            pids.append(process.pid)

        yield server, restart


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
def _running(
    command: list[str], log: Path, environ: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own, which ends with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environ, start_new_session=True
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    # The group was made by us and holds only what this server started (beam, its helpers).
    for kind in (signal.SIGTERM, signal.SIGKILL):
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

"""A read-only console sends nothing but questions: shown by what Redis itself saw of it.

The console comes in by the server's unix socket, everybody else by TCP, so that `MONITOR` tells
whose command each one was.
"""

from __future__ import annotations

import base64
import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers.brokers_up import Server, redis_up
from tests.terminal.pty_console import DRAWN_S, PtyConsole
from tqconsole.core.keymap import KEYMAP
from tqconsole.engine.app import App
from tqconsole.engine.protocol.task import TaskCall, encode_task
from tqconsole.engine.protocol.transfer import Publication

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(240)]

SCREENS = ("dashboard", "tasks", "workers", "queues", "types", "beat", "flows", "events", "audit")
EXAMPLES = Path(__file__).parents[2] / "examples"
#: What changes nothing.
READS = {
    *("HELLO", "CLIENT", "PING", "INFO", "SELECT", "TIME", "SCRIPT", "MULTI", "EXEC"),
    *("GET", "MGET", "EXISTS", "TYPE", "TTL", "KEYS", "SCAN", "LLEN", "LRANGE", "LINDEX"),
    *("HGET", "HMGET", "HGETALL", "HLEN", "SMEMBERS", "ZCARD", "ZRANGE", "ZSCORE", "PUBSUB"),
    *("ZCOUNT", "ZRANGEBYSCORE", "HSCAN", "SISMEMBER", "SUBSCRIBE", "UNSUBSCRIBE"),
    # The events: nothing of a subscription outlives it.
    *("PSUBSCRIBE", "PUNSUBSCRIBE"),
}
#: The mailbox of one question: bound, emptied and taken away again by whoever asks.
MAILBOX = {"EVALSHA", "EVAL", "RPOP", "BRPOP", "DEL", "SREM", "ZREM"}
MAILBOX_KEYS = (".reply.celery.pidbox", "_kombu.binding.reply.celery.pidbox", "tq.replies")
#: What workers are asked; none of it changes one.
QUESTIONS = {
    *("active", "reserved", "scheduled", "stats", "active_queues", "registered", "ping"),
    *("conf", "report", "clock", "revoked", "query_task", "memsample"),
}
#: Scripts that only look: who holds a lease, how much is in hand. Their first word says which.
LOOKS = ("tq.consumers", "tq.hands")


class Monitor:
    """Everything the server is told, as it writes it down."""

    def __init__(self, server: Server) -> None:
        self._link = socket.create_connection(("127.0.0.1", server.port))
        self._link.sendall(b"MONITOR\r\n")
        self._link.settimeout(0.2)
        self._seen = b""

    def close(self) -> None:
        self._link.close()

    def commands(self, until: str) -> list[list[str]]:
        """Return the console's commands, its words unquoted, up to the one that has `until`."""
        deadline = time.monotonic() + DRAWN_S
        while until.encode() not in self._seen:
            assert time.monotonic() < deadline
            try:
                self._seen += self._link.recv(65536)
            except TimeoutError:
                continue
        lines = self._seen.decode("utf-8", "replace").splitlines()
        return [_words(line) for line in lines if "[0 unix:" in line]


def _words(line: str) -> list[str]:
    return shlex.split(line.split("] ", 1)[1])


@contextmanager
def worker_on(server: Server, folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tqconsole", "-A", "proj", "-b", server.url]
    with (folder / "worker.log").open("w") as log:
        worker = subprocess.Popen(
            [*command, "worker", "-n", "w1", "-P", "solo"], cwd=EXAMPLES, stderr=log, stdout=log
        )
        try:
            yield
        finally:
            worker.terminate()
            worker.wait(30)


def keys_to_press() -> Iterator[bytes]:
    """Yield every key that changes a cluster, on its main screen, and what would confirm it."""
    for number, name in enumerate(SCREENS, 1):
        yield str(number).encode()
        for entry in KEYMAP:
            if entry.does_change and entry.screen == name:
                # Cancel, then the button beside it; a call is sent by ctrl+s.
                yield from (entry.keys[0].encode(), b"\x1b[C", b"\r", b"\x13", b"\x1b", b"\x1b")
    yield from (b"N", b"proj.tasks.add", b"\r", b"\x13", b"\x1b", b"\x1b")


def test_a_read_only_console_only_asks(tmp_path: Path) -> None:
    commands, depth = told_to_redis(tmp_path, "")

    assert depth == 1
    assert len(commands) > 50
    assert [words for words in commands if not is_allowed(words)] == []
    assert questions(commands) <= QUESTIONS


def test_the_same_keys_change_a_cluster_that_may_be_changed(tmp_path: Path) -> None:
    commands, _ = told_to_redis(tmp_path, "read_only = false")

    assert [words for words in commands if not is_allowed(words)] != []
    assert questions(commands) - QUESTIONS != set()


def told_to_redis(tmp_path: Path, more: str) -> tuple[list[list[str]], int | None]:
    """Press every key that changes something; returns what Redis was told, and what still waits."""
    config = tmp_path / "config" / "tqconsole"
    config.mkdir(parents=True)
    place = tmp_path / "redis.sock"
    (config / "contexts.toml").write_text(
        f'[contexts.shop-prod]\nbroker = "redis+socket://{place}"\n{more}\n'
    )
    with (
        redis_up(tmp_path, "--unixsocket", str(place)) as server,
        worker_on(server, tmp_path),
        App("test", broker=server.url, set_as_current=False) as app,
        closing(Monitor(server)) as monitor,
    ):
        call = TaskCall(task_id="t1", task_name="proj.tasks.add", args=[1, 2], kwargs={})
        app.broker.publish([Publication(encode_task(call), routing_key="nobody")])
        command = ["-m", "tqconsole", "--context", "shop-prod"]
        with closing(PtyConsole(command, {"XDG_CONFIG_HOME": str(config.parent)})) as console:
            press_every_key(console, app)
        app.broker.publish([Publication(encode_task(call), routing_key="end-of-test")])
        return monitor.commands(until="end-of-test"), app.broker.depth("nobody").ready_count


def press_every_key(console: PtyConsole, app: App) -> None:
    """Press them where there is something to act upon: a worker, and tasks."""
    console.until(b"shop-prod")
    console.write(b"3")
    console.until(b"w1@")
    console.write(b"2")
    # A worker tells of its tasks from when it has found out that somebody listens.
    while b"proj.tasks.add" not in console.written:
        app.send_task("proj.tasks.add", (1, 2))
        console.rest(0.3)
    for key in keys_to_press():
        console.write(key)
        console.rest()
    console.process.terminate()
    console.ended()


def questions(commands: list[list[str]]) -> set[str]:
    """Return what workers were asked; there is always something."""
    asked = {question(words) for words in commands if words[0] == "PUBLISH"}
    assert asked
    return asked


def is_allowed(words: list[str]) -> bool:
    command = words[0].upper()
    if command in READS:
        return True
    if command == "PUBLISH":
        return words[1].endswith("celery.pidbox")
    keys = words[1:]
    is_of_mailbox = any(word.endswith(MAILBOX_KEYS) for word in keys)
    is_look = command.startswith("EVAL") and any(word in LOOKS for word in keys)
    return command in MAILBOX and (is_of_mailbox or is_look)


def question(words: list[str]) -> Any:
    body = base64.b64decode(json.loads(words[2])["body"])
    return json.loads(body)["method"]

"""A cluster for the command line: the memory broker, nodes that answer, an app that remembers."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.brokers.resolution import Resolved
from tqconsole.engine.control.client import Control
from tqconsole.engine.control.mailbox import Mailbox
from tqconsole.engine.protocol.mailboxes import CELERYS
from tqconsole.engine.protocol.transfer import QueueSpec

PONG = {"ok": "pong"}
ACTIVE = [{"id": "id-1", "name": "proj.tasks.slow", "args": "[]", "kwargs": "{}"}]
STATS = {
    "pid": 77,
    "pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 2},
    "total": {"proj.tasks.add": 5},
}
REPLIES: dict[str, Any] = {
    "ping": PONG,
    "active": ACTIVE,
    "reserved": [],
    "stats": STATS,
    "registered": ["proj.tasks.add [rate_limit=10/m]", "proj.tasks.slow"],
    "pool_grow": {"ok": "pool will grow"},
    "shutdown": {"ok": "shutting down"},
    "rate_limit": {"error": "unknown task"},
}


@dataclass(frozen=True)
class Done:
    """What one run of the command line left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class StubNode:
    """Answers with canned values in a thread, and remembers what it was asked."""

    def __init__(self, broker: Broker, name: str, replies: Mapping[str, Any]) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._replies = replies
        self._mailbox = Mailbox(broker, name)
        self._consumer = broker.consumer([QueueSpec("celery")], name)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._is_over.is_set():
            for request in self._mailbox.poll(0.02):
                self.requests.append((request.method, request.arguments))
                self._mailbox.answer(request, self._replies.get(request.method))

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(5)
        self._mailbox.close()
        self._consumer.close()


class StubTask:
    typing = True

    def check_arguments(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        if len(args) + len(kwargs) != 2:
            raise TypeError("proj.tasks.add() missing a required argument: 'y'")

    def sent_options(self) -> dict[str, Any]:
        return {"ignore_result": False}


class StubResult:
    """A result that is there already, or never."""

    def __init__(self, backend: Any, state: str, value: Any = None, trace: str = "") -> None:
        self.id = "id-9"
        self.backend = backend
        self.state = state
        self.traceback = trace or None
        self.date_done = None
        self._value = value

    def ready(self) -> bool:
        return self.state in ("SUCCESS", "FAILURE")

    def get(self, timeout: float | None, propagate: bool) -> Any:
        if not self.ready():
            from tqconsole.engine.exceptions import TimeoutError as WaitTimeoutError

            raise WaitTimeoutError("The operation timed out.")
        return self._value


class StubApp:
    def __init__(self) -> None:
        self.main = "proj"
        self.broker = open_broker(f"memory://{uuid.uuid4()}")
        self.mailboxes = CELERYS
        self.broker_resolved = Resolved(self.broker.url, "a test")
        self.backend = SimpleNamespace(
            rides_on=lambda place: True,
            is_enabled=True,
            is_readable_by_others=True,
            is_sent_to_callers=False,
            url="none",
        )
        self.control = Control(self)
        self.tasks: dict[str, Any] = {"proj.tasks.add": StubTask(), "proj.tasks.mine": StubTask()}
        self.sent: list[tuple[str, Any, Any, dict[str, Any]]] = []
        self.result = StubResult(self.backend, "SUCCESS", 4)
        self._nodes: list[StubNode] = []

    def node(self, name: str, **replies: Any) -> StubNode:
        self._nodes.append(StubNode(self.broker, name, REPLIES | replies))
        return self._nodes[-1]

    def stop(self) -> None:
        for node in self._nodes:
            node.stop()

    def queues(self) -> list[QueueSpec]:
        return [QueueSpec("celery"), QueueSpec("video")]

    def import_modules(self) -> None:
        pass

    def bugreport(self) -> str:
        return "\nsoftware -> tqconsole\n"

    def send_task(self, name: str, args: Any, kwargs: Any, **options: Any) -> StubResult:
        self.sent.append((name, args, kwargs, options))
        return self.result

    def AsyncResult(self, task_id: str) -> StubResult:
        self.result.id = task_id
        return self.result

"""What the tests of the client side share: an app on a memory broker that nobody else has."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from tqconsole.engine import states
from tqconsole.engine.app import App
from tqconsole.engine.brokers.memory import MemoryBroker
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.result import ResultRecord, encode_record
from tqconsole.engine.protocol.task import decode_body
from tqconsole.engine.protocol.transfer import Publication, QueueSpec, ResultWrite

JSON = frozenset({"application/json"})
_numbers = itertools.count()


def fresh_url(scheme: str = "memory") -> str:
    return f"{scheme}://client-{next(_numbers)}"


def make_app(**options: Any) -> App:
    options.setdefault("broker", fresh_url())
    options.setdefault("backend", fresh_url("cache+memory"))
    return App(options.pop("main", "proj"), set_as_current=False, **options)


def sent(app: App, queue: str = "celery") -> list[Message]:
    return app.broker.peek(queue, 100)


def body_of(message: Message) -> Any:
    return decode_body(message, JSON)


def finish(app: App, task_id: str, value: Any, state: str = states.SUCCESS, **fields: Any) -> None:
    """Store a record as a worker would."""
    record = ResultRecord(task_id, state, value, **fields)
    app.backend.store([ResultWrite(task_id, state, encode_record(record))])


class RecordingBroker(MemoryBroker):
    """A memory broker that notes how it was used and fails as often as it is told to."""

    def __init__(self, failure_count: int = 0) -> None:
        super().__init__(fresh_url())
        self.failure_count = failure_count
        self.batches: list[list[Publication]] = []
        self.declared: list[QueueSpec] = []
        self.attempt_count = 0

    def publish(self, publications: Sequence[Publication]) -> None:
        self.attempt_count += 1
        if self.attempt_count <= self.failure_count:
            raise OperationalError("the broker went away")
        self.batches.append(list(publications))
        super().publish(publications)

    def declare(self, queue: QueueSpec) -> None:
        self.declared.append(queue)
        super().declare(queue)

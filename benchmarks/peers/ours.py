"""tqconsole, with the engine's defaults and every guarantee on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks import counting
from benchmarks.counting import noop as run_noop
from benchmarks.peers.base import (
    CHORD_S,
    FETCH_COUNT,
    LONG_NAME,
    RESULT_S,
    SHORT_NAME,
    TASK_NAME,
    Ear,
    Peer,
    Setup,
    task_story,
)
from tqconsole.engine import App, chord
from tqconsole.engine.events.state import State
from tqconsole.engine.protocol.result import decode_record

#: Calls of one `send_many`, and ids of one read.
BATCH_COUNT = 100

setup = Setup()
app = App("bench", set_as_current=False)
app.conf.update(
    broker_url=setup.broker_url,
    result_backend=setup.store_url if setup.are_results_on else None,
    # The embedded broker has a result store whether one is named or not.
    task_ignore_result=not setup.are_results_on,
)
noop = app.task(name=TASK_NAME)(run_noop)
short = app.task(name=SHORT_NAME)(counting.short)
long = app.task(name=LONG_NAME)(counting.long)
for _number in range(1, setup.registered_count):
    app.task(name=f"bench.other{_number}")(run_noop)


class Ours(Peer):
    """The engine's public calls."""

    def __init__(self) -> None:
        self._ids: list[str] = []

    def fill(self, count: int) -> None:
        for start in range(0, count, BATCH_COUNT):
            self._ids.extend(self._send_batch(start, min(start + BATCH_COUNT, count)))

    def send(self, count: int) -> None:
        for number in range(count):
            noop.delay(number)

    def send_batches(self, count: int) -> None:
        for start in range(0, count, BATCH_COUNT):
            self._send_batch(start, min(start + BATCH_COUNT, count))

    def send_short(self) -> None:
        short.delay(time.time())

    def send_long(self, seconds: float) -> None:
        long.delay(seconds)

    def trip(self) -> None:
        noop.delay(1).get(timeout=RESULT_S)

    def chord(self, count: int) -> None:
        header = [noop.s(number) for number in range(count)]
        chord(header, noop.si(0)).apply_async().get(timeout=CHORD_S, follow_parents=False)

    def stored_count(self) -> int:
        return sum(
            len(app.backend.fetch(self._ids[at : at + 1000]))
            for at in range(0, len(self._ids), 1000)
        )

    def fetch(self) -> int:
        return sum(
            app.AsyncResult(task_id).get(timeout=RESULT_S) is not None
            for task_id in self._ids[:FETCH_COUNT]
        )

    def fetch_many(self) -> int:
        records = app.backend.fetch(self._ids[:FETCH_COUNT])
        return sum(decode_record(data).state == "SUCCESS" for data in records.values())

    def left_count(self) -> int:
        depth = app.broker.depth("celery")
        return (depth.ready_count or 0) + (depth.unacked_count or 0) + (depth.parked_count or 0)

    def listen(self, count: int) -> dict[str, Any]:
        ear = Ear(count)

        def take(event: dict[str, Any]) -> None:
            receiver.should_stop = ear.hear(event)

        receiver = app.events.Receiver(handlers={"*": take})
        receiver.capture(timeout=RESULT_S)
        return ear.told()

    def keep(self, count: int) -> None:
        self._state = State(max_tasks_in_memory=count)
        for number in range(count):
            for event in task_story(number):
                self._state.event(event)

    def tell(self, events: Sequence[dict[str, Any]]) -> None:
        dispatcher = app.events.Dispatcher(hostname="bench@localhost")
        for start in range(0, len(events), BATCH_COUNT):
            batch = events[start : start + BATCH_COUNT]
            dispatcher.send_many([("task-succeeded", fields) for fields in batch])

    def park(self, count: int) -> None:
        for start in range(0, count, BATCH_COUNT):
            batch = range(start, min(start + BATCH_COUNT, count))
            app.send_many([(noop, (number,), {}, {"countdown": 3600}) for number in batch])

    def _send_batch(self, start: int, end: int) -> list[str]:
        results = app.send_many([(noop, (number,), {}, {}) for number in range(start, end)])
        return [result.id for result in results]


def make_peer() -> Peer:
    """Return the peer, for `benchmarks.drive`."""
    return Ours()

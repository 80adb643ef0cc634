"""Celery, tuned: no events, gossip, mingle, heartbeat, remote control or rate limits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from celery import Celery, chord

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

setup = Setup()
app = Celery("bench", broker=setup.broker_url)
app.conf.update(
    result_backend=setup.store_url if setup.are_results_on else None,
    task_ignore_result=not setup.are_results_on,
    worker_prefetch_multiplier=1000,
    worker_disable_rate_limits=True,
    worker_enable_remote_control=setup.is_controlled,
    broker_connection_retry_on_startup=True,
)
noop: Any = app.task(name=TASK_NAME)(run_noop)
short: Any = app.task(name=SHORT_NAME)(counting.short)
long: Any = app.task(name=LONG_NAME)(counting.long)


class CeleryPeer(Peer):
    """Celery's public calls. It has none for many: `group` sends one by one."""

    def __init__(self) -> None:
        self._results: list[Any] = []

    def fill(self, count: int) -> None:
        self._results.extend(noop.delay(number) for number in range(count))

    def send(self, count: int) -> None:
        for number in range(count):
            noop.delay(number)

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
        client = app.backend.client
        keys = [app.backend.get_key_for_task(result.id) for result in self._results]
        return int(client.exists(*keys))

    def fetch(self) -> int:
        return sum(
            result.get(timeout=RESULT_S) is not None for result in self._results[:FETCH_COUNT]
        )

    def left_count(self) -> int:
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            if setup.broker_url.startswith("redis"):
                return int(channel.client.llen("celery") + channel.client.hlen("unacked"))
            return int(channel.queue_declare("celery", passive=True).message_count)

    def listen(self, count: int) -> dict[str, Any]:
        ear = Ear(count)
        with app.connection_for_read() as connection:

            def take(event: dict[str, Any]) -> None:
                receiver.should_stop = ear.hear(event)

            receiver = app.events.Receiver(connection, handlers={"*": take})
            receiver.capture(timeout=RESULT_S, wakeup=False)
        return ear.told()

    def keep(self, count: int) -> None:
        self._state = app.events.State(max_tasks_in_memory=count)
        for number in range(count):
            for event in task_story(number):
                self._state.event(event)

    def tell(self, events: Sequence[dict[str, Any]]) -> None:
        with app.events.default_dispatcher() as dispatcher:
            for fields in events:
                dispatcher.send("task-succeeded", **fields)


def make_peer() -> Peer:
    """Return the peer, for `benchmarks.drive`."""
    return CeleryPeer()

"""What a peer can be asked to do. Its driver runs in a process of its own (`benchmarks.drive`).

Where it is to happen comes in the environment, since the peer's own worker imports the same module.
"""

from __future__ import annotations

import abc
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.values import NotOfferedError

#: The broker's and the result store's URL, and "on" when results are kept.
BROKER, STORE, RESULTS = "BENCH_BROKER", "BENCH_STORE", "BENCH_RESULTS"
#: "on" when workers are asked things, and how many tasks are registered.
CONTROL, REGISTERED = "BENCH_CONTROL", "BENCH_TASKS"
TASK_NAME, SHORT_NAME, LONG_NAME = "bench.noop", "bench.short", "bench.long"
#: Results that one fetch reads.
FETCH_COUNT = 1000
#: Seconds until a result must be there, and until a chord's.
RESULT_S, CHORD_S = 20, 120


class Setup:
    """Where and how, from the environment."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.broker_url = environ[BROKER]
        self.store_url = environ[STORE]
        self.are_results_on = environ.get(RESULTS) == "on"
        self.is_controlled = environ.get(CONTROL) == "on"
        self.registered_count = int(environ.get(REGISTERED, "1"))


class Peer(abc.ABC):
    """One task queue, asked for the same things as the others."""

    @abc.abstractmethod
    def fill(self, count: int) -> None:
        """Enqueue `count` no-ops in the quickest way it has, and remember them."""

    @abc.abstractmethod
    def send(self, count: int) -> None:
        """Enqueue `count` no-ops one by one and forget them."""

    def send_batches(self, count: int) -> None:
        """Enqueue `count` no-ops through its call for many and forget them."""
        raise NotOfferedError("it has no call that sends many")

    @abc.abstractmethod
    def trip(self) -> None:
        """Call the no-op and wait for its result."""

    @abc.abstractmethod
    def stored_count(self) -> int:
        """Return how many of the remembered calls have a result."""

    @abc.abstractmethod
    def fetch(self) -> int:
        """Read the first `FETCH_COUNT` remembered results one by one, return how many came."""

    def fetch_many(self) -> int:
        """Read them through its call for many, return how many came."""
        raise NotOfferedError("it has no call that reads many")

    @abc.abstractmethod
    def left_count(self) -> int:
        """Return how many messages are still in the queue or in somebody's hands."""

    def listen(self, count: int) -> dict[str, Any]:
        """Receive events until `count` tasks have succeeded, and return what an `Ear` tells."""
        raise NotOfferedError("it has no events")

    def tell(self, events: Sequence[dict[str, Any]]) -> None:
        """Send task-succeeded events with these fields."""
        raise NotOfferedError("it has no events")

    def keep(self, count: int) -> None:
        """Take the events of `count` tasks into its picture of a cluster, and hold on to it."""
        raise NotOfferedError("it has no events")

    def send_short(self) -> None:
        """Enqueue a task that tells how long it had to wait."""
        raise NotOfferedError("not asked of it")

    def send_long(self, seconds: float) -> None:
        """Enqueue a task that takes so long."""
        raise NotOfferedError("not asked of it")

    def chord(self, count: int) -> None:
        """Call `count` no-ops and one that waits for all of them, and wait for that one."""
        raise NotOfferedError("it has no chords")

    def park(self, count: int) -> None:
        """Enqueue `count` no-ops that are due in an hour."""
        raise NotOfferedError("not asked of peers")


class Ear:
    """Counts task events until enough tasks have succeeded, with the time and CPU they took."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._heard: Counter[str] = Counter()
        self._begun = self._ended = (0.0, 0.0)

    def hear(self, event: dict[str, Any]) -> bool:
        """Take one event; True when it was the last one."""
        kind = event["type"]
        if kind.startswith("task-"):
            if not self._heard:
                self._begun = (time.perf_counter(), time.process_time())
            self._heard[kind] += 1
            self._left -= kind == "task-succeeded"
            if self._left == 0:
                self._ended = (time.perf_counter(), time.process_time())
        return self._left <= 0

    def told(self) -> dict[str, Any]:
        """Return seconds and CPU from the first event to the last, and how many of each came."""
        (begun, begun_cpu), (ended, ended_cpu) = self._begun, self._ended
        return {"seconds": ended - begun, "cpu_s": ended_cpu - begun_cpu, **self._heard}


def event_fields(number: int) -> dict[str, Any]:
    """Return the fields of a task-succeeded event as workers send them."""
    return {
        "uuid": f"00000000-0000-4000-8000-{number:012d}",
        "result": str(number),
        "runtime": 0.000_01,
    }


def task_story(number: int) -> list[dict[str, Any]]:
    """Return the three events of one task, decoded, as a receiver hands them on."""
    common = {
        **event_fields(number),
        "hostname": "bench@localhost",
        "timestamp": 1e9 + number / 1000,
        "local_received": 1e9 + number / 1000,
        "utcoffset": 0,
        "pid": 1,
    }
    received = {
        "name": TASK_NAME,
        "args": f"({number},)",
        "kwargs": "{}",
        "root_id": common["uuid"],
    }
    return [
        {**common, **received, "type": "task-received", "clock": 3 * number},
        {**common, "type": "task-started", "clock": 3 * number + 1},
        {**common, "type": "task-succeeded", "clock": 3 * number + 2},
    ]

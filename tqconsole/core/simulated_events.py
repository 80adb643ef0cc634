"""A seeded cluster that exists nowhere: for pictures of screens and for load tests.

It makes the events a cluster would send (workers, task types and troubles of the wireframes: a
failing type, a queue that grows, a silent worker, a run that takes too long) and feeds them to the
same model as a real session. Same seed, same clock: same pictures. It is no demo: the demo is a
real cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sin, tau
from random import Random
from typing import Any

from tqconsole.engine.protocol.transfer import QueueDepth

#: When the pictures are taken: 2026-11-20 14:02:31 UTC.
PICTURE_AT = 1_795_183_351.0

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SimulatedType:
    """A task type: its share of the calls, where it runs and how long, how often it fails."""

    name: str
    queue: str
    share: float
    run_s: float
    failed_ratio: float = 0.0
    exception: str = ""
    args: str = "()"
    function: Callable[..., None] = lambda: None


def _send(customer_id: int, template: str) -> None:
    """Stand for a task: only what arguments it takes matters."""


def _resize(image_id: int, kind: str = "thumb") -> None:
    """Stand for a task likewise."""


TYPES = (
    SimulatedType(
        "mail.send",
        "mail",
        0.58,
        0.06,
        0.002,
        "SMTPServerDisconnected('Connection unexpectedly closed')",
        "({n}, 'welcome')",
        _send,
    ),
    SimulatedType(
        "img.resize",
        "img",
        0.14,
        1.2,
        0.17,
        "OSError(\"cannot identify image file '/srv/u/{n}.png'\")",
        "({n}, 'thumb')",
        _resize,
    ),
    SimulatedType("ops.ping", "celery", 0.2, 0.01),
    SimulatedType("gallery.publish", "celery", 0.06, 0.4, 0.01, "Timeout('upstream')", "({n},)"),
    SimulatedType("report.build", "celery", 0.01, 9.0, 0.0, "", "(2026, {n})"),
)

#: Of so many calls into these queues one is left waiting: more come in than workers take.
_LEFT_BEHIND = {"mail": 3, "img": 4}

_HOSTS = ("ip-10-1-2", "ip-10-1-3", "ip-10-1-4", "ip-10-1-5")
_TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/srv/app/{module}.py", line 44, in {function}\n'
    "    return work(item)\n"
    "           ^^^^^^^^^^\n"
    "{exception}\n"
)


class EventSource:
    """Makes the events of one cluster, second by second, in the order they happen."""

    def __init__(
        self,
        seed: int,
        worker_count: int = 9,
        tasks_per_s: float = 14.0,
        *,
        is_steady: bool = False,
    ) -> None:
        """`is_steady`: as many calls each second, for load tests; else they come in waves."""
        self._rng = Random(seed)  # noqa: S311 - pictures must repeat; nothing secret here
        self.workers = tuple(
            f"w{number}@{_HOSTS[(number - 1) // 3 % len(_HOSTS)]}"
            for number in range(1, worker_count + 1)
        )
        self._tasks_per_s = tasks_per_s
        self._is_steady = is_steady
        self._processed = dict.fromkeys(self.workers, 0)
        self._active = dict.fromkeys(self.workers, 0)
        self._pending: list[tuple[float, int, Event]] = []
        self._number = 0
        self._owed = 0.0

    def occupy(self, worker: str) -> None:
        """Let a worker have a run in hand that none of these events tells of."""
        self._active[worker] += 1

    def heartbeats(self, at: float, silent: tuple[str, ...] = ()) -> list[Event]:
        """Return one heartbeat of each worker that is not silent."""
        return [
            {
                **_origin("worker-heartbeat", name, at),
                "freq": 2.0,
                "active": self._active[name],
                "processed": self._processed[name],
                "loadavg": [0.4 + number * 0.3, 0.5 + number * 0.3, 0.6],
                "sw_ident": "py-celery",
                "sw_ver": "5.7.0",
                "sw_sys": "Linux",
            }
            for number, name in enumerate(self.workers)
            if name not in silent
        ]

    def second(self, at: float, busy: tuple[str, ...] | None = None) -> list[Event]:
        """Return the task events of the second that begins at `at`; `busy` are who takes tasks."""
        workers = busy if busy is not None else self.workers
        self._owed += self._tasks_per_s * (1.0 if self._is_steady else tide(at))
        while self._owed >= 1:
            self._owed -= 1
            life = list(self._life(at + self._rng.random(), workers))
            for event in life[:1] if self._is_left(life[0]) else life:
                self._pending.append((event["timestamp"], self._number, event))
        ready = sorted(
            (entry for entry in self._pending if entry[0] < at + 1), key=lambda entry: entry[:2]
        )
        self._pending = [entry for entry in self._pending if entry[0] >= at + 1]
        events = [event for _, _, event in ready]
        for event in events:
            self._count(event)
        return events

    def _is_left(self, sent: Event) -> bool:
        """Say whether a call stays in its queue: what makes a queue grow, `depths` counts."""
        every = _LEFT_BEHIND.get(sent["queue"])
        return every is not None and self._number % every == 0

    def _life(self, sent_at: float, workers: tuple[str, ...]) -> Iterator[Event]:
        self._number += 1
        rng = self._rng
        kind = rng.choices(TYPES, [kind.share for kind in TYPES])[0]
        worker = rng.choice(workers)
        task_id = f"{rng.getrandbits(32):08x}-5d1e-4a55-b0f2-{rng.getrandbits(48):012x}"
        call = {
            "uuid": task_id,
            "name": kind.name,
            "args": kind.args.format(n=self._number),
            "kwargs": "{}",
            "root_id": task_id,
            "parent_id": None,
            "retries": rng.choice((0, 1, 2)) if kind.failed_ratio > 0.1 else 0,
            "eta": None,
            "expires": None,
        }
        client = _origin("task-sent", "web-3", sent_at)
        yield {**client, **call, "queue": kind.queue, "exchange": "", "routing_key": kind.queue}
        received_at = sent_at + 0.05 + rng.random() * 0.8
        yield {**_origin("task-received", worker, received_at), **call}
        started_at = received_at + rng.random() * 0.4
        yield {**_origin("task-started", worker, started_at), "uuid": task_id}
        run_s = kind.run_s * (0.5 + rng.random() + 2 * rng.random() ** 8)
        yield self._ending(kind, task_id, worker, started_at + run_s, run_s)

    def _ending(
        self, kind: SimulatedType, task_id: str, worker: str, at: float, run_s: float
    ) -> Event:
        if self._rng.random() >= kind.failed_ratio:
            origin = _origin("task-succeeded", worker, at)
            return {**origin, "uuid": task_id, "result": "None", "runtime": run_s}
        exception = kind.exception.format(n=self._number)
        module, _, function = kind.name.partition(".")
        trace = _TRACEBACK.format(module=module, function=function, exception=exception)
        is_retry = self._rng.random() < 0.2
        origin = _origin("task-retried" if is_retry else "task-failed", worker, at)
        return {**origin, "uuid": task_id, "exception": exception, "traceback": trace}

    def _count(self, event: Event) -> None:
        worker = event["hostname"]
        if event["type"] == "task-started":
            self._processed[worker] += 1
            self._active[worker] += 1
        elif event["type"] in ("task-succeeded", "task-failed", "task-retried"):
            self._active[worker] -= 1


def tide(at: float) -> float:
    """Return how busy the clients are at an instant, 1 on average: two waves over each other."""
    return 1.0 + 0.4 * sin(at * tau / 233) + 0.12 * sin(at * tau / 41)


def depths(elapsed_s: float, now_at: float) -> dict[str, QueueDepth]:
    """Return the depths so far into the simulation: mail grows, old.reports has no consumer."""
    mail, img = int(300 + 2.7 * elapsed_s), int(100 + 0.49 * elapsed_s)
    return {
        "mail": QueueDepth(
            mail, 16, 0, 0, 1, now_at - mail / 5.4, ((0, mail - 22), (3, 22), (6, 0), (9, 0))
        ),
        "img": QueueDepth(img, 62, 0, 3, 8, now_at - img / 1.5),
        "celery": QueueDepth(max(0, 240 - int(elapsed_s / 6)), 64, 12, 0, 8, now_at - 0.3),
        "old.reports": QueueDepth(4, 0, 0, 0, 0, now_at - 3 * 86400),
    }


def _origin(event_type: str, hostname: str, at: float) -> Event:
    return {
        "type": event_type,
        "hostname": hostname,
        "timestamp": at,
        "utcoffset": 0,
        "pid": 4000 + sum(hostname.encode()) % 997,
        "clock": 1,
    }

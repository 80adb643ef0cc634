"""An app on memory whose messages are run here, one after another, as a slot of a pool would: what
workers, broker and store do together, without threads and without time.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

from tqconsole.engine.app import App
from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.clock import SYSTEM_CLOCK, ManualClock
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, Riding, Settlement, Verdict
from tqconsole.engine.redis_server.address import locate
from tqconsole.engine.redis_server.link import Link
from tqconsole.engine.worker.outcome import Outcome, decode_outcome
from tqconsole.engine.worker.payload import RunPayload, encode_payload
from tqconsole.engine.worker.run import make_runner

_numbers = itertools.count()


class Worker:
    """Runs what its app has sent."""

    def __init__(self, **settings: Any) -> None:
        place = f"canvas-{next(_numbers)}"
        settings.setdefault("backend", f"cache+memory://{place}")
        settings.setdefault("broker", f"memory://{place}")
        self.app = App(
            "canvas",
            set_as_current=False,
            clock=settings.pop("clock", None) or ManualClock(),
            **settings,
        )
        self.runner = make_runner(self.app, "w1@host")
        self.pending: deque[Message] = deque()
        self.is_busy = False
        self._hold: Consumer | None = None
        #: Every message that was run, in order.
        self.ran: list[Message] = []

    def publish(self, publications: tuple[Publication, ...]) -> None:
        self.app.broker.publish(publications)

    def open_chords(self) -> list[str]:
        """Return the chords of the memory store that wait for something."""
        return list(self.app.backend._table.chords)

    def forget_all(self) -> None:
        """Forget what ran, and the records in the memory store."""
        self.ran.clear()
        self.app.backend._table.records.clear()

    def run_all(self) -> Worker:
        """Run until nothing is left, as every worker of a fleet would together."""
        self.is_busy = True
        while self.fetch():
            self.run_one(self.pending.popleft())
        self.is_busy = False
        return self

    def fetch(self) -> int:
        """Take what was sent; return how much waits now."""
        if self._hold is None:
            self._hold = self.app.broker.consumer(self.app.queues(), "w1@host")
        taken = self._hold.exchange(wanted=1_000_000)
        if taken:
            self._hold.exchange([Settlement(it.tag, Verdict.ACK) for it in taken])
        self.pending.extend(it.message for it in taken)
        return len(self.pending)

    def run_one(self, message: Message) -> Outcome:
        """Run a message and carry out what its outcome wants, as the loop does."""
        outcome = self.run_only(message)
        self.app.backend.store(outcome.results)
        self.publish(outcome.publications)
        return outcome

    def run_only(self, message: Message) -> Outcome:
        """Run a message whose worker dies before it can settle it."""
        self.ran.append(message)
        payload = RunPayload(message, hostname="w1@host", queue="celery", routing_key="celery")
        return decode_outcome(self.runner(encode_payload(payload)))


def names(messages: list[Message]) -> list[str]:
    """Return the names of the tasks of messages."""
    return [message.headers["task"] for message in messages]


def add_tasks(app: App) -> dict[str, Any]:
    """Register the tasks that canvases are made of here, and return them by name."""

    def task(function: Any, **options: Any) -> Any:
        return app.task(name=function.__name__, lazy=False, **options)(function)

    def add(x: Any, y: Any) -> Any:
        return x + y

    def double(x: Any) -> Any:
        return x * 2

    def xsum(numbers: Any) -> Any:
        return sum(numbers)

    def fail(*args: Any) -> None:
        raise ValueError("no")

    def ident(x: Any) -> Any:
        return x

    made = [task(function) for function in (add, double, xsum, fail, ident)]
    return {each.name: each for each in made}


class RedisWorker(Worker):
    """The same with a real Redis: messages are fetched, and settled in one trip with what rides."""

    def __init__(self, url: str) -> None:
        super().__init__(broker=url, backend=url, clock=SYSTEM_CLOCK)
        self._consumer = self.app.broker.consumer(self.app.queues(), "w1@host")
        self._link = Link(locate(url))

    def run_all(self) -> Worker:
        settled: list[Settlement] = []
        riding = None
        while True:
            deliveries = self._consumer.exchange(settled, wanted=100, riding=riding)
            if not deliveries and not settled:
                return self
            outcomes = [self.run_only(delivery.message) for delivery in deliveries]
            settled = [Settlement(delivery.tag, Verdict.ACK) for delivery in deliveries]
            riding = Riding(
                tuple(write for outcome in outcomes for write in outcome.results),
                tuple(each for outcome in outcomes for each in outcome.publications),
            )

    def forget_all(self) -> None:
        self.ran.clear()
        names = [name for name in self._names() if name.startswith("celery-task")]
        if names:
            self._link.run("DEL", *names)

    def open_chords(self) -> list[str]:
        return [name for name in self._names() if name[-2:] in (".j", ".d", ".s", ".t", ".x")]

    def keys_for_ever(self) -> list[str]:
        """Return what belongs to results and has no time to live."""
        names = [name for name in self._names() if name.startswith("celery-task")]
        return [name for name in names if self._link.run("TTL", name) < 0]

    def close(self) -> None:
        self._consumer.close()
        self._link.close()
        self.app.close()

    def _names(self) -> list[str]:
        return [name.decode() for name in self._link.run("KEYS", "*")]

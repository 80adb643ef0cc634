"""T-FUZZ in process: mutations through everything that reads what comes from outside.

A message goes the way of production: envelope, reader, state machine, child's runner, and back. The
other readers (commands, replies, events, records) get theirs.
"""

from __future__ import annotations

import logging
import os
import resource
import time
from collections import Counter
from datetime import UTC
from random import Random
from typing import Any

from faults.fuzz import mutate, shapes, traps
from faults.scenario import Case, Report
from tests.protocol.golden import VECTORS, message_of
from tqconsole.engine import App
from tqconsole.engine.exceptions import BackendError, RefusedError
from tqconsole.engine.protocol.control import decode_reply, decode_request
from tqconsole.engine.protocol.envelope import from_envelope
from tqconsole.engine.protocol.event import decode_events
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.result import decode_record
from tqconsole.engine.protocol.transfer import Delivery, Verdict
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.machine_options import MachineOptions, TaskPolicy
from tqconsole.engine.worker.outcome import decode_outcome
from tqconsole.engine.worker.payload import RunPayload, encode_payload
from tqconsole.engine.worker.reading import Reader
from tqconsole.engine.worker.run import make_runner
from tqconsole.engine.worker.values import (
    Exchange,
    ExchangeDone,
    Now,
    Rang,
    RunEnded,
    SlotsChanged,
    Submit,
)

VOLUMES = {"ci": 10_000, "night": 200_000, "release": 1_000_000}
#: Seconds a single message may take to be read and ended: above that it is a hang.
HANG_S = 3.0
#: Seconds that the inflater may need for its limit of 128 MB.
BOMB_S = 10.0
ACCEPT = frozenset({"application/json"})


class Watch(logging.Handler):
    """Counts what was logged with a traceback: something that nobody had thought of."""

    def __init__(self) -> None:
        super().__init__()
        self.unforeseen: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Count it."""
        if record.exc_info and record.exc_info[1] is not None:
            self.unforeseen[f"{record.name}: {record.exc_info[1]!r:.120}"] += 1


class Way:
    """The way of a message through a worker, without its threads and sockets."""

    def __init__(self) -> None:
        app = App("fuzz", broker="memory://", backend="cache+memory://", set_as_current=False)
        for name in ("fuzz.any", "add", "proj.add", "storm.work"):
            app.task(name=name)(_take_anything)
        names = {str(message_of(it).headers.get("task")) for it in VECTORS.values()}
        for name in sorted(names - {"None"}):
            if name not in app.tasks and not name.startswith("celery."):
                app.task(name=name)(_take_anything)
        app.finalize()
        hub: Any = app
        self._runner = make_runner(hub, "w1@fuzz")
        self._reader = Reader(ACCEPT, UTC)
        policies = {name: TaskPolicy(name, acks_late=True) for name in app.tasks}
        self._machine = Machine(MachineOptions("w1@fuzz", can_park=True), policies, Random(1))
        self._now = Now(1_800_000_000.0, 1000.0)
        self._machine.step(self._now, [SlotsChanged(1, 1)])
        self._machine.step(self._now, [ExchangeDone()])
        self._count = 0
        self.ends: Counter[str] = Counter()

    def pass_through(self, message: Message) -> None:
        """Let a message arrive, and see to it that it comes to an end."""
        self._count += 1
        self._now = Now(self._now.at + 1, self._now.mono + 1)
        delivery = Delivery(f"t{self._count}", message, "celery", "", "celery")
        arrivals = self._reader.read([delivery])
        actions = self._machine.step(self._now, [Rang(), SlotsChanged(1, 1)])
        if not any(isinstance(action, Exchange) for action in actions):
            raise AssertionError("the machine does not fetch any more")
        pending: list[Any] = [ExchangeDone(arrivals)]
        ended = ""
        for _ in range(12):
            actions = self._machine.step(self._now, pending)
            pending = []
            for action in actions:
                if isinstance(action, Exchange):
                    ended = ended or _end_in(action, delivery.tag)
                    pending.append(ExchangeDone())
                elif isinstance(action, Submit):
                    pending += [self._run(order) for order in action.orders]
                    pending.append(SlotsChanged(1, 1))
            if ended and not pending:
                break
        if not ended:
            raise AssertionError("the message came to no end")
        self.ends[ended] += 1

    def _run(self, order: Any) -> RunEnded:
        payload = RunPayload(
            order.entry.delivery.message, "w1@fuzz", queue="celery", routing_key="celery"
        )
        outcome = decode_outcome(self._runner(encode_payload(payload)))
        return RunEnded(order.entry.job_id, outcome)


def _end_in(exchange: Exchange, tag: str) -> str:
    for settlement in exchange.settled:
        if settlement.tag == tag:
            if settlement.verdict is Verdict.DEAD and not settlement.reason:
                raise AssertionError("a dead letter without a reason")
            return settlement.verdict.value
    return "parked" if any(parked == tag for parked, _ in exchange.parked) else ""


def _take_anything(*args: Any, **kwargs: Any) -> int:
    return len(args) + len(kwargs)


class Fuzz:
    """One run: counts, and what must not have happened."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.way = Way()
        self.count = 0
        self.slowest_s = 0.0
        self.slowest = ""
        self.broken: list[str] = []
        self._vectors = list(VECTORS.items())
        self._messages = {name: message_of(vector) for name, vector in self._vectors}

    def round(self, number: int) -> None:
        """Read one mutation. What it was comes again with the same seed and number."""
        name, vector = self.chance.choice(self._vectors)
        kind = self.chance.randrange(3)
        started = time.perf_counter()
        try:
            self._read(name, vector, kind)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            if len(self.broken) < 20:
                self.broken.append(f"mutation {number} of {name} ({kind}): {error!r:.300}")
        self._note(f"mutation {number} of {name}", time.perf_counter() - started)

    def shape(self, name: str, message: Message, limit_s: float = HANG_S) -> None:
        """Read one of the shapes that are always tried."""
        started = time.perf_counter()
        try:
            self.way.pass_through(message)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            self.broken.append(f"{name}: {error!r:.300}")
        self._note(name, time.perf_counter() - started, limit_s)

    def _note(self, what: str, took_s: float, limit_s: float = HANG_S) -> None:
        self.count += 1
        if took_s > limit_s:
            self.broken.append(f"{what} took {took_s:.1f} s")
        if took_s > self.slowest_s:
            self.slowest_s, self.slowest = took_s, what

    def _read(self, name: str, vector: dict[str, Any], kind: int) -> None:
        chance, message = self.chance, self._messages[name]
        if "envelope" in vector and kind == 0:
            change = chance.choice((mutate.bytes_of, mutate.json_of))
            try:
                message = from_envelope(change(chance, vector["envelope"].encode()))[0]
            except RefusedError:
                self.way.ends["no envelope"] += 1
                return
        elif kind == 1:
            change = chance.choice((mutate.bytes_of, mutate.json_of))
            message = _with(message, body=change(chance, message.body))
        else:
            headers = mutate.value_of(chance, dict(message.headers))
            properties = mutate.value_of(chance, dict(message.properties))
            message = _with(
                message,
                headers=headers if isinstance(headers, dict) else {},
                properties=properties if isinstance(properties, dict) else {},
            )
            if chance.random() < 0.1:
                message = _with(message, content_type=str(chance.choice(mutate.JUNK))[:200])
        if vector["kind"] == "task":
            self.way.pass_through(message)
        else:
            _read_other(message)


def _read_other(message: Message) -> None:
    for decode in (decode_request, decode_reply):
        try:
            decode(message)
        except RefusedError:
            continue
    decode_events(message)
    try:
        record = decode_record(message.body)
    except BackendError:
        return
    if isinstance(record.result, BaseException) and not isinstance(record.result, Exception):
        raise TypeError(f"a record became {record.result!r}")


def _with(message: Message, **changes: Any) -> Message:
    fields = {
        "body": message.body,
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "headers": message.headers,
        "properties": message.properties,
    }
    return Message(**{**fields, **changes})


def run(case: Case) -> Report:
    """Shapes, bombs, then as many mutations as the depth says."""
    mark = case.folder / "sprung"
    os.environ[traps.VARIABLE] = str(mark)
    watch, root = Watch(), logging.getLogger()
    was_level, old_handlers = root.level, root.handlers[:]
    root.handlers[:] = [watch]
    root.setLevel(logging.WARNING)
    fuzz = Fuzz(case.chance())
    try:
        good = message_of(VECTORS["redis-task-plain"])
        for name, shape in shapes.shapes():
            fuzz.shape(name, shape(good))
        for name, shape in shapes.bombs(is_all=case.depth != "ci"):
            fuzz.shape(name, shape(good), BOMB_S)
        for number in range(case.of(VOLUMES)):
            fuzz.round(number)
    finally:
        root.handlers[:] = old_handlers
        root.setLevel(was_level)
        del os.environ[traps.VARIABLE]
    broken = list(fuzz.broken)
    broken += [
        f"unforeseen {count} times: {what}" for what, count in watch.unforeseen.most_common(9)
    ]
    if mark.exists():
        broken.append("code from a message ran")
    figures: dict[str, float | str] = {
        "messages": fuzz.count,
        **{f"ended as {end}": count for end, count in fuzz.way.ends.most_common()},
        "slowest s": fuzz.slowest_s,
        "slowest": fuzz.slowest,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    return Report(figures=figures, broken=broken)

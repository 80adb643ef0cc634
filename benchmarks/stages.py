"""Where a task's microseconds go: the engine's real functions, one stage at a time.

    python -m benchmarks.stages
    python -m benchmarks.stages --brokers redis --count 2000 --results off
    python -m benchmarks.stages --against a484033 --page docs/performance.md

Each stage is a function of the engine on a message that the engine published and fetched, called
in batches as the worker calls it; CPU time of this thread, the least of several passes, as timeit
takes it (the exchange is one long pass). `of it` are parts of the stage above and do not add up
twice; the client's stage is not the worker's and not in the sum. The sum is less than a worker's
CPU per task: the loop's turns, the selector and cold caches are what
`python -m benchmarks --workloads drain` shows beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.facts import machine_facts
from benchmarks.servers import Servers
from benchmarks.stage_table import Sheet, beside, sheets_of, table_lines, write_section
from tqconsole.engine import App
from tqconsole.engine.brokers.redis.envelope import delivery_of, written
from tqconsole.engine.embedded.rows import encode_head, message_of
from tqconsole.engine.middleware.records import Records
from tqconsole.engine.pools import frame
from tqconsole.engine.pools.base import Job, JobStarted
from tqconsole.engine.protocol.task import decode_body
from tqconsole.engine.protocol.transfer import (
    Delivery,
    Handover,
    Publication,
    Riding,
    Settlement,
    Verdict,
)
from tqconsole.engine.states import SUCCESS
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.machine_options import MachineOptions
from tqconsole.engine.worker.outcome import decode_outcome, encode_outcome
from tqconsole.engine.worker.payload import RunPayload, decode_payload, encode_payload
from tqconsole.engine.worker.policies import policies_of
from tqconsole.engine.worker.reading import Reader
from tqconsole.engine.worker.request import request_of
from tqconsole.engine.worker.run import TaskRunner, make_runner
from tqconsole.engine.worker.values import (
    Action,
    Arrival,
    Exchange,
    ExchangeDone,
    ExchangeWritten,
    Happening,
    Now,
    Rang,
    RunEnded,
    SlotsChanged,
    Submit,
)
from tqconsole.engine.worker.window import MAX_BATCH, MAX_INLINE_BATCH

#: Messages of one pass, and passes of which the quickest counts.
_COUNT, _PASS_COUNT = 1_000, 7
_HOST = "stages@localhost"
_POOLS, _BROKERS = ("solo", "prefork"), ("redis", "sqlite")


@dataclass(frozen=True, slots=True)
class Bench:
    """An app on a real broker, with messages that it published and fetched."""

    app: Any
    deliveries: list[Delivery]
    runner: TaskRunner
    batch_count: int

    def payloads(self) -> list[RunPayload]:
        """Return what the runs of the messages need."""
        return [
            RunPayload(it.message, _HOST, it.queue, it.exchange, it.routing_key)
            for it in self.deliveries
        ]


def measure(url: str, pool: str, count: int, *, are_results_on: bool) -> Sheet:
    """Return the stages of one pool on one broker."""
    app: Any = App("stages", set_as_current=False)
    app.conf.update(
        broker_url=url,
        result_backend=url if are_results_on else None,
        task_ignore_result=not are_results_on,
    )
    noop = app.task(name="stages.noop")(_noop)
    runner = make_runner(app, _HOST)
    batch_count = MAX_INLINE_BATCH if pool == "solo" else MAX_BATCH
    sheet = Sheet(f"{url.partition(':')[0]}, {pool}")
    publish = _timed(count, lambda: _publish(app, noop, count), pass_count=2)
    exchange, deliveries = _exchanges(app, runner, batch_count)
    bench = Bench(app, deliveries[:count], runner, batch_count)
    sheet.stages["client: send_many by 100"] = publish
    sheet.stages["exchange: settle, start, fetch"] = exchange
    sheet.stages.update(_decoding(bench))
    sheet.stages.update(_running(bench))
    if pool == "prefork":
        sheet.stages.update(_piping(bench))
    app.close()
    return sheet


def _noop(number: int = 0) -> int:
    return number


def _publish(app: Any, noop: Any, count: int) -> None:
    for start in range(0, count, 100):
        app.send_many([(noop, (at,), {}, {}) for at in range(start, min(start + 100, count))])


def _exchanges(app: Any, runner: TaskRunner, batch_count: int) -> tuple[float, list[Delivery]]:
    """Fetch all there is as a worker does: each trip settles, starts and fetches a batch."""
    consumer = app.broker.consumer(app.queues(), _HOST)
    rides = app.backend.is_enabled and app.backend.rides_on(app.broker.place)
    found: list[Delivery] = []
    fresh: list[Delivery] = []
    running: list[Delivery] = []
    spent_s = 0.0
    while True:
        # Encoding the records is a stage of its own.
        ended = [runner.run_here(RunPayload(it.message, _HOST)) for it in running] if rides else []
        writes = tuple(write for outcome in ended for write in outcome.results)
        begun = time.thread_time()
        arrived = consumer.exchange(
            [Settlement(it.tag, Verdict.ACK) for it in running],
            [Handover(it.tag, is_acked=True) for it in fresh],
            batch_count,
            Riding(writes) if writes else None,
        )
        spent_s += time.thread_time() - begun
        found += arrived
        running, fresh = fresh, arrived
        if not (running or fresh):
            break
    consumer.close()
    return 1e6 * spent_s / len(found), found


def _decoding(bench: Bench) -> Iterator[tuple[str, float]]:
    """The parts of the fetch, and what the loop does with headers."""
    deliveries, count = bench.deliveries, len(bench.deliveries)
    messages = [it.message for it in deliveries]
    if bench.app.broker.transport == "redis":
        envelopes = [written(Publication(it, "celery")) for it in messages]
        yield (
            "  of it: decode envelope or row",
            _timed(count, lambda: [delivery_of(it, "tag", "celery") for it in envelopes]),
        )
    else:
        rows = [(encode_head(it), it.body) for it in messages]
        yield (
            "  of it: decode envelope or row",
            _timed(count, lambda: [message_of(*row) for row in rows]),
        )
    reader = Reader(bench.app.accept_content, bench.app.timezone)
    yield "read header", _timed(count, lambda: reader.read(deliveries))
    arrivals = reader.read(deliveries)
    outcome = bench.runner.run_here(bench.payloads()[0])
    yield (
        "state machine: admit, hand over, settle",
        _timed(count, lambda: _turn_machine(bench, arrivals, outcome)),
    )


def _running(bench: Bench) -> Iterator[tuple[str, float]]:
    payloads, count, app = bench.payloads(), len(bench.deliveries), bench.app
    accept = app.accept_content
    bodies = [decode_body(it.message, accept) for it in payloads]
    pairs = list(zip(payloads, bodies, strict=True))
    yield "run, whole", _timed(count, lambda: [bench.runner.run_here(it) for it in payloads])
    yield (
        "  of it: decode body",
        _timed(count, lambda: [decode_body(it.message, accept) for it in payloads]),
    )
    yield (
        "  of it: build request",
        _timed(count, lambda: [request_of(it, body) for it, body in pairs]),
    )
    records, request = Records(app), request_of(*pairs[0])
    if app.backend.is_enabled and not app.tasks["stages.noop"].ignore_result:
        yield (
            "  of it: encode result",
            _timed(count, lambda: [records.write_of(request, SUCCESS, 1, None) for _ in pairs]),
        )


def _piping(bench: Bench) -> Iterator[tuple[str, float]]:
    """What crossing to a child and back costs; the pipes themselves are not in it."""
    payloads, count, size = bench.payloads(), len(bench.deliveries), bench.batch_count
    packed = [encode_payload(it) for it in payloads]
    jobs = [Job(number, data, None, None) for number, data in enumerate(packed)]
    batches = [jobs[at : at + size] for at in range(0, count, size)]
    frames = [frame.encode_batch(1, it)[frame.BATCH_HEAD.size :] for it in batches]
    outcomes = [bench.runner.run_here(it) for it in payloads]
    said = [encode_outcome(it) for it in outcomes]
    works: dict[str, Callable[[], object]] = {
        "pipe: encode payload": lambda: [encode_payload(it) for it in payloads],
        "pipe: encode batch": lambda: [frame.encode_batch(1, it) for it in batches],
        "child: decode batch": lambda: [frame.decode_batch(it) for it in frames],
        "child: decode payload": lambda: [decode_payload(it) for it in packed],
        "child: encode outcome": lambda: [encode_outcome(it) for it in outcomes],
        "pipe: decode outcome": lambda: [decode_outcome(it) for it in said],
    }
    for name, work in works.items():
        yield name, _timed(count, work)


def _turn_machine(bench: Bench, arrivals: Sequence[Arrival], outcome: Any) -> None:
    """Take the arrivals through a new machine whose every wish is granted at once."""
    options = MachineOptions(_HOST, max_batch=bench.batch_count)
    machine = Machine(options, policies_of(bench.app), Random(1))
    left = list(reversed(arrivals))
    now = Now(1.0, 1.0)
    happenings: list[Happening] = [SlotsChanged(1, 1), Rang()]
    ended_count = 0
    while ended_count < len(arrivals) and happenings:
        # Fast tasks, so that the batches are what they are under load.
        now = Now(now.at + 0.000_5, now.mono + 0.000_5)
        answers: list[Happening] = []
        for action in machine.step(now, happenings):
            ended_count += _grant(action, left, outcome, answers)
        happenings = answers


def _grant(action: Action, left: list[Arrival], outcome: Any, answers: list[Happening]) -> int:
    """Answer one action; return how many runs ended by it."""
    if isinstance(action, Exchange):
        if action.started:
            answers.append(ExchangeWritten())
        answers.append(ExchangeDone([left.pop() for _ in range(min(action.wanted, len(left)))]))
    elif isinstance(action, Submit):
        for order in action.orders:
            answers.append(JobStarted(order.entry.job_id, 1, 1.0))
            answers.append(RunEnded(order.entry.job_id, outcome))
        answers.append(SlotsChanged(1, 1))
        return len(action.orders)
    return 0


def _timed(count: int, work: Callable[[], object], pass_count: int = _PASS_COUNT) -> float:
    """Return CPU microseconds per message of the quickest pass over all."""
    passes_s = []
    for _ in range(pass_count):
        begun = time.thread_time()
        work()
        passes_s.append(time.thread_time() - begun)
    return 1e6 * min(passes_s) / count


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it into a page."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.count < 100:
        parser.error("--count: fewer than 100 messages tell nothing")
    before: list[Sheet] = []
    if options.against:
        try:
            before = sheets_of(options.against, _words(options))
        except ValueError as error:
            parser.error(f"--against: {error}")
    sheets = []
    with tempfile.TemporaryDirectory(prefix="tq-stages-") as folder, Servers(Path(folder)) as up:
        for broker in options.brokers:
            for pool in options.pools:
                url = up.place(broker).url
                is_on = options.results == "on"
                sheets.append(measure(url, pool, options.count, are_results_on=is_on))
    lines = list(table_lines(beside(before, sheets) if before else sheets))
    if options.page is None:
        print("\n".join(lines))
    else:
        write_section(options.page, [*_introduction(options), "", *lines])
        print(f"written: {options.page}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stages",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--brokers", nargs="+", choices=_BROKERS, default=_BROKERS)
    parser.add_argument("--pools", nargs="+", choices=_POOLS, default=_POOLS)
    parser.add_argument("--results", choices=("on", "off"), default="on")
    parser.add_argument("--count", type=int, default=_COUNT, help="messages of one pass")
    parser.add_argument(
        "--against", metavar="COMMIT", help="measure that commit too, now, and show both"
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write into this page instead of printing"
    )
    return parser


def _words(options: argparse.Namespace) -> list[str]:
    """Return the options that an earlier commit's stages know, too."""
    return [
        *("--brokers", *options.brokers, "--pools", *options.pools),
        *("--results", options.results, "--count", str(options.count)),
    ]


def _introduction(options: argparse.Namespace) -> list[str]:
    facts = machine_facts()
    command = "python -m benchmarks.stages"
    if options.against:
        command += f" --against {options.against}"
    text = (
        f"Written by `{command} --page FILE` on {facts['Date']} at commit {facts['Commit']}"
        f" ({facts['Machine']}, {facts['Python']}): the engine's own functions, one stage at a"
        f" time, CPU time of the quickest of several passes over {options.count:,} messages,"
        f" results {options.results}. Parts (`of it`) and the client's stage are not in the sum,"
        " and the sum is less than a worker's CPU per task: the loop's turns, the selector and"
        " cold caches are not in it."
    )
    if options.against:
        text += f" *Before* is commit {options.against}, measured in the same session."
    return ["## Stages of a task", "", text]


if __name__ == "__main__":
    sys.exit(main())

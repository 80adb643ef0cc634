"""The workloads that every queue has: enqueue, drain, fetch, round trip. One function is one run.

Each takes a rig and how much to do, and returns figures by name, or raises RunFailedError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.peers.base import FETCH_COUNT
from benchmarks.rig import Moment, Rig
from benchmarks.values import NotOfferedError, Reading, RunFailedError, Worker

#: Tasks of a drain at scale 1: about a second or two of each peer's work. A slower broker gets a
#: share of them.
DRAIN_COUNTS = {"ours": 60_000, "celery": 4_000, "dramatiq": 16_000, "huey": 10_000, "rq": 1_000}
_BROKER_SHARES = {"redis": 1.0, "rabbitmq": 0.4, "sqlite": 0.25}
#: Calls at scale 1: one by one, and through the call for many.
SINGLE_COUNT, BATCH_COUNT, TRIP_COUNT = 4_000, 40_000, 1_000
#: Calls or events before the first that counts: imports, connections, caches.
WARM_UP_COUNT = 20
_MICRO = 1e6

PEERS = ("ours", "celery", "dramatiq", "huey", "rq")
#: Which peers can use a broker.
PEERS_ON = {
    "redis": PEERS,
    "rabbitmq": ("ours", "celery", "dramatiq"),
    "sqlite": ("ours", "huey"),
}


@dataclass(frozen=True, slots=True)
class Workload:
    """What is measured. `metrics` are shown in this order; ratios are of the first."""

    name: str
    title: str
    metrics: tuple[str, ...]
    run: Callable[[Rig, float], Reading]
    worker: Worker = field(default_factory=Worker)
    brokers: tuple[str, ...] = ("redis", "rabbitmq", "sqlite")
    peers: tuple[str, ...] = PEERS
    #: Where `--quick` measures it; it leaves a workload without any out.
    quick_brokers: tuple[str, ...] = ()
    #: Rounds that it takes part in at most: memory and counts do not drift.
    most_rounds: int = 1000


def enqueue(rig: Rig, scale: float) -> Reading:
    """One by one, then through the call for many where there is one."""
    single_count, batch_count = scaled(SINGLE_COUNT, scale), scaled(BATCH_COUNT, scale)
    rig.driver.ask("send", WARM_UP_COUNT)
    said = rig.driver.ask("send", single_count)
    reading = {
        "single_rate": single_count / said["seconds"],
        "single_cpu_us": _MICRO * said["cpu_s"] / single_count,
    }
    expected = WARM_UP_COUNT + single_count
    try:
        said = rig.driver.ask("send_batches", batch_count)
    except NotOfferedError:
        pass
    else:
        expected += batch_count
        reading["batch_rate"] = batch_count / said["seconds"]
        reading["batch_cpu_us"] = _MICRO * said["cpu_s"] / batch_count
    left_count = rig.driver.ask("left")["count"]
    if left_count != expected:
        raise RunFailedError(f"wrong count: {left_count} messages in the queue of {expected} sent")
    return reading


def drain(rig: Rig, scale: float) -> Reading:
    """A full queue and one worker: from the first run seen to the last."""
    count = drain_count(rig, scale)
    rig.driver.ask("fill", count)
    with rig.workers() as pids:
        reading = between(rig.until(1, pids), rig.until(count, pids))
        if rig.worker.are_results_on:
            rig.check_stored(count)
            reading["fetch_single_rate"] = _fetch_rate(rig, "fetch", count)
            try:
                reading["fetch_rate"] = _fetch_rate(rig, "fetch_many", count)
            except NotOfferedError:
                reading["fetch_rate"] = reading["fetch_single_rate"]
    rig.check(count)
    return reading


def _fetch_rate(rig: Rig, how: str, count: int) -> float:
    said = rig.driver.ask(how)
    if said["count"] != min(count, FETCH_COUNT):
        raise RunFailedError(f"wrong count: {said['count']} results fetched")
    return float(said["count"] / said["seconds"])


def trips(rig: Rig, scale: float) -> Reading:
    """Call and wait, one at a time, with an idle worker."""
    with rig.workers():
        reading: Reading = rig.driver.ask("trips", scaled(TRIP_COUNT, scale))
    rig.check(rig.count())
    return reading


def between(begun: Moment, ended: Moment) -> Reading:
    """Return rate and cost of what was done between two moments."""
    count = ended.count - begun.count
    if count <= 0:
        raise RunFailedError("all was done before the first look: ask for more tasks")
    return {
        "rate": count / (ended.mono - begun.mono),
        "cpu_us": _MICRO * (ended.worker_cpu_s - begun.worker_cpu_s) / count,
        "server_us": _MICRO * (ended.server_cpu_s - begun.server_cpu_s) / count,
    }


def drain_count(rig: Rig, scale: float) -> int:
    """Return how many tasks a drain takes, which is more where more is done in the time."""
    return scaled(DRAIN_COUNTS[rig.peer], scale * _BROKER_SHARES[rig.place.broker])


def counts_in_words(scale: float) -> str:
    """Return how much is done, for the page."""
    shares = ", ".join(f"{broker} {share:g}" for broker, share in _BROKER_SHARES.items())
    drained = ", ".join(f"{peer} {round(it * scale):,}" for peer, it in DRAIN_COUNTS.items())
    return (
        f"tasks of a drain {drained} (of which {shares}); calls {round(SINGLE_COUNT * scale):,} one"
        f" by one, {round(BATCH_COUNT * scale):,} in batches; round trips"
        f" {round(TRIP_COUNT * scale):,}"
    )


def scaled(count: int, scale: float) -> int:
    """Return so much of a count, and something."""
    return max(20, round(count * scale))


_DRAINED = ("rate", "cpu_us", "server_us")
_TRIPPED = ("p50_ms", "p95_ms", "p99_ms", "min_ms")
CORE = (
    Workload(
        "drain",
        "Drain, results off, one process",
        _DRAINED,
        drain,
        quick_brokers=("redis", "sqlite"),
    ),
    Workload(
        "drain-results",
        "Drain, results on, one process; fetch of 1,000 results",
        (*_DRAINED, "fetch_rate", "fetch_single_rate"),
        drain,
        Worker(are_results_on=True),
        quick_brokers=("redis",),
    ),
    Workload(
        "enqueue",
        "Enqueue, one producer",
        ("single_rate", "single_cpu_us", "batch_rate", "batch_cpu_us"),
        enqueue,
        quick_brokers=("redis",),
    ),
    Workload(
        "trip",
        "Round trip, one process",
        _TRIPPED,
        trips,
        Worker(are_results_on=True),
        quick_brokers=("redis", "sqlite"),
    ),
    Workload(
        "trip-prefork",
        "Round trip, worker with two children",
        _TRIPPED,
        trips,
        Worker("prefork", are_results_on=True),
        peers=("ours", "celery"),
        quick_brokers=("redis",),
    ),
    Workload(
        "machine",
        "Whole machine: drain with two children or what the peer has, results off",
        _DRAINED,
        drain,
        Worker("machine"),
        quick_brokers=("redis",),
        most_rounds=2,
    ),
)

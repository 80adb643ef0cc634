"""The workloads of scale: what a task costs when there is much of everything else. Ours only."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import processes
from benchmarks.rig import Rig
from benchmarks.values import Reading, RunFailedError
from benchmarks.workloads import Workload, between, drain_count, scaled

#: Queued messages (on SQLite a quarter) and pending ETA tasks at scale 1.
_MOST_QUEUED, _ETA_COUNT = 1_000_000, 100_000
#: Depths that are kept by sending so many and waiting for them, and how many go through in all.
_STEADY_DEPTHS, _STEADY_COUNT = (1, 1_000), 5_000
_REGISTERED_COUNTS = (10, 100, 1_000, 10_000)
_WORKER_COUNTS = (1, 2, 3, 4)


def depth(rig: Rig, scale: float) -> Reading:
    """CPU per task at several depths: small ones kept up, large ones while a full queue drains."""
    reading: Reading = {}
    with rig.workers() as pids:
        for size in _STEADY_DEPTHS:
            round_count = max(2, scaled(_STEADY_COUNT, scale) // max(size, 5))
            # What the worker does first is not what it does for ever.
            _send_and_wait(rig, size, pids)
            begun = rig.moment(pids, rig.count(), 0.0)
            for _ in range(round_count):
                _send_and_wait(rig, size, pids)
            ended = rig.moment(pids, rig.count(), 1.0)
            reading[f"cpu_us_at_{size}"] = between(begun, ended)["cpu_us"]
    share = 0.25 if rig.place.broker == "sqlite" else 1.0
    base, most = rig.count(), scaled(_MOST_QUEUED, scale * share)
    rig.driver.ask("fill", most)
    depths = [most // divisor for divisor in (1, 10, 100)]
    with rig.workers() as pids:
        for size in depths:
            begun = rig.until(base + max(1, most - size), pids)
            ended = rig.until(base + most - size // 2, pids)
            reading[f"cpu_us_at_{size}"] = between(begun, ended)["cpu_us"]
        rig.until(base + most, pids)
    rig.check(base + most)
    deep, shallow = reading[f"cpu_us_at_{depths[0]}"], reading[f"cpu_us_at_{depths[-1]}"]
    reading["cost_ratio"] = deep / shallow if shallow else 0.0
    return reading


def registered(rig: Rig, scale: float) -> Reading:
    """A drain by apps with more and more tasks registered."""
    reading: Reading = {}
    for count in _REGISTERED_COUNTS:
        with Rig(rig.peer, rig.place, replace(rig.worker, registered_count=count)) as one:
            reading[f"cpu_us_at_{count}"] = _drain_more(one, drain_count(one, scale), 1)["cpu_us"]
    first, last = (reading[f"cpu_us_at_{at}"] for at in (_REGISTERED_COUNTS[0], count))
    reading["cost_ratio"] = last / first if first else 0.0
    return reading


def eta(rig: Rig, scale: float) -> Reading:
    """Tasks that are due in an hour go through a worker's hands: what it keeps of them."""
    parked_count, count = scaled(_ETA_COUNT, scale), drain_count(rig, scale)
    with rig.workers() as pids:
        rig.driver.ask("fill", count)
        before = between(rig.until(1, pids), rig.until(count, pids))
        before_mb = processes.rss_mb(pids[0])
        rig.driver.ask("park", parked_count)
        # Behind them in the queue: when these run, all of those were looked at.
        rig.driver.ask("fill", count)
        rig.until(2 * count, pids)
        grown_mb = processes.rss_mb(pids[0]) - before_mb
        rig.driver.ask("fill", count)
        after = between(rig.until(2 * count + 1, pids), rig.until(3 * count, pids))
    left_count = rig.driver.ask("left")["count"]
    if rig.count() != 3 * count or left_count != parked_count:
        raise RunFailedError(f"wrong count: {rig.count()} ran, {left_count} wait of {parked_count}")
    return {
        "grown_mb": grown_mb,
        "cpu_us_at_0": before["cpu_us"],
        f"cpu_us_at_{parked_count}": after["cpu_us"],
    }


def workers(rig: Rig, scale: float) -> Reading:
    """A drain by one to four workers of one process each."""
    reading: Reading = {}
    for count in _WORKER_COUNTS:
        drained = _drain_more(rig, drain_count(rig, scale), count)
        reading[f"rate_at_{count}"] = drained["rate"]
        reading[f"cpu_us_at_{count}"] = drained["cpu_us"]
    return reading


def _drain_more(rig: Rig, count: int, worker_count: int) -> Reading:
    base = rig.count()
    rig.driver.ask("fill", count)
    with rig.workers(worker_count) as pids:
        reading = between(rig.until(base + 1, pids), rig.until(base + count, pids))
    rig.check(base + count)
    return reading


def _send_and_wait(rig: Rig, count: int, pids: list[int]) -> None:
    until_count = rig.count() + count
    rig.driver.ask("fill", count)
    rig.until(until_count, pids)


SCALING = (
    Workload(
        "depth",
        "Scale: CPU us per task by messages queued",
        ("cost_ratio",),
        depth,
        brokers=("redis", "sqlite"),
        peers=("ours",),
        most_rounds=1,
    ),
    Workload(
        "registered",
        "Scale: CPU us per task by tasks registered",
        ("cost_ratio",),
        registered,
        brokers=("redis",),
        peers=("ours",),
        most_rounds=1,
    ),
    Workload(
        "eta",
        "Scale: pending ETA tasks",
        ("grown_mb",),
        eta,
        brokers=("redis", "sqlite"),
        peers=("ours",),
        most_rounds=1,
    ),
    Workload(
        "workers",
        "Scale: workers of one process each",
        (),
        workers,
        brokers=("redis", "rabbitmq", "sqlite"),
        peers=("ours",),
        most_rounds=1,
    ),
)

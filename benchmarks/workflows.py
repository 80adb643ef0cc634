"""The workload of workflows: a chord, from the call to its body's result, and how it grows."""

from __future__ import annotations

from benchmarks import processes
from benchmarks.rig import Rig
from benchmarks.values import Reading, Worker
from benchmarks.workloads import WARM_UP_COUNT, Workload, scaled

#: Parts of a chord: the second must not cost more for each than the first.
_SIZES = (1_000, 10_000)


def chords(rig: Rig, scale: float) -> Reading:
    """Send a chord of no-ops, wait for its body, and again ten times as large."""
    reading: Reading = {}
    ran_count = 0
    costs_us = []
    with rig.workers() as pids:
        rig.driver.ask("chord", WARM_UP_COUNT)
        ran_count += WARM_UP_COUNT + 1
        for full_size in _SIZES:
            size = scaled(full_size, scale)
            before_mb = processes.rss_mb(pids[0])
            said = rig.driver.ask("chord", size)
            ran_count += size + 1
            costs_us.append(1e6 * said["seconds"] / size)
            reading[f"us_a_part_at_{full_size}"] = costs_us[-1]
            reading[f"grown_mb_at_{full_size}"] = processes.rss_mb(pids[0]) - before_mb
    rig.check(ran_count)
    reading["cost_ratio"] = costs_us[1] / costs_us[0]
    return reading


WORKFLOWS = (
    Workload(
        "chord",
        "A chord of 1,000 and of 10,000 no-ops, one process",
        (f"us_a_part_at_{_SIZES[1]}", f"us_a_part_at_{_SIZES[0]}", "cost_ratio"),
        chords,
        Worker(are_results_on=True),
        brokers=("redis", "sqlite"),
        peers=("ours", "celery"),
    ),
)

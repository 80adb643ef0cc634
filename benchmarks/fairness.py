"""The workload of fairness: do short tasks wait for long ones while a slot is free?

Of four slots a long task holds one at any time. Short ones come in small bursts, in turns without
and with a long one amid them; the 99th percentiles of their waits are compared.
"""

from __future__ import annotations

import statistics

from benchmarks.rig import Rig
from benchmarks.values import Reading, RunFailedError, Worker
from benchmarks.workloads import WARM_UP_COUNT, Workload, scaled

#: Short tasks of one turn at scale 1, turns of each kind, and seconds that a long task takes.
_SHORT_COUNT, _TURN_COUNT, LONG_S = 500, 2, 2.5


def fairness(rig: Rig, scale: float) -> Reading:
    """Waits of 1 ms tasks alone and beside tasks of `LONG_S`, of which one runs at any time."""
    count = scaled(_SHORT_COUNT, scale)
    waits_s: dict[float, list[float]] = {0.0: [], LONG_S: []}
    with rig.workers() as pids:
        total = WARM_UP_COUNT
        rig.driver.ask("mix", WARM_UP_COUNT, seconds=0.0)
        rig.until(total, pids)
        rig.waits_s()
        for _ in range(_TURN_COUNT):
            for long_s, found_s in waits_s.items():
                said = rig.driver.ask("mix", count, seconds=long_s)
                total += count + said["long_count"]
                rig.until(total, pids)
                found_s += _all_of(rig, count)
    rig.check(total)
    alone_s, beside_s = (_p99(found_s) for found_s in waits_s.values())
    return {
        "wait_ratio": beside_s / alone_s,
        "wait_alone_ms": 1000 * alone_s,
        "wait_beside_ms": 1000 * beside_s,
        "wait_most_ms": 1000 * max(waits_s[LONG_S]),
    }


def _all_of(rig: Rig, count: int) -> list[float]:
    found_s = rig.waits_s()
    if len(found_s) != count:
        raise RunFailedError(f"wrong count: {len(found_s)} short tasks told of {count}")
    return found_s


def _p99(waits_s: list[float]) -> float:
    return statistics.quantiles(waits_s, n=100, method="inclusive")[98]


_METRICS = ("wait_ratio", "wait_alone_ms", "wait_beside_ms", "wait_most_ms")
FAIRNESS = (
    Workload(
        "fair",
        f"Fairness: waits of 1 ms tasks beside tasks of {LONG_S:g} s, worker with four children",
        _METRICS,
        fairness,
        Worker("prefork", slot_count=4),
        brokers=("redis", "sqlite"),
        peers=("ours", "celery"),
        most_rounds=2,
    ),
    Workload(
        "fair-threads",
        f"Fairness: waits of 1 ms tasks beside tasks of {LONG_S:g} s, worker with four threads",
        _METRICS,
        fairness,
        Worker("threads", slot_count=4),
        brokers=("redis", "sqlite"),
        peers=("ours", "celery"),
        most_rounds=2,
    ),
)

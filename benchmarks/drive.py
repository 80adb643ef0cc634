"""A driver: one peer in a process of its own, asked in JSON lines on stdin, answering on stdout.

    python -m benchmarks.drive celery

A question is {"do": name, ...}; an answer holds what the name promises, {"unable": why} or
{"error": why}. The peers' own output goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import processes
from benchmarks.peers.base import Peer, event_fields
from benchmarks.values import NotOfferedError

#: Trips before the first that counts: connections, caches, waiting keys.
_WARM_UP_COUNT = 10
#: Short tasks that are sent at once, seconds between two such bursts, and between the end of a long
#: task and the next.
_BURST_COUNT, _PACE_S, _PAUSE_S = 5, 0.025, 0.2
Answer = dict[str, Any]


def answer(peer: Peer, question: dict[str, Any]) -> Answer:
    """Do what was asked."""
    count = int(question.get("count", 0))
    simple: dict[str, Callable[[], Answer]] = {
        "fill": lambda: _timed(count, peer.fill),
        "send": lambda: _timed(count, peer.send),
        "send_batches": lambda: _timed(count, peer.send_batches),
        "chord": lambda: _timed(count, peer.chord),
        "park": lambda: _timed(count, peer.park),
        "keep": lambda: _kept(peer, count),
        "tell": lambda: _told(peer, count),
        "listen": lambda: peer.listen(count),
        "trips": lambda: _trips(peer, count),
        "mix": lambda: _mix(peer, count, float(question["seconds"])),
        "stored": lambda: {"count": peer.stored_count()},
        "fetch": lambda: _fetch(peer.fetch),
        "fetch_many": lambda: _fetch(peer.fetch_many),
        "left": lambda: {"count": peer.left_count()},
    }
    return simple[question["do"]]()


def _timed(count: int, work: Callable[[int], None]) -> Answer:
    begun, begun_cpu = time.perf_counter(), time.process_time()
    work(count)
    return {
        "seconds": time.perf_counter() - begun,
        "cpu_s": time.process_time() - begun_cpu,
    }


def _told(peer: Peer, count: int) -> Answer:
    events = [event_fields(number) for number in range(count)]
    return _timed(count, lambda _: peer.tell(events))


def _kept(peer: Peer, count: int) -> Answer:
    before_mb = processes.rss_mb(os.getpid())
    timed = _timed(count, peer.keep)
    return {**timed, "grown_mb": processes.rss_mb(os.getpid()) - before_mb}


def _mix(peer: Peer, count: int, long_s: float) -> Answer:
    """Send short tasks in small bursts at an even pace, and amid them, unless `long_s` is 0, one
    long task after the other: at most one runs at any time.
    """
    long_count, long_at_mono = 0, 0.0
    begun_mono = time.monotonic()
    for number in range(1, count + 1):
        peer.send_short()
        is_amid = number % _BURST_COUNT == _BURST_COUNT // 2
        if long_s and is_amid and time.monotonic() >= long_at_mono:
            peer.send_long(long_s)
            long_count += 1
            long_at_mono = time.monotonic() + long_s + _PAUSE_S
        if number % _BURST_COUNT == 0:
            next_mono = begun_mono + number // _BURST_COUNT * _PACE_S
            time.sleep(max(0.0, next_mono - time.monotonic()))
    # Nothing of the next mix meets the last long one of this.
    time.sleep(max(0.0, long_at_mono - time.monotonic()))
    return {"long_count": long_count}


def _trips(peer: Peer, count: int) -> Answer:
    for _ in range(_WARM_UP_COUNT):
        peer.trip()
    trips_ms = []
    for _ in range(count):
        begun = time.perf_counter()
        peer.trip()
        trips_ms.append(1000 * (time.perf_counter() - begun))
    cuts = statistics.quantiles(trips_ms, n=100, method="inclusive")
    return {"p50_ms": cuts[49], "p95_ms": cuts[94], "p99_ms": cuts[98], "min_ms": min(trips_ms)}


def _fetch(work: Callable[[], int]) -> Answer:
    begun = time.perf_counter()
    count = work()
    return {"count": count, "seconds": time.perf_counter() - begun}


def main() -> int:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        peer: Peer = importlib.import_module(f"benchmarks.peers.{sys.argv[1]}").make_peer()
    except ImportError as error:
        print(json.dumps({"error": f"not installed: {error}"}), file=answers, flush=True)
        return 1
    for line in iter(sys.stdin.readline, ""):
        try:
            said = answer(peer, json.loads(line))
        except NotOfferedError as error:
            said = {"unable": str(error)}
        except Exception as error:  # noqa: BLE001 - told to whoever asked, who shows it
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

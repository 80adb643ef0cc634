"""The embedded broker in under a minute: enqueue, drain and round trip, counts verified.

Figures of one run on one machine: compare them with each other, not with other days'.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench_app import app, noop

#: How much work each figure takes.
SINGLE_COUNT, BATCH_COUNT, BATCH_SIZE, TRIP_COUNT = 1000, 20_000, 100, 500


def main() -> int:
    """Measure and print one line per figure."""
    for pool in ("solo", "prefork"):
        with tempfile.TemporaryDirectory(prefix="tq-bench-") as folder:
            url = f"sqlite:///{(Path(folder) / 'queue.db').as_posix().lstrip('/')}"
            app.close()
            app.conf.update(broker_url=url, result_backend=url)
            if pool == "solo":
                _report("enqueue one by one", SINGLE_COUNT / _enqueue_single(), "/s")
            else:
                _enqueue_single()
            ids, took_s = _enqueue_batches()
            if pool == "solo":
                _report(f"enqueue in batches of {BATCH_SIZE}", BATCH_COUNT / took_s, "/s")
            with _worker(url, pool):
                rate = _drain_rate(ids)
                _report(f"drain, {pool}, results on", rate, "/s")
                trips_ms = sorted(_trip_ms() for _ in range(TRIP_COUNT))
                _report(f"round trip, {pool}, p50", statistics.median(trips_ms), "ms")
                _report(f"round trip, {pool}, p99", trips_ms[int(0.99 * TRIP_COUNT)], "ms")
    return 0


def _report(name: str, value: float, unit: str) -> None:
    text = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    print(f"{name:<32} {text:>10} {unit}", flush=True)


def _enqueue_single() -> float:
    begun = time.perf_counter()
    for number in range(SINGLE_COUNT):
        noop.delay(number)
    return time.perf_counter() - begun


def _enqueue_batches() -> tuple[list[str], float]:
    ids: list[str] = []
    begun = time.perf_counter()
    for start in range(0, BATCH_COUNT, BATCH_SIZE):
        calls = [(noop, (number,), {}, {}) for number in range(start, start + BATCH_SIZE)]
        ids.extend(result.id for result in app.send_many(calls))
    return ids, time.perf_counter() - begun


@contextmanager
def _worker(url: str, pool: str) -> Iterator[None]:
    command = [sys.executable, "-m", "tqconsole", "-q", "-A", "benchmarks.bench_app", "-b", url]
    process = subprocess.Popen(
        [*command, "worker", "-n", "bench@localhost", "-P", pool, "-c", "2"],
        stdout=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _drain_rate(ids: list[str]) -> float:
    """Tasks a second between the first tenth and the end, every result counted."""
    tenth = len(ids) // 10
    app.AsyncResult(ids[tenth]).get(timeout=60)
    begun, begun_count = time.perf_counter(), _done_count(ids)
    app.AsyncResult(ids[-1]).get(timeout=120)
    took_s = time.perf_counter() - begun
    done_count = _done_count(ids)
    if done_count < len(ids) - 2 * BATCH_SIZE:
        raise SystemExit(f"only {done_count} of {len(ids)} results are there")
    return (done_count - begun_count) / took_s


def _done_count(ids: list[str]) -> int:
    return sum(len(app.backend.fetch(ids[at : at + 500])) for at in range(0, len(ids), 500))


def _trip_ms() -> float:
    begun = time.perf_counter()
    noop.delay(1).get(timeout=10)
    return 1000 * (time.perf_counter() - begun)


if __name__ == "__main__":
    sys.exit(main())

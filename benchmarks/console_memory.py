"""What the console's model takes in memory: one row, and eight hours. Prints one JSON object.

Eight hours pass in seconds: the simulated cluster works at a pace at which the store lets rows go
many times over, so that what grows without a bound would show.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys

from benchmarks.processes import rss_mb
from tqconsole.core.simulate import SimulatedSession
from tqconsole.core.simulated_events import PICTURE_AT, EventSource
from tqconsole.core.store import Store

#: Rows of the first measurement, and tasks a second and hours of the second.
_ROWS, _TASKS_PER_S, _HOURS = 50_000, 12.0, 8


def main() -> int:
    """Measure and print."""
    row_bytes = _row_bytes()
    # The code of the screens belongs to a console's memory.
    importlib.import_module("tqconsole.console")
    gc.collect()
    session = SimulatedSession(worker_count=20, tasks_per_s=_TASKS_PER_S, history_s=60)
    for _ in range(_HOURS * 3600):
        session.advance(1)
        session.drain()
    snapshot = session.snapshot()
    answer = {
        "row_bytes": row_bytes,
        "events": 4 * _TASKS_PER_S * _HOURS * 3600,
        "rows": snapshot.rows_kept,
        "rss_mb": rss_mb(os.getpid()),
    }
    sys.stdout.write(json.dumps(answer))
    return 0


def _row_bytes() -> float:
    source, store, at = EventSource(1, 20, 2000.0), Store(), PICTURE_AT
    before_mb = rss_mb(os.getpid())
    while len(store) < _ROWS:
        for event in source.second(at):
            store.apply(event, event["timestamp"], event["hostname"])
        store.take_changes()
        at += 1
    del source
    gc.collect()
    return 1e6 * (rss_mb(os.getpid()) - before_mb) / len(store)


if __name__ == "__main__":
    sys.exit(main())

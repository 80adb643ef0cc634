"""Sends the events of a simulated cluster to a broker, as they would come: for `console_load`.

    python -m benchmarks.console_feed URL EVENTS_PER_S WORKERS QUEUES SECONDS

Each second's events are made ahead and sent in slices when their time has come, in batches of one
worker each, as workers send them.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tqconsole.core.simulated_events import EventSource
from tqconsole.engine.app import App
from tqconsole.engine.protocol.event import BATCH_KEY, EVENTS, encode_events
from tqconsole.engine.protocol.transfer import Publication

#: Events of a task: sent, received, started, ended; some calls stay in their queues.
EVENTS_PER_TASK = 3.3
#: Up to so many queues the simulated cluster's own ones do.
_OWN_QUEUES = 10
#: Seconds of one slice, and between two heartbeats of a worker.
_SLICE_S, _HEARTBEAT_S = 0.05, 2


def main(words: Sequence[str]) -> int:
    """Send until the seconds are over."""
    url = words[0]
    event_rate, worker_count, queue_count, seconds = map(int, words[1:])
    source = EventSource(1, worker_count, event_rate / EVENTS_PER_TASK, is_steady=True)
    broker = App("feed", broker=url).broker
    begun_at = int(time.time()) + 1
    for second in range(seconds):
        at = begun_at + second
        slices: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for number, event in enumerate(source.second(at)):
            if event["type"] == "task-sent" and queue_count > _OWN_QUEUES:
                event["queue"] = f"work.{number % queue_count:04d}"
            slices[int((event["timestamp"] - at) / _SLICE_S)].append(event)
        if second % _HEARTBEAT_S == 0:
            slices[0] += source.heartbeats(at)
        for number in range(int(1 / _SLICE_S)):
            time.sleep(max(0.0, at + (number + 1) * _SLICE_S - time.time()))
            broker.broadcast(EVENTS, _batches(slices[number]))
    broker.close()
    return 0


def _batches(events: list[dict[str, Any]]) -> list[Publication]:
    by_host: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        by_host[event["hostname"]].append(event)
    return [Publication(encode_events(batch), BATCH_KEY, EVENTS.name) for batch in by_host.values()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

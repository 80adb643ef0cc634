"""The workloads of events: a drain that somebody listens to, and both ends alone."""

from __future__ import annotations

import time

from benchmarks.rig import Driver, Rig
from benchmarks.servers import ask_redis
from benchmarks.values import Reading, RunFailedError, Worker
from benchmarks.workloads import WARM_UP_COUNT, Workload, between, drain_count, scaled

#: Events at scale 1.
_EVENT_COUNT = 20_000
#: Tasks of a picture at scale 1.
_KEPT_COUNT = 100_000
_MICRO = 1e6
#: Seconds until a listener must have subscribed, where the server tells.
_SUBSCRIBE_S = 10.0


def drain_listened(rig: Rig, scale: float) -> Reading:
    """A drain while a listener in a process of its own takes every event."""
    count = drain_count(rig, scale / 2)
    rig.driver.ask("fill", count)
    ear = Driver(rig.peer, rig.place, rig.worker)
    try:
        ear.tell("listen", count)
        _await_subscriber(rig)
        with rig.workers() as pids:
            reading = between(rig.until(1, pids), rig.until(count, pids))
            said = ear.answer()
    finally:
        ear.close()
    if said["task-succeeded"] != count:
        raise RunFailedError(f"wrong count: {said['task-succeeded']} events of {count} tasks")
    heard = sum(number for name, number in said.items() if name.startswith("task-"))
    reading["heard_count"] = heard / count
    rig.check(count)
    return reading


def events(rig: Rig, scale: float) -> Reading:
    """Events sent by the peer's own sender to its own receiver, each in a process of its own."""
    count = scaled(_EVENT_COUNT, scale)
    ear = Driver(rig.peer, rig.place, rig.worker)
    try:
        ear.tell("listen", WARM_UP_COUNT + count)
        _await_subscriber(rig)
        rig.driver.ask("tell", WARM_UP_COUNT)
        sent = rig.driver.ask("tell", count)
        heard = ear.answer()
    finally:
        ear.close()
    if heard["task-succeeded"] != WARM_UP_COUNT + count:
        raise RunFailedError(f"wrong count: {heard['task-succeeded']} events came")
    return {
        "send_cpu_us": _MICRO * sent["cpu_s"] / count,
        "send_rate": count / sent["seconds"],
        "receive_rate": heard["task-succeeded"] / heard["cpu_s"],
        "receive_wall_rate": heard["task-succeeded"] / heard["seconds"],
    }


def kept(rig: Rig, scale: float) -> Reading:
    """A picture of many tasks from their decoded events, in one process."""
    count = scaled(_KEPT_COUNT, scale)
    said = rig.driver.ask("keep", count)
    return {
        "kept_bytes": 1e6 * said["grown_mb"] / count,
        "kept_cpu_us": _MICRO * said["cpu_s"] / count,
    }


def _await_subscriber(rig: Rig) -> None:
    """Wait until the listener is there; where nobody can tell, its own words come first."""
    end_mono = time.monotonic() + _SUBSCRIBE_S
    port = rig.place.redis_port
    if rig.place.broker != "redis" or port is None:
        time.sleep(1)
        return
    while _subscriber_count(port) == 0:
        if time.monotonic() > end_mono:
            raise RunFailedError("its listener did not subscribe")
        time.sleep(0.01)


def _subscriber_count(port: int) -> int:
    """Return how many clients of the server listen to channels or patterns."""
    clients = ask_redis(port, "CLIENT LIST").split()
    return sum(word.startswith(("sub=", "psub=")) and not word.endswith("=0") for word in clients)


LISTENING = (
    Workload(
        "drain-listened",
        "Drain with a listener to all events, results off, one process",
        ("rate", "cpu_us", "server_us", "heard_count"),
        drain_listened,
        Worker(has_events=True),
        brokers=("redis", "sqlite"),
        peers=("ours", "celery"),
    ),
    Workload(
        "events",
        "Events: sender and receiver alone",
        ("send_cpu_us", "send_rate", "receive_rate", "receive_wall_rate"),
        events,
        brokers=("redis",),
        peers=("ours", "celery"),
    ),
    Workload(
        "kept",
        "Events: memory of `events.State` with 100,000 tasks, three events each",
        ("kept_bytes", "kept_cpu_us"),
        kept,
        brokers=("redis",),
        peers=("ours", "celery"),
        most_rounds=1,
    ),
)

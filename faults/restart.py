"""T-RESTART: the broker is killed, or told to stop, under a stream of calls, and comes back.

Redis keeps an append-only file, synced always or every second in turn; what it may lose in the
second case is its own promise: the ids of the last moments.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import redis

from faults.figures import beyond, p95
from faults.places import Place
from faults.scenario import ENGINES, Beside, Case, Report, Scenario
from faults.site import Site
from faults.stream import Stream
from tests.servers.brokers_up import Daemon, rabbitmq_daemon, redis_daemon, redis_up

_CALLS_PER_S = 150
#: Redis is away for so long; RabbitMQ takes longer than that to start.
_DOWN_S = 2.0
#: Goals, in seconds: the first task after the port answers (p95), and the longest publish.
_RESUMED_S, _PUBLISH_S = 2.0, 10.0
#: After so long it is not waited for any more; the storm goes on, with a new worker if need be.
_GIVEN_UP_S = 20.0
#: What `appendfsync everysec` may lose when the server is killed: a write may wait for a sync.
_UNSYNCED_S = 2.0
#: Runs again for each restart: what a worker holds, all of which may have ended unheard.
_HELD_COUNT = 300
_RESTART_COUNTS = {
    "redis": {"ci": 2, "night": 10, "release": 100},
    "rabbitmq": {"ci": 1, "night": 6, "release": 100},
}


@dataclass(slots=True)
class Toll:
    """What the restarts came to. `forgotten` are spans whose calls the server may have lost."""

    resumed_s: list[float]
    forgotten: list[tuple[float, float]]
    exit_count: int = 0
    silent_count: int = 0


def _run(case: Case) -> Report:
    restart_count = case.of(_RESTART_COUNTS[case.broker])
    with _opened(case) as (daemon, place), Site(case, place) as site:
        toll = Toll([], [])
        with Stream(site, per_s=_CALLS_PER_S) as stream:
            restarts_left = restart_count
            while restarts_left:
                restarts_left = _one_worker(site, daemon, toll, restarts_left)
        with site.worker("-c", "2"):
            site.drain()
        account = site.settle()
        forgotten = _in_spans(site, toll.forgotten)
    broken = account.not_zero("duplicated", "lost")
    if account.lost > len(site.lost_ids & forgotten):
        broken.append(
            f"lost: {len(site.lost_ids - forgotten)} that the server had promised to keep"
        )
    broken += beyond(
        {
            "worker exits": (toll.exit_count, 0),
            "never resumed": (toll.silent_count, 0),
            "resumed p95 s": (p95(toll.resumed_s), _RESUMED_S),
            "longest call s": (stream.longest_s, _PUBLISH_S),
            "duplicated": (account.duplicated, restart_count * _HELD_COUNT),
        }
    )
    figures = {
        "restarts": restart_count,
        "resumed p95 s": p95(toll.resumed_s),
        "never resumed": toll.silent_count,
        "worker exits": toll.exit_count,
        "calls refused": stream.failed_count,
        "longest call s": stream.longest_s,
    }
    return Report(account, figures, broken)


def _one_worker(site: Site, daemon: Daemon, toll: Toll, restarts_left: int) -> int:
    """Restart the broker while a worker lives; return how many restarts are left."""
    chance = site.case.chance()
    with site.worker("-c", "2") as process:
        site.await_start_after(time.monotonic(), _GIVEN_UP_S)
        while restarts_left:
            restarts_left -= 1
            kind = chance.choice((signal.SIGKILL, signal.SIGTERM))
            is_synced = _sync(daemon, is_always=bool(restarts_left % 2))
            # A load before each restart, and no beat that they share.
            time.sleep(chance.uniform(0.5, 1.5))
            stopped_mono = time.monotonic()
            daemon.stop(kind)
            if kind is signal.SIGKILL and not is_synced:
                toll.forgotten.append((stopped_mono - _UNSYNCED_S, stopped_mono))
            if site.place.redis_port:
                time.sleep(_DOWN_S)
            daemon.start()
            up_mono = time.monotonic()
            resumed_mono = site.await_start_after(up_mono, _GIVEN_UP_S)
            if resumed_mono is not None:
                toll.resumed_s.append(resumed_mono - up_mono)
            elif process.poll() is not None:
                toll.exit_count += 1
                return restarts_left
            else:
                toll.silent_count += 1
    return restarts_left


def _in_spans(site: Site, spans: list[tuple[float, float]]) -> set[str]:
    published = site.reading.published.items()
    return {
        task_id
        for task_id, stamp in published
        if any(first <= stamp.at_mono <= last for first, last in spans)
    }


@contextlib.contextmanager
def _opened(case: Case) -> Iterator[tuple[Daemon, Place]]:
    """Open a place whose broker may be stopped; RabbitMQ's results are in a Redis that stays."""
    if case.broker == "redis":
        options = ("--appendonly", "yes", "--appendfsync", "always")
        with redis_daemon(case.folder / "redis", *options) as daemon:
            yield daemon, Place(daemon.url, daemon.url, daemon.port)
        return
    with (
        redis_up(case.folder / "results") as store,
        rabbitmq_daemon(case.folder / "rabbitmq") as daemon,
    ):
        yield daemon, Place(daemon.url, store.url)


def _sync(daemon: Daemon, *, is_always: bool) -> bool:
    """Let Redis sync its file always or each second; True when nothing confirmed may be lost."""
    if not daemon.url.startswith("redis"):
        return True
    with redis.Redis(port=daemon.port) as link:
        link.config_set("appendfsync", "always" if is_always else "everysec")
    return is_always


RESTART = Scenario(
    "T-RESTART",
    "the broker is killed or stopped under 150 calls a second, and comes back",
    goal="no worker exits; resumed within 2 s (p95) of the port's answer; nothing lost but what"
    " `appendfsync everysec` may lose; no call takes longer than 10 s",
    fails_when="an error of the broker ends the worker's loop",
    run=_run,
    brokers=("redis", "rabbitmq"),
    engines=ENGINES,
    beside=Beside.ITS_BROKERS,
)

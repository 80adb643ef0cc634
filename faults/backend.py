"""T-BACKEND: the result store is away for a while, tasks go on, and no result is missing after."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator

from faults.account import Account
from faults.figures import beyond
from faults.places import Place
from faults.scenario import ENGINES, Beside, Case, Report, Scenario
from faults.site import Site
from faults.stream import Stream
from tests.servers.brokers_up import Daemon, redis_daemon

_CALLS_PER_S = 100
_AWAY_S = {"ci": 2.0, "night": 20.0, "release": 300.0}
#: Goals, in seconds: no pause between two starts is longer, and all results are there after that.
_PAUSE_S, _STORED_S = 1.0, 5.0
_PATIENCE_S = 30.0


def _run(case: Case) -> Report:
    figures: dict[str, float | str] = {"away s": case.of(_AWAY_S)}
    broken: list[str] = []
    accounts = [_away(case, acks, figures, broken) for acks in ("late", "early")]
    return Report(accounts[0] + accounts[1], figures, broken)


def _away(case: Case, acks: str, figures: dict[str, float | str], broken: list[str]) -> Account:
    with (
        _store(case, acks) as store,
        Site(case, _beside(case, store), acks=acks, name=acks) as site,
    ):
        with site.worker("-c", "2") as process:
            with Stream(site, per_s=_CALLS_PER_S):
                site.await_start_after(time.monotonic(), _PATIENCE_S)
                store.stop()
                away_mono = time.monotonic()
                time.sleep(case.of(_AWAY_S))
                store.start()
                back_mono = time.monotonic()
                time.sleep(_PAUSE_S)
            site.drain()
            stored_s = time.monotonic() - back_mono
            exit_code = process.poll()
        account = site.settle()
        pause_s = _longest_pause_s(site, away_mono, back_mono)
    figures |= {f"{acks}: longest pause s": pause_s, f"{acks}: all stored after s": stored_s}
    broken += [f"{acks}: {line}" for line in account.not_zero()]
    broken += beyond(
        {
            f"{acks}: longest pause s": (pause_s, _PAUSE_S),
            f"{acks}: all stored after s": (stored_s, _STORED_S),
        }
    )
    if exit_code is not None:
        broken.append(f"{acks}: the worker exited with {exit_code}")
    return account


def _longest_pause_s(site: Site, first_mono: float, last_mono: float) -> float:
    """Return the longest time without a start between two instants, under a steady stream."""
    starts = sorted(
        stamps[0].at_mono
        for stamps in site.reading.starts.values()
        if first_mono <= stamps[0].at_mono <= last_mono
    )
    instants = [first_mono, *starts, last_mono]
    return max(later - sooner for sooner, later in itertools.pairwise(instants))


@contextlib.contextmanager
def _store(case: Case, acks: str) -> Iterator[Daemon]:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_daemon(case.folder / f"results-{acks}", *options) as daemon:
        yield daemon


def _beside(case: Case, store: Daemon) -> Place:
    place = case.places.empty(case.broker)
    return Place(place.broker_url, store.url, place.redis_port)


BACKEND = Scenario(
    "T-BACKEND",
    "the result store is killed and comes back, beside a broker that stays",
    goal="no result missing afterwards; no pause of more than 1 s between starts meanwhile",
    fails_when="a task is acknowledged whose result could not be stored",
    run=_run,
    engines=ENGINES,
    beside=Beside.ITS_BROKERS,
)

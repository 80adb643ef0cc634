"""T-CUT: what a network does to the link between a worker and its broker, one mode after the other.

The worker goes through a proxy, also for its results where they are on the same server; the calls
do not. Resumed is when the first call that was sent after the fault (after its end, for a pause)
begins to run. The calls take no time: what has piled up runs before that one, and must not be taken
for the outage.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from faults.figures import beyond, p95
from faults.proxy import Manner, TcpProxy
from faults.scenario import ENGINES, Beside, Case, Report, Scenario
from faults.site import Site
from faults.stream import Stream

_CALLS_PER_S = 50
#: A fault lasts so long where it has an end, in seconds.
_FAULT_S = {"ci": 1.0, "night": 10.0, "release": 10.0}
_ROUND_COUNTS = {"ci": 1, "night": 2, "release": 12}
#: After so long a worker is taken for one that will never resume, in seconds.
_GIVEN_UP_S = 60.0
_HELD_COUNT = 300


@dataclass(frozen=True, slots=True)
class Mode:
    """A fault; `begin` returns when it is over or has begun for good. `resumed_s` is the goal."""

    name: str
    resumed_s: float
    begin: Callable[[TcpProxy, float], None]


def _pause(proxy: TcpProxy, fault_s: float) -> None:
    proxy.hold()
    time.sleep(fault_s)
    proxy.release()


def _half_open(proxy: TcpProxy, _: float) -> None:
    proxy.silence()


def _reset(proxy: TcpProxy, _: float) -> None:
    proxy.cut(with_reset=True)


def _cut_in_the_middle(proxy: TcpProxy, fault_s: float) -> None:
    proxy.carry(Manner(left_bytes=5000))
    time.sleep(fault_s)
    proxy.carry(Manner())


def _one_byte_at_a_time(proxy: TcpProxy, fault_s: float) -> None:
    proxy.carry(Manner(piece_bytes=1))
    time.sleep(fault_s)
    proxy.carry(Manner())


def _far_away(proxy: TcpProxy, fault_s: float) -> None:
    proxy.carry(Manner(delay_s=0.3))
    time.sleep(fault_s)
    proxy.carry(Manner())


MODES = (
    Mode("pause", 1.0, _pause),
    Mode("half-open", 15.0, _half_open),
    Mode("reset", 2.0, _reset),
    Mode("cut in the middle", 2.0, _cut_in_the_middle),
    Mode("one byte a write", 2.0, _one_byte_at_a_time),
    Mode("300 ms away", 2.0, _far_away),
)


def _run(case: Case) -> Report:
    place = case.places.empty(case.broker)
    times_s: dict[str, list[float]] = {mode.name: [] for mode in MODES}
    modes = list(MODES) * case.of(_ROUND_COUNTS)
    case.chance().shuffle(modes)
    port = urlsplit(place.broker_url).port or 0
    with TcpProxy(port) as proxy, Site(case, place) as site:
        with (
            site.worker("-c", "2", url=proxy.url(place.broker_url)) as process,
            Stream(site, per_s=_CALLS_PER_S, duration_s=0.0) as stream,
        ):
            site.await_start_after(time.monotonic(), _GIVEN_UP_S)
            for mode in modes:
                times_s[mode.name].append(_met(site, proxy, mode))
            exit_code = process.poll()
        with site.worker("-c", "2"):
            site.drain()
        account = site.settle()
    figures: dict[str, float | str] = {"faults": len(modes), "calls refused": stream.failed_count}
    figures.update({f"{name} s": p95(values) for name, values in times_s.items()})
    broken = account.not_zero("duplicated")
    broken += beyond({f"{it.name} s": (p95(times_s[it.name]), it.resumed_s) for it in MODES})
    broken += beyond({"duplicated": (account.duplicated, len(modes) * _HELD_COUNT)})
    if exit_code is not None:
        broken.append(f"the worker exited with {exit_code}")
    return Report(account, figures, broken)


def _met(site: Site, proxy: TcpProxy, mode: Mode) -> float:
    """Let one fault happen; return the seconds until work goes on."""
    begun_mono = time.monotonic()
    mode.begin(proxy, site.case.of(_FAULT_S))
    # A fault without an end is told from its beginning.
    over_mono = time.monotonic() if mode.begin is not _half_open else begun_mono
    resumed_mono = site.await_new_work(over_mono, _GIVEN_UP_S)
    return (resumed_mono or time.monotonic()) - over_mono


CUT = Scenario(
    "T-CUT",
    "the link to the broker pauses, goes silent, is reset, cut, slowed",
    goal="resumed within 1 s of a pause, 15 s of a silent link, 2 s of a reset; nothing lost",
    fails_when="an answer is waited for as long as it takes (Redis)",
    run=_run,
    brokers=("redis", "rabbitmq"),
    engines=ENGINES,
    beside=Beside.ITS_BROKERS,
)

"""T-KILL and T-KILL-E: SIGKILL the whole worker group again and again, then count.

A kill comes when so many tasks have ended, so that every kill meets work; what follows is started
at once under the same name.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from dataclasses import dataclass

from faults.account import Account
from faults.figures import beyond, p95
from faults.scenario import ENGINES, Case, Report, Scenario
from faults.site import Site
from tqconsole.engine.worker.window import MAX_HANDED

_CHILD_COUNT = 2
_TASK_S = 0.002
#: What may be handed over at once: as many tasks as start within a millisecond (design §3).
HANDED_OVER_COUNT = MAX_HANDED * _CHILD_COUNT
#: A worker that ends nothing for so long is killed all the same, in seconds.
_STALLED_S = 5.0
#: Goals: seconds from the start of a worker to its first task (p95), and from the last kill to the
#: end of what it left behind.
_FIRST_TASK_S, _DRAINED_S = 1.0, 15.0


@dataclass(frozen=True, slots=True)
class Volume:
    """How much of it."""

    task_count: int
    kill_count: int


VOLUMES = {"ci": Volume(1000, 3), "night": Volume(4_000, 16), "release": Volume(100_000, 200)}
#: RabbitMQ takes back a killed consumer's messages in a second of its own.
RABBITMQ_RELEASE = Volume(20_000, 80)


def _run_late(case: Case) -> Report:
    return _storm(case, "late")


def _run_early(case: Case) -> Report:
    return _storm(case, "early")


def _storm(case: Case, acks: str) -> Report:
    volume = case.of(VOLUMES)
    if (case.broker, case.depth) == ("rabbitmq", "release"):
        volume = RABBITMQ_RELEASE
    with Site(case, case.places.empty(case.broker), acks=acks) as site:
        site.publish(volume.task_count, duration_s=_TASK_S)
        firsts_s = _kills(site, volume)
        killed_mono = time.monotonic()
        with site.worker("-c", str(_CHILD_COUNT)):
            site.drain()
        account = site.settle()
        drained_s = site.reading.last_end_mono - killed_mono
    figures = {
        "kills": volume.kill_count,
        "first task p50 s": statistics.median(firsts_s),
        "first task p95 s": p95(firsts_s),
        "drained after s": drained_s,
    }
    return Report(account, figures, _broken(account, acks, volume.kill_count))


def _kills(site: Site, volume: Volume) -> list[float]:
    """Kill the group so many times; return the seconds from each start to its first task."""
    chance = site.case.chance()
    firsts_s = []
    for kill in range(volume.kill_count):
        started_mono = time.monotonic()
        with site.worker("-c", str(_CHILD_COUNT)) as process:
            share = (kill + chance.uniform(0.2, 0.8)) / (volume.kill_count + 1)
            site.await_ends(int(share * volume.task_count), _STALLED_S)
            os.killpg(process.pid, signal.SIGKILL)
        first_mono = site.reading.refresh().first_start_after(started_mono)
        if first_mono is not None:
            firsts_s.append(first_mono - started_mono)
    return firsts_s


def _broken(account: Account, acks: str, kill_count: int) -> list[str]:
    """Return what does not hold.

    A task that was killed may run again (late) or be reported (early): at most what was handed over
    for each kill.
    """
    touched = "reported" if acks == "early" else "duplicated"
    bound = kill_count * HANDED_OVER_COUNT
    return account.not_zero(touched) + beyond({touched: (account.counts()[touched], bound)})


LATE = Scenario(
    "T-KILL",
    "the whole worker group is killed each second or two, late ack",
    goal="lost, stuck, without result, dead-lettered 0; runs again at most what was handed over",
    fails_when="a late-ack task is handed over as an acknowledged one",
    run=_run_late,
    engines=ENGINES,
)
EARLY = Scenario(
    "T-KILL-E",
    "the same, early ack",
    goal="nothing lost without a report; reported at most what was handed over",
    fails_when="what `give_back` says is lost is not reported",
    run=_run_early,
    engines=ENGINES,
)

"""T-TERM: a worker is told to stop, warmly, coldly, or by somebody who loses patience.

What it had not begun goes back at once; what runs ends, or goes back when the grace is over; after
a KILL another worker finds all of it within a lease.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from subprocess import Popen

from faults.account import Account
from faults.figures import beyond
from faults.ledger import HOLD
from faults.scenario import Beside, Case, Report, Scenario
from faults.site import Site

_ROUND_COUNTS = {"ci": 1, "night": 2, "release": 50}
#: Goals, in seconds: how long a stop takes beyond the tasks that run, and when another worker has
#: what a killed one had.
_STOPPED_S, _FOUND_S = 1.0, 15.0
_PATIENCE_S = 30.0
#: How long it is waited for a task that does not end, before the KILL.
_KILLED_AFTER_S = 2.0
_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Stop:
    """A way to be stopped. `options` are the worker's; `task_s` None: the tasks run until they are
    let go; `exit_code` None: it is killed.

    `bound_s` is how long it may take; `reruns` how many tasks may begin twice.
    """

    name: str
    options: Sequence[str]
    task_count: int
    task_s: float | None
    begin: Callable[[Popen[bytes]], None]
    exit_code: int | None
    bound_s: float
    reruns: int = 0


def _sends(*signums: signal.Signals) -> Callable[[Popen[bytes]], None]:
    def begin(process: Popen[bytes]) -> None:
        for signum in signums:
            process.send_signal(signum)
            time.sleep(0.1)

    return begin


def _term_then_kill(process: Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    time.sleep(_KILLED_AFTER_S)
    process.kill()


_TWO, _HUNDRED = ("-c", "2"), ("-P", "threads", "-c", "100")
_GRACE = (*_TWO, "--grace", f"{_GRACE_S:g}")
_TERM, _INT, _QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
#: A few that differ most come first: they are what each commit is tried with.
_FEW_COUNT = 4
STOPS = (
    Stop("TERM, 1,000 reserved", _TWO, 1000, 0.01, _sends(_TERM), 0, _STOPPED_S),
    Stop("TERM twice", _TWO, 200, 0.01, _sends(_TERM, _TERM), 0, _STOPPED_S),
    Stop("INT twice", _TWO, 4, None, _sends(_INT, _INT), 1, _STOPPED_S, 2),
    Stop("TERM, then KILL", _TWO, 4, None, _term_then_kill, None, _KILLED_AFTER_S + 0.5, 2),
    Stop("TERM, 100 running", _HUNDRED, 100, 0.8, _sends(_TERM), 0, 0.8 + _STOPPED_S),
    Stop("INT", _TWO, 200, 0.01, _sends(_INT), 0, _STOPPED_S),
    Stop("QUIT", _TWO, 4, None, _sends(_QUIT), 1, _STOPPED_S, 2),
    Stop("TERM with a grace", _GRACE, 4, None, _sends(_TERM), 1, _GRACE_S + _STOPPED_S, 2),
)


def _run(case: Case) -> Report:
    figures: dict[str, float | str] = {}
    broken: list[str] = []
    stops: Sequence[Stop] = STOPS
    if case.depth == "ci":
        # T-LEASE waits for the end of a lease on Redis already.
        stops = STOPS[: _FEW_COUNT - (case.broker == "redis")]
    accounts = [
        _stopped(case, stop, number, figures, broken)
        for number in range(case.of(_ROUND_COUNTS))
        for stop in stops
    ]
    return Report(sum(accounts[1:], accounts[0]), figures, broken)


def _stopped(
    case: Case, stop: Stop, number: int, figures: dict[str, float | str], broken: list[str]
) -> Account:
    place = case.places.empty(case.broker)
    name = f"{stop.name}-{number}".replace(" ", "-").replace(",", "")
    with Site(case, place, name=name) as site:
        gate = case.folder / f"{name}.gate"
        if stop.task_s is None:
            site.publish_calls(HOLD, (str(gate),), stop.task_count)
        else:
            site.publish(stop.task_count, duration_s=stop.task_s)
        with site.worker(*stop.options, name="first@localhost") as process:
            site.wait(lambda: len(site.reading.starts) >= 2, _PATIENCE_S)
            told_mono = time.monotonic()
            stop.begin(process)
            exit_code = process.wait(_PATIENCE_S)
            stopped_s = time.monotonic() - told_mono
        stopped_mono = time.monotonic()
        with site.worker("-c", "4", name="second@localhost"):
            found_s = _found_s(site, stop, stopped_mono)
            gate.touch()
            site.drain()
        account = site.settle()
    figures[f"{stop.name} s"] = max(stopped_s, float(figures.get(f"{stop.name} s", 0.0)))
    figures[f"{stop.name}: found s"] = max(
        found_s, float(figures.get(f"{stop.name}: found s", 0.0))
    )
    broken += [f"{stop.name}: {line}" for line in account.not_zero("duplicated")]
    broken += beyond(
        {
            f"{stop.name}: seconds": (stopped_s, stop.bound_s),
            f"{stop.name}: seconds until another begins it": (found_s, _FOUND_S),
            f"{stop.name}: duplicated": (account.duplicated, stop.reruns),
        }
    )
    if stop.exit_code is not None and exit_code != stop.exit_code:
        broken.append(f"{stop.name}: exit code {exit_code}, must be {stop.exit_code}")
    return account


def _found_s(site: Site, stop: Stop, stopped_mono: float) -> float:
    """Return the seconds until another worker has begun all that ran without an end."""
    if stop.task_s is not None:
        return 0.0
    site.wait(lambda: _begun_since(site, stopped_mono) == stop.task_count, _PATIENCE_S)
    return time.monotonic() - stopped_mono


def _begun_since(site: Site, at_mono: float) -> int:
    return sum(stamps[-1].at_mono > at_mono for stamps in site.reading.starts.values())


TERM = Scenario(
    "T-TERM",
    "a worker is told to stop: TERM, INT, QUIT, twice, with a grace, and by a KILL that follows",
    goal="stopped within 1 s of what runs; nothing lost, nothing twice after a warm stop; exit code"
    " 0 warm (TERM, once or twice; INT), 1 cold (QUIT, INT twice, a grace that is over); another"
    " worker has all of it within 15 s of a KILL",
    fails_when="a worker that is told to stop goes on fetching",
    run=_run,
    beside=Beside.ITS_BROKERS,
)

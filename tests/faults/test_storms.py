"""Every fault test at the volume of each commit, on each of its brokers.

The seed is fixed: what fails here fails again with the command that is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from faults.places import BROKERS, Places
from faults.runner import Order, Outcome, new_case, run_case
from faults.scenario import IN_PROCESS, Case, Scenario
from faults.table import SCENARIOS

Pair = tuple[Scenario, str]

ORDER = Order([*SCENARIOS.values()], "tqconsole", [*BROKERS, IN_PROCESS], "ci", seed=1)
#: They wait for a lease, a silent link, a result or a time: their brokers do so side by side.
WAITING = {"T-CUT", "T-ETA", "T-GET", "T-LEASE", "T-PUB"}
#: It waits for a lease and does nothing meanwhile: another that waits goes on beside it.
BESIDE = {"T-LEASE": "T-CUT"}

#: What stands above the volume of a commit is `make faults`.
pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(240)]


def trials() -> Iterator[Sequence[Pair]]:
    """Yield what is tried at a time: a scenario on one broker, or all that wait together."""
    together: dict[str, list[Pair]] = {}
    for scenario, broker in ORDER.pairs():
        name = BESIDE.get(scenario.fault_id, scenario.fault_id)
        if scenario.fault_id not in WAITING:
            name += broker
        together.setdefault(name, []).append((scenario, broker))
    yield from together.values()


def name_of(trial: Sequence[Pair]) -> str:
    return "-".join(dict.fromkeys(word for it, broker in trial for word in (it.fault_id, broker)))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Pair], Places]]:
    """Hand out the places of each broker apart: one may be emptied while another is in use."""
    opened: dict[str, Places] = {}

    def places_of(pair: Pair) -> Places:
        scenario, broker = pair
        name = broker + (scenario.fault_id if scenario.fault_id in BESIDE else "")
        if name not in opened:
            opened[name] = Places(tmp_path_factory.mktemp(name))
        return opened[name]

    yield places_of
    for it in opened.values():
        it.close()


@pytest.mark.parametrize("trial", [pytest.param(it, id=name_of(it)) for it in trials()])
def test_promises_hold(trial: Sequence[Pair], places: Callable[[Pair], Places]) -> None:
    def outcome_of(case: Case) -> Outcome:
        return run_case(SCENARIOS[case.fault_id], case)

    cases = [new_case(*pair, ORDER, places(pair)) for pair in trial]
    # One alone has the main thread: there are limits of a process that only that can set.
    if len(cases) == 1:
        outcomes = [outcome_of(*cases)]
    else:
        with ThreadPoolExecutor(len(cases)) as threads:
            outcomes = list(threads.map(outcome_of, cases))

    broken = [line for it in outcomes if it.report.broken for line in it.lines]
    assert not broken, "\n".join(broken)

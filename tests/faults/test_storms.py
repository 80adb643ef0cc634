"""Every fault test at the volume of each commit, on each of its brokers.

The seed is fixed: what fails here fails again with the command that is printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import pytest

from faults.places import BROKERS, Places
from faults.runner import Order, Outcome, new_case, run_case
from faults.scenario import IN_PROCESS, Scenario
from faults.table import SCENARIOS

ORDER = Order([*SCENARIOS.values()], "tqconsole", [*BROKERS, IN_PROCESS], "ci", seed=1)
#: They wait for a lease, a silent link, a result or a time: their brokers do so side by side.
WAITING = {"T-CUT", "T-ETA", "T-GET", "T-LEASE", "T-PUB"}

#: What stands above the volume of a commit is `make faults`.
pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(240)]


def trials() -> Iterator[tuple[Scenario, Sequence[str]]]:
    """Yield what is tried at a time: a scenario, and its brokers."""
    for scenario, pairs in groupby(ORDER.pairs(), key=lambda pair: pair[0]):
        brokers = [broker for _, broker in pairs]
        together = [brokers] if scenario.fault_id in WAITING else [[it] for it in brokers]
        yield from ((scenario, group) for group in together)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Places]]:
    """Hand out the places of each broker apart: one may be emptied while another is in use."""
    brokers = (*BROKERS, IN_PROCESS)
    by_broker = {it: Places(tmp_path_factory.mktemp(it)) for it in brokers}
    yield by_broker
    for opened in by_broker.values():
        opened.close()


@pytest.mark.parametrize(
    ("scenario", "brokers"),
    [pytest.param(*it, id=f"{it[0].fault_id}-{'-'.join(it[1])}") for it in trials()],
)
def test_promises_hold(
    scenario: Scenario, brokers: Sequence[str], places: Mapping[str, Places]
) -> None:
    def outcome_on(broker: str) -> Outcome:
        return run_case(scenario, new_case(scenario, broker, ORDER, places[broker]))

    # One alone has the main thread: there are limits of a process that only that can set.
    if len(brokers) == 1:
        outcomes = [outcome_on(*brokers)]
    else:
        with ThreadPoolExecutor(len(brokers)) as threads:
            outcomes = list(threads.map(outcome_on, brokers))

    broken = [line for it in outcomes if it.report.broken for line in it.lines]
    assert not broken, "\n".join(broken)

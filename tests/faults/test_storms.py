"""Every fault test at the volume of each commit, on each of its brokers.

The seed is fixed: what fails here fails again with the command that is printed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.places import BROKERS, Places
from faults.runner import Order, new_case, run_case
from faults.scenario import IN_PROCESS, Scenario
from faults.table import SCENARIOS

ORDER = Order([*SCENARIOS.values()], "tqconsole", [*BROKERS, IN_PROCESS], "ci", seed=1)

#: What stands above the volume of a commit is `make faults`.
pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with Places(tmp_path_factory.mktemp("places")) as places:
        yield places


@pytest.mark.parametrize(
    ("scenario", "broker"),
    [pytest.param(*pair, id=f"{pair[0].fault_id}-{pair[1]}") for pair in ORDER.pairs()],
)
def test_promises_hold(scenario: Scenario, broker: str, places: Places) -> None:
    outcome = run_case(scenario, new_case(scenario, broker, ORDER, places))

    assert not outcome.report.broken, "\n".join(outcome.lines)

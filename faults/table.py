"""All scenarios, by their ids. To add one: write it in a file of its own, and its row here."""

from __future__ import annotations

from faults import kill
from faults.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.fault_id: scenario for scenario in (kill.LATE, kill.EARLY)
}

"""All scenarios, by their ids. To add one: write it in a file of its own, and its row here."""

from __future__ import annotations

from faults import cut, kill, lease, oom, restart, term
from faults.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.fault_id: scenario
    for scenario in (
        kill.LATE,
        kill.EARLY,
        restart.RESTART,
        cut.CUT,
        oom.OOM,
        term.TERM,
        lease.LEASE,
    )
}

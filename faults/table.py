"""All scenarios, by their ids. To add one: write it in a file of its own, and its row here."""

from __future__ import annotations

from faults import (
    backend,
    canvas,
    chords,
    conn,
    cut,
    eta,
    fork,
    full,
    get,
    keys,
    kill,
    leak,
    lease,
    model,
    oom,
    publish,
    restart,
    sqlite,
    term,
)
from faults.fuzz import scenario as fuzz
from faults.scenario import Scenario
from faults.sim import scenario as sim

_ALL = (
    kill.LATE,
    kill.EARLY,
    restart.RESTART,
    cut.CUT,
    oom.OOM,
    term.TERM,
    lease.LEASE,
    full.FULL,
    backend.BACKEND,
    get.GET,
    publish.PUB,
    conn.CONN,
    keys.KEYS,
    leak.LEAK,
    eta.ETA,
    fork.FORK,
    chords.CHORD,
    canvas.CANVAS,
    fuzz.FUZZED,
    model.MODELLED,
    sim.SIMULATED,
    sqlite.SQLITE,
)
SCENARIOS: dict[str, Scenario] = {scenario.fault_id: scenario for scenario in _ALL}

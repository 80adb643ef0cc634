"""T-SIM as a scenario: so many seeds, each a history of its own."""

from __future__ import annotations

import time
from collections import Counter

from faults.scenario import IN_PROCESS, Beside, Case, Report, Scenario
from faults.sim.run import live_all

VOLUMES = {"ci": 200, "night": 3_000, "release": 10_000}
#: Broken seeds that are told of one by one.
_TOLD_COUNT = 20


def run(case: Case) -> Report:
    """Live the seeds from the case's on; the first is the one that `--seed` names."""
    count = case.of(VOLUMES)
    started = time.perf_counter()
    lives = live_all(range(case.seed, case.seed + count))
    took_s = time.perf_counter() - started
    broken = [
        f"seed {life.seed} ({life.kind}): {life.broken};"
        f" python -m faults {case.fault_id} --seed {life.seed}"
        for life in lives
        if life.broken
    ]
    kinds = Counter(life.kind for life in lives)
    figures: dict[str, float | str] = {
        "seeds": count,
        **{f"as {kind}": kinds[kind] for kind in sorted(kinds)},
        "tasks": sum(life.task_count for life in lives),
        "turns": sum(life.turn_count for life in lives),
        "deaths of workers": sum(life.death_count for life in lives),
        "extra runs, each with its reason": sum(life.extra_run_count for life in lives),
        "checks": sum(life.check_count for life in lives),
        "broken": len(broken),
        "seeds per s": count / took_s,
    }
    return Report(figures=figures, broken=broken[:_TOLD_COUNT])


SIMULATED = Scenario(
    "T-SIM",
    "whole workers in a seeded world: lost answers, cuts, deaths, stops, outages, clock skew",
    goal="0 broken invariants in 10,000 seeds: nothing is lost, nothing runs twice without a"
    " reason, no slot waits while there is work, every stop ends",
    fails_when="what an exchange that failed had settled or published is not kept; a loss is not"
    " reported; all acknowledge early; what a cut link has taken back is forgotten"
    " (tests/faults/test_simulation.py switches each off)",
    run=run,
    brokers=(IN_PROCESS,),
    beside=Beside.ANYTHING,
)

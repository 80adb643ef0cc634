"""The order of runs, what a budget leaves out, and what becomes of a run that failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.results import Results
from benchmarks.rig import Moment, Rig
from benchmarks.servers import Servers
from benchmarks.session import OUT_OF_TIME, Plan, run
from benchmarks.values import Key, Reading, RunFailedError
from benchmarks.workloads import Workload, between

OURS = Key("invented", "sqlite", "ours")


def invented(rig: Rig, scale: float) -> Reading:
    """Measure nothing; fail for huey."""
    if rig.peer == "huey":
        raise RunFailedError("wrong count: 7 runs of 8 tasks")
    return {"rate": scale}


WORKLOAD = Workload("invented", "Invented", ("rate",), invented, brokers=("sqlite",))


def test_peers_take_turns_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    plan, results, told = Plan([WORKLOAD], ["sqlite"], ["ours", "huey"], 2, 0.5), Results(), []

    with Servers(tmp_path) as servers:
        run(plan, servers, results, lambda number, key, said: told.append((number, key.peer, said)))

    failed = "ERROR wrong count: 7 runs of 8 tasks"
    assert told == [
        *(("1/2", "ours", "rate 0.5"), ("1/2", "huey", failed)),
        *(("2/2", "ours", "rate 0.5"), ("2/2", "huey", failed)),
    ]
    assert results.series[OURS].readings == [{"rate": 0.5}, {"rate": 0.5}]
    assert results.series[Key("invented", "sqlite", "huey")].readings == []


def test_what_the_budget_leaves_out_says_so(tmp_path: Path) -> None:
    plan = Plan([WORKLOAD], ["sqlite"], ["ours"], 2, 1.0, budget_s=-1.0)
    results = Results()

    with Servers(tmp_path) as servers:
        run(plan, servers, results, lambda *_: None)

    assert results.series[OURS].failures == [OUT_OF_TIME]


def test_what_does_not_drift_is_measured_in_the_first_rounds_only(tmp_path: Path) -> None:
    plan = Plan([replace(WORKLOAD, most_rounds=2)], ["sqlite"], ["ours"], 5, 1.0)
    results = Results()

    with Servers(tmp_path) as servers:
        run(plan, servers, results, lambda *_: None)

    assert len(results.series[OURS].readings) == 2


def test_a_round_is_of_what_was_chosen() -> None:
    workload = Workload("invented", "Invented", ("rate",), invented, quick_brokers=("redis",))
    full = Plan([workload], ["redis", "sqlite"], ["ours", "rq"], 1, 1.0)
    quick = Plan([workload], ["redis", "sqlite"], ["ours", "rq"], 1, 1.0, is_quick=True)

    groups = [[(key.broker, key.peer) for key in keys] for _, keys in full.groups()]
    quick_groups = [[(key.broker, key.peer) for key in keys] for _, keys in quick.groups()]

    assert groups == [[("redis", "ours"), ("redis", "rq")], [("sqlite", "ours")]]
    assert quick_groups == [[("redis", "ours"), ("redis", "rq")]]


def test_a_rate_is_of_what_ran_between_two_moments() -> None:
    reading = between(Moment(10.0, 100, 1.0, 0.5), Moment(12.0, 1100, 1.5, 0.6))

    assert reading == pytest.approx({"rate": 500.0, "cpu_us": 500.0, "server_us": 100.0})


def test_a_rate_of_nothing_is_an_error() -> None:
    with pytest.raises(RunFailedError, match="before the first look"):
        between(Moment(10.0, 100, 1.0, 0.5), Moment(10.0, 100, 1.0, 0.5))

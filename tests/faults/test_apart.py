"""What holds no times runs in a process for each broker, and nothing of it gets lost on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from faults.account import Account
from faults.apart import parted, read_outcome, run_apart, write_outcome
from faults.places import BROKERS, Places
from faults.record import BEGIN, END, Suite, placed, record_suite
from faults.runner import Order, Outcome, new_case, run_all
from faults.scenario import IN_PROCESS, Beside, Case, Report, Scenario
from faults.table import SCENARIOS

ACCOUNT = Account(1, 1, 0, 0, 0, 0, 0, 0, 0)


def a_scenario(beside: Beside = Beside.NOTHING, brokers: tuple[str, ...] = BROKERS) -> Scenario:
    def run(case: Case) -> Report:
        return Report(ACCOUNT, {"broker": case.broker})

    return Scenario("T-NONE", "nothing", "all stays", "never", run, brokers, beside=beside)


def an_order(*scenarios: Scenario, brokers: tuple[str, ...] = (*BROKERS, IN_PROCESS)) -> Order:
    return Order(scenarios, "tqconsole", brokers, "ci", 7)


def test_only_what_holds_no_times_runs_apart() -> None:
    timed, timeless = a_scenario(), a_scenario(Beside.ANYTHING)

    here, lanes = parted(an_order(timed, timeless))

    assert [scenario for scenario, _ in here.pairs()] == [timed] * len(BROKERS)
    assert [list(lane.pairs()) for lane in lanes] == [[(timeless, it)] for it in BROKERS]


def test_one_broker_alone_runs_here() -> None:
    order = an_order(a_scenario(Beside.ANYTHING), brokers=("redis",))

    assert parted(order) == (order, ())


@pytest.mark.parametrize("beside", [Beside.NOTHING, Beside.ITS_BROKERS])
def test_each_pair_comes_to_an_outcome_in_order(beside: Beside) -> None:
    outcomes = list(run_all(an_order(a_scenario(beside))))

    assert [it.case.broker for it in outcomes] == list(BROKERS)
    assert [it.report.figures["broker"] for it in outcomes] == list(BROKERS)


def test_outcome_is_the_same_after_its_way(tmp_path: Path) -> None:
    order = an_order(a_scenario())
    case = new_case(a_scenario(), "redis", order, Places(tmp_path))
    path = tmp_path / "outcomes.jsonl"
    told = Outcome(case, Report(ACCOUNT, {"kills": 3, "p95 s": 0.25}, ["lost: 1"]), 1.5)

    write_outcome(path, told)

    from_file = read_outcome(json.loads(path.read_text()), order)
    assert replace(from_file.case, places=case.places) == case
    assert list(from_file.lines) == list(told.lines)


@pytest.mark.slow
def test_lane_tells_what_its_process_came_to() -> None:
    order = an_order(SCENARIOS["T-MODEL"], brokers=(IN_PROCESS,))

    (outcome,) = run_apart([order])

    assert (outcome.case.fault_id, outcome.report.broken) == ("T-MODEL", [])
    assert outcome.report.figures["histories"]


@pytest.mark.slow
def test_process_that_ends_before_its_cases_is_a_broken_promise() -> None:
    (outcome,) = run_apart([an_order(a_scenario(), brokers=("redis",))])

    (told,) = outcome.report.broken
    assert told.startswith("its process ended with 2: ")
    assert "T-NONE" in told


def test_run_of_everything_is_told_in_a_line(tmp_path: Path) -> None:
    page = tmp_path / "reliability.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    good, bad = (
        Outcome(new_case(a_scenario(), "redis", an_order(), Places(tmp_path)), report, 1.0)
        for report in (Report(), Report(broken=["lost: 1"]))
    )

    suite = replace(Suite.begin(an_order()), commit="abc1234", begun_at=1_800_000_000.0)
    run = {**suite.ended([good, bad]), "took_s": 1500.0}
    record_suite(page, run, {})

    assert (
        "The whole suite at depth `ci` ran on 2027-01-15 08:00 at abc1234 in 25 minutes:"
        " 1 of 2 cases held; not held: T-NONE on redis."
    ) in page.read_text()


def test_files_are_named_by_their_place_in_the_project() -> None:
    here = Path(__file__)

    assert placed(f'File "{here}", line 7') == 'File "tests/faults/test_apart.py", line 7'
    assert placed('File "/opt/x/lib/python3.11/json/a.py"') == 'File "python3.11/json/a.py"'

"""The suite itself: the ledger, the equation, the choice on the command line, what is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.__main__ import main
from faults.account import Account, lost_ids, settle_account
from faults.ledger import Ledger, Reading
from faults.places import Places
from faults.record import BEGIN, END, record
from faults.runner import Order, Outcome, new_case, run_case
from faults.scenario import IN_PROCESS, Case, Report, Scenario
from faults.table import SCENARIOS

CLEAN = Account(1, 1, 0, 0, 0, 0, 0, 0, 0)


def a_scenario(report: Report | Exception) -> Scenario:
    def run(case: Case) -> Report:
        if isinstance(report, Exception):
            raise report
        return report

    return Scenario("T-NONE", "nothing happens", "all stays", "never", run, (IN_PROCESS,))


def outcome_of(scenario: Scenario, folder: Path) -> Outcome:
    order = Order([scenario], "tqconsole", [IN_PROCESS], "ci", 7)
    with Places(folder) as places:
        return run_case(scenario, new_case(scenario, IN_PROCESS, order, places))


def test_equation_tells_each_fate_apart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.txt")
    ledger.tried(["unconfirmed"])
    ledger.published(["good", "twice", "silent", "reported", "lost"])
    for task_id in ("good", "twice", "twice", "silent", "stranger", "unconfirmed"):
        ledger.started(task_id)
        ledger.ended(task_id)
    ledger.started("reported")
    reading = Reading(ledger.path).refresh()
    states = {"good": "SUCCESS", "twice": "SUCCESS", "reported": "FAILURE"}

    account = settle_account(reading, states, stuck_count=2, dead_count=3)

    assert account == Account(5, 3, 1, 1, 1, 1, 1, 2, 3)
    assert account.published == account.ended + account.reported + account.lost
    assert lost_ids(reading, states) == {"lost"}
    assert account.not_zero("stuck", "dead lettered", "reported", "duplicated", "unexpected") == [
        "lost: 1, must be 0",
        "without result: 1, must be 0",
    ]


def test_reading_takes_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "ledger.txt"
    path.write_text("P a 1 10.0\nS a 2 11.0\nE a 2")
    reading = Reading(path).refresh()
    assert not reading.ends
    assert reading.running() == {"a": (2, 11.0)}

    with path.open("a") as file:
        file.write(" 12.0\n")

    assert reading.refresh().ends["a"] == [(2, 12.0)]
    assert reading.running() == {}


def test_new_work_is_told_from_what_was_in_hand(tmp_path: Path) -> None:
    path = tmp_path / "ledger.txt"
    path.write_text("P old 1 10.0\nT new 1 20.0\nS old 2 20.5\nS new 3 21.0\n")

    reading = Reading(path).refresh()

    assert reading.first_start_after(20.0) == 20.5
    assert reading.first_new_start(15.0) == 21.0
    assert reading.first_new_start(20.5) is None
    assert reading.has_new_process(20.7)


def test_case_that_raises_is_a_broken_promise(tmp_path: Path) -> None:
    outcome = outcome_of(a_scenario(RuntimeError("the sky fell")), tmp_path)

    assert outcome.report.broken[0] == "RuntimeError: the sky fell"
    assert (outcome.case.folder / "error.txt").exists()
    assert f"  kept: {outcome.case.folder}" in outcome.lines


def test_outcome_says_its_counters_and_how_to_replay(tmp_path: Path) -> None:
    report = Report(CLEAN, {"kills": 3, "first task p95 s": 0.25}, ["lost: 1, must be 0"])

    lines = list(outcome_of(a_scenario(report), tmp_path).lines)

    assert lines[1].startswith("  published 1 = ended 1 + reported 0 + lost 0; duplicated 0")
    assert lines[2] == "  kills 3, first task p95 s 0.25"
    assert lines[3] == "  BROKEN lost: 1, must be 0"
    assert lines[-1] == (
        "  replay: python -m faults T-NONE --engine tqconsole --broker in-process"
        " --depth ci --seed 7"
    )


def test_record_writes_the_newest_run_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "reliability.md"
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nafter\n")
    for count in (2, 5):
        scenario = a_scenario(Report(CLEAN, {"kills": count}))
        record(page, outcome_of(scenario, tmp_path / str(count)), {"T-NONE": scenario})

    text = page.read_text()

    assert text.startswith("# Before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "kills 5" in text
    assert "kills 2" not in text


def test_record_refuses_a_page_without_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    scenario = a_scenario(Report())

    with pytest.raises(ValueError, match="to write the figures between"):
        record(page, outcome_of(scenario, tmp_path), {"T-NONE": scenario})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["T-NOTHING"], "unknown: T-NOTHING"),
        (["T-KILL", "--engine", "celery", "--broker", "sqlite"], "nothing to run"),
        (["T-LEASE", "--broker", "rabbitmq"], "nothing to run"),
        (["T-KILL", "--depth", "deep"], "invalid choice: 'deep'"),
    ],
)
def test_what_cannot_be_run_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)

    assert said in capsys.readouterr().err


def test_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0

    listed = capsys.readouterr().out
    assert all(fault_id in listed for fault_id in SCENARIOS)

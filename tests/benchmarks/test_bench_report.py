"""The report writer on CANNED measurements: no figure in this file was ever measured."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from benchmarks.report import MARKER, number, page_lines, picture, standing, table_lines, write_page
from benchmarks.results import Results, load
from benchmarks.targets import TARGETS, Target, Verdict, judge
from benchmarks.values import Key
from benchmarks.workloads import CORE

OURS, DRAMATIQ, CELERY = (Key("drain", "redis", peer) for peer in ("ours", "dramatiq", "celery"))
DRAIN = CORE[0]


def canned() -> Results:
    """Return invented results: ours twice as quick as dramatiq, celery failed."""
    results = Results({"Date": "invented", "Machine": "none: canned for a test"})
    for rate in (30_000.0, 20_000.0, 10_000.0):
        results.add(OURS, {"rate": rate, "cpu_us": 50.0})
    results.add(DRAMATIQ, {"rate": 10_000.0, "cpu_us": 100.0})
    results.fail(CELERY, "not installed: No module named 'celery'")
    results.configs[OURS] = "defaults, -P solo"
    return results


def test_a_row_has_the_median_the_ratio_and_the_number_of_runs() -> None:
    lines = list(table_lines(canned(), DRAIN, "redis"))

    assert lines[0] == "| | tasks/s | worker CPU us/task | ours / it | runs |"
    assert lines[2] == "| **tqconsole** (defaults, -P solo) | 20,000 | 50 |  | 3 |"
    assert "| dramatiq | 10,000 | 100 | 2.00 | 1 |" in lines


def test_a_peer_without_figures_says_why() -> None:
    row = next(line for line in table_lines(canned(), DRAIN, "redis") if "| celery" in line)

    assert "not installed: No module named 'celery'" in row


def test_a_figure_beside_failures_tells_of_them() -> None:
    results = canned()

    results.fail(OURS, "wrong count: 7 runs of 8 tasks")

    assert "3, and 1 failed: wrong count: 7 runs of 8 tasks" in "".join(
        table_lines(results, DRAIN, "redis")
    )


def test_what_nobody_ran_has_no_table() -> None:
    assert list(table_lines(canned(), DRAIN, "sqlite")) == []


def test_a_target_is_met_missed_by_a_factor_or_not_measured() -> None:
    stands = {
        (it.target.against, it.target.metric): standing(it)
        for it in judge(canned())
        if it.target.workload == "drain" and it.target.broker == "redis"
    }

    assert stands["", "rate"] == "met"
    assert stands["dramatiq", "rate"] == "missed by a factor of 3.00"
    assert stands["celery", "rate"] == "not measured"


def test_a_limit_from_above_is_missed_the_other_way() -> None:
    target = Target("a wait", "trip", "redis", "p50_ms", 0.4, is_least=False)

    assert standing(Verdict(target, 0.8)) == "missed by a factor of 2.00"
    assert standing(Verdict(target, 0.4)) == "met"


def test_every_target_stands_on_the_page() -> None:
    page = list(page_lines(canned(), CORE))

    assert all(any(line.startswith(f"| {it.row} |") for line in page) for it in TARGETS)


def test_what_is_written_by_hand_below_the_marker_stays(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"old figures\n{MARKER}\n## Stages\nby hand\n")

    write_page(page, canned(), CORE)

    assert "old figures" not in page.read_text()
    assert page.read_text().endswith(f"{MARKER}\n## Stages\nby hand\n")


def test_the_picture_has_a_bar_for_each_figure() -> None:
    drawn = ElementTree.fromstring(picture(canned()))

    # One more rectangle is the ground.
    assert len(drawn.findall("{*}rect")) == 3


def test_a_picture_of_nothing_is_still_one() -> None:
    assert ElementTree.fromstring(picture(Results())).tag.endswith("svg")


def test_kept_results_are_read_back_as_they_were(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    canned().save(kept)

    again = load(kept)

    assert again == Results(
        canned().facts, canned().series, {OURS: "defaults, -P solo", DRAMATIQ: "", CELERY: ""}
    )


def test_figures_are_short() -> None:
    assert [number(it) for it in (None, 0.0123, 1.5, 123_456.7)] == [
        "-",
        "0.0123",
        "1.5",
        "123,457",
    ]

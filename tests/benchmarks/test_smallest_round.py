"""The suite does not rot: the smallest round that gives figures, with processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *options], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.slow
def test_a_drain_and_a_round_trip_of_ours_give_figures(tmp_path: Path) -> None:
    kept, page = tmp_path / "kept.json", tmp_path / "performance.md"
    chosen = ("--workloads", "drain,trip", "--brokers", "sqlite", "--peers", "ours")

    done = run(
        *(*chosen, "--repeats", "1", "--scale", "0.3"),
        *("--json", str(kept), "--output", str(page)),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    runs = json.loads(kept.read_text())["runs"]
    assert [(it["workload"], it["failures"]) for it in runs] == [("drain", []), ("trip", [])]
    assert runs[0]["readings"][0]["rate"] > 0
    assert runs[1]["readings"][0]["p50_ms"] > 0
    assert "Drain, results off, one process: SQLite" in page.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--workloads", "nap"), "unknown: nap; choose of drain"),
        (("--brokers", "redis,pigeon"), "unknown: pigeon; choose of redis, rabbitmq, sqlite"),
        (("--repeats", "0"), "0 is not a whole number above 0"),
        (("--scale", "none"), "none is not a number above 0"),
        (("--workloads", "events", "--brokers", "sqlite"), "nothing to run"),
        (("--report-from", "setup.cfg"), "setup.cfg holds no results"),
    ],
)
def test_an_option_that_cannot_be_is_a_usage_error(options: tuple[str, ...], told: str) -> None:
    done = run(*options)

    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.slow
def test_a_peer_that_fails_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    # The driver of huey finds a module that hides it: as if it were not installed.
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['huey'] = None\n")
    page = tmp_path / "performance.md"
    chosen = ("--workloads", "enqueue", "--brokers", "sqlite", "--peers", "ours,huey")

    done = subprocess.run(
        [
            *("env", f"PYTHONPATH={tmp_path}", sys.executable, "-m", "benchmarks", *chosen),
            *("--repeats", "1", "--scale", "0.01", "--output", str(page)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in page.read_text().splitlines() if line.startswith("| huey")]
    assert len(rows) == 1
    assert "not installed" in rows[0]


@pytest.mark.slow
def test_the_stages_of_a_task_add_up() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.stages", "--count", "100"),
            *("--brokers", "sqlite", "--pools", "solo", "prefork"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()]
    assert rows[0] == ["CPU us per task", "sqlite, solo", "sqlite, prefork"]
    stages = [row for row in rows[2:-1] if not row[0].startswith(("- of it", "client"))]
    added = sum(float(row[2]) for row in stages)
    assert added == pytest.approx(float(rows[-1][2].strip("*")), abs=0.1)
    assert all(float(row[2]) > 0 for row in stages)

"""`logtool` on what real workers of both kinds write."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stub_cluster import Done

from tqconsole.cli.worker_lines import Audit, entries

Run = Callable[..., Done]
LOG = """\
not of a log
[2026-11-28 10:00:00,001: INFO/MainProcess] w1@host ready.
[2026-11-28 10:00:01,000: INFO/MainProcess] Task proj.add[a] received
[2026-11-28 10:00:01,010: INFO/ForkPoolWorker-1] Task proj.add[a] succeeded in 0.01s: 4
[2026-11-28 10:00:02,000: INFO/MainProcess] Task proj.div[b] received
[2026-11-28 10:00:02,010: ERROR/ForkPoolWorker-1] Task proj.div[b] raised unexpected: Oh()
Traceback (most recent call last):
ZeroDivisionError
[2026-11-28 10:00:03,000: INFO/MainProcess] Task proj.add[c] received
[2026-11-28 10:00:03,500: WARNING/ForkPoolWorker-1] proj.add[c]: words of its own
[2026-11-28 10:00:04,000: INFO/MainProcess] Task proj.flaky[d] received
[2026-11-28 10:00:04,010: INFO/ForkPoolWorker-1] Task proj.flaky[d] retry: Retry in 1s
[2026-11-28 10:00:05,000: INFO/MainProcess] Task proj.flaky[d] received
[2026-11-28 10:00:05,010: INFO/ForkPoolWorker-1] Task proj.flaky[d] succeeded in 0.01s: None
[2026-11-28 10:00:06,000: INFO/MainProcess] Task proj.add[e] received
[2026-11-28 10:00:06,010: INFO/MainProcess] Discarding revoked task: proj.add[e]
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "w1.log"
    path.write_text(LOG)
    return path


def test_tasks_are_counted(run: Run, log: Path) -> None:
    assert run("logtool", "stats", str(log), "--json").json == {
        "total": 5,
        "errors": 1,
        "succeeded": 2,
        "completed": 4,
        "types": {"proj.add": 3, "proj.div": 1, "proj.flaky": 1},
    }
    shown = run("logtool", "stats", str(log)).out
    assert "Task total: 5\n" in shown
    assert "proj.add: 3\n" in shown


@pytest.mark.parametrize(
    ("verb", "first", "count"),
    [("errors", "raised unexpected", 1), ("traces", "raised unexpected", 3), ("debug", "ready", 2)],
)
def test_lines_of_a_kind_are_printed(
    run: Run, log: Path, verb: str, first: str, count: int
) -> None:
    lines = run("logtool", verb, str(log)).out.splitlines()

    assert first in lines[0]
    assert len(lines) == count


def test_what_did_not_end_is_named(run: Run, log: Path) -> None:
    assert run("logtool", "incomplete", str(log)).out == "Did not complete: c\n"
    assert run("logtool", "incomplete", str(log), "--json").json == [
        {"id": "c", "name": "proj.add"}
    ]


def test_a_file_that_is_not_there_is_named(run: Run) -> None:
    done = run("logtool", "stats", "/no/such.log")

    assert (done.code, "/no/such.log" in done.err) == (2, True)


def test_a_pipe_is_read_too(log: Path) -> None:
    command = [sys.executable, "-m", "tqconsole", "logtool", "stats"]

    done = subprocess.run(command, input=LOG, capture_output=True, text=True, check=True)

    assert "Task completed: 4" in done.stdout


def test_lines_of_celerys_are_read() -> None:
    from celery.app import trace
    from celery.app.defaults import DEFAULT_PROCESS_LOG_FMT

    formatter = logging.Formatter(DEFAULT_PROCESS_LOG_FMT)
    fields = {
        "name": "add",
        "id": "a",
        "runtime": 0.1,
        "return_value": "4",
        "args": "",
        "kwargs": "",
    }
    fails = {
        **fields,
        "id": "b",
        "description": "raised unexpected",
        "exc": "KeyError()",
        "traceback": "",
    }

    def written(text: str, values: dict[str, object]) -> str:
        record = logging.LogRecord("x", logging.INFO, "", 0, text % values, None, None)
        return formatter.format(record)

    audit = Audit()
    for entry in entries(
        [
            written(trace.LOG_RECEIVED, fields), written(trace.LOG_SUCCESS, fields),
            written(trace.LOG_RECEIVED, fails), written(trace.LOG_FAILURE, fails),
        ]
    ):  # fmt: skip
        audit.note(entry)

    assert audit.counts() == {
        "total": 2, "errors": 1, "succeeded": 1, "completed": 2, "types": {"add": 2},
    }  # fmt: skip

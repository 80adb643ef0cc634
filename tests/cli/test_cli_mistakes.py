"""What a new user mistypes ends in one line and exit code 2, before anything is begun."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stub_cluster import Done, StubApp

from tqconsole.cli.main import main

Run = Callable[..., Done]


@pytest.mark.parametrize(
    "words",
    [
        ("--time-limit", "-1"),
        ("--time-limit", "nan"),
        ("--soft-time-limit", "inf"),
        ("--max-tasks-per-child", "0"),
        ("--max-memory-per-child", "-1"),
        ("--prefetch-multiplier", "-1"),
        ("--heartbeat-interval", "0"),
        ("-n", ""),
        ("-I", "nosuchmodule"),
    ],
)
def test_a_worker_that_could_not_work_does_not_start(run: Run, words: tuple[str, ...]) -> None:
    done = run("worker", *words)

    assert done.code == 2
    assert words[-1] in done.err
    assert done.err.count("\n") == 1


def test_a_log_file_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["-b", f"sqlite:///{tmp_path}/q.db", "worker", "-f", f"{tmp_path}/no/x.log"])

    assert code == 2
    assert f"{tmp_path}/no/x.log cannot be written" in capsys.readouterr().err


def test_a_module_that_ends_the_process_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "quitter.py").write_text("import sys; sys.exit(3)")
    monkeypatch.syspath_prepend(tmp_path)

    assert main(["-A", "quitter", "report"]) == 2
    assert "Importing 'quitter' failed with SystemExit: 3" in capsys.readouterr().err


def test_two_workers_of_one_name_are_told_in_one_line(app: StubApp, run: Run) -> None:
    app.node("w1@lab")
    app.node("w1@lab")

    done = run("status", "-t", "0.3")

    assert "more than one node answered as w1@lab" in done.err
    assert "Warning" not in done.err
    assert ".py" not in done.err


def test_a_broker_of_one_process_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-b", "memory://", "call", "proj.add", "--force"]) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert "lives inside one process" in told.err

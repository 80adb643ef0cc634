"""Options that an app adds to the program, and who is told of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = """
import click
from tqconsole.engine import Celery, signals
app = Celery("proj", broker="sqlite:///queue.db")
app.user_options["preload"].add(click.Option(["-Z", "--template"], default="plain", help="A form."))
app.user_options["worker"].add(click.Option(["--colour"], help="Of the worker."))

@signals.user_preload_options.connect
def tell(options, app, **_):
    print("preload", app.main, sorted(options.items()))

@signals.celeryd_init.connect
def tell_worker(options, **_):
    print("worker", dict(options.user_options))
    raise SystemExit(0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "proj.py").write_text(PROJECT)
    return tmp_path


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tqconsole", *words],
        cwd=folder, env={**os.environ, "COLUMNS": "120"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_preload_option_of_every_verb_is_told(folder: Path) -> None:
    report = run(folder, "-A", "proj", "report", "--template", "rich")
    purge = run(folder, "-A", "proj", "purge", "-f", "-Z", "thin")

    assert "preload proj [('template', 'rich')]" in report.stdout, report.stderr
    assert "preload proj [('template', 'thin')]" in purge.stdout, purge.stderr
    assert "software" in report.stdout


def test_its_default_is_told_too_and_help_shows_it(folder: Path) -> None:
    assert "preload proj [('template', 'plain')]" in run(folder, "-A", "proj", "report").stdout
    assert "--template" in run(folder, "-A", "proj", "status", "--help").stdout


def test_options_of_the_worker_are_its_alone(folder: Path) -> None:
    worker = run(folder, "-A", "proj", "worker", "--colour", "blue", "-P", "solo")
    status = run(folder, "-A", "proj", "status", "--colour", "blue")

    assert "worker {'colour': 'blue'}" in worker.stdout, worker.stderr
    assert status.returncode == 2
    assert "No such option" in status.stderr


def test_without_the_app_in_front_they_are_not_known(folder: Path) -> None:
    done = run(folder, "report", "-A", "proj", "--template", "rich")

    assert done.returncode == 2
    assert "--template" in done.stderr


def test_an_app_that_cannot_be_loaded_is_told_by_the_verb(folder: Path) -> None:
    done = run(folder, "-A", "nowhere", "report")

    assert done.returncode == 2
    assert "nowhere" in done.stderr

"""Verbs of other packages, found by their entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import click

@click.command()
@click.option("--loud", is_flag=True)
@click.argument("word")
@click.pass_context
def greet(ctx, loud, word):
    app, quiet = ctx.obj.app, ctx.obj.quiet
    names = sorted(name for name in app.tasks if not name.startswith("celery."))
    click.echo(f"{type(app).__module__} {names} {app.conf.task_default_queue}"
               f" {word} loud={loud} quiet={quiet}")

@click.command()
def fail():
    raise click.UsageError("not like this")
"""
PROJECT = """
from tqconsole.engine import Celery
app = Celery("proj", broker="sqlite:///queue.db")
app.conf.task_default_queue = "lab"

@app.task(name="add")
def add(x, y):
    return x + y
"""
ENTRY_POINTS = """
[celery.commands]
greet = greeter:greet
worker = greeter:greet

[tqconsole.commands]
hello = greeter:greet
fail = greeter:fail
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "greeter.py").write_text(MODULE)
    (tmp_path / "proj.py").write_text(PROJECT)
    info = tmp_path / "greeter-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (info / "METADATA").write_text("Name: greeter\nVersion: 1.0\n")
    return tmp_path


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder}:{os.environ.get('PYTHONPATH', '')}"
    return subprocess.run(
        [sys.executable, "-m", "tqconsole", "-A", "proj", "-q", *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": path, "COLUMNS": "120"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"), [("greet", "celery.app.base"), ("hello", "tqconsole.engine.app.hub")]
)
def test_a_plugin_gets_the_app_and_its_own_options(folder: Path, name: str, kind: str) -> None:
    done = run(folder, name, "--loud", "you")

    assert done.stdout == f"{kind} ['add'] lab you loud=True quiet=True\n", done.stderr


def test_help_lists_plugins_and_hides_none_of_ours(folder: Path) -> None:
    done = run(folder, "--help")

    assert "Commands of other packages" in done.stdout
    assert "greeter:greet" in done.stdout
    assert "Run a worker until" in run(folder, "worker", "--help").stdout
    assert "--loud" in run(folder, "greet", "--help").stdout


def test_a_plugins_mistakes_are_told_as_ours(folder: Path) -> None:
    done = run(folder, "fail")

    assert (done.returncode, "not like this" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr

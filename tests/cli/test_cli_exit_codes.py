"""`python -m tqconsole` as scripts run it: each way to end has its exit code, as Celery's have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tqconsole.engine.app import App

PROJECT = """
from tqconsole.engine import Celery
app = Celery("proj", broker="sqlite:///{folder}/queue.db")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "proj.py").write_text(PROJECT.format(folder=tmp_path))
    (tmp_path / "taken.pid").write_text(f"{os.getpid()}\n")
    with App("maker", broker=f"sqlite:///{tmp_path}/queue.db", set_as_current=False) as app:
        app.send_task("nobody.runs_it")
        app.backend.store([])
    return tmp_path


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "-A proj report"),
        (0, "--version"),
        (0, "-A proj purge -f"),
        (1, "-A proj result nope --timeout 0.1"),
        (2, "-A proj purge"),
        (2, "-A proj inspect nonsense"),
        (2, "-A nowhere report"),
        (2, "nonsense"),
        (69, "-A proj status -t 0.2"),
        (69, "-A proj inspect ping -t 0.2"),
        (73, "-A proj worker -P solo --pidfile taken.pid"),
        (75, "-b redis://127.0.0.1:1/0 status"),
    ],
)
def test_a_run_ends_with_its_code(folder: Path, code: int, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tqconsole", *words.split()],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_celerys_own_codes_are_the_same() -> None:
    from celery.platforms import EX_CANTCREAT, EX_FAILURE, EX_OK, EX_UNAVAILABLE

    from tqconsole.cli import exits

    ours = (exits.OK, exits.FAILED, exits.NO_REPLY, exits.CANNOT_CREATE)
    assert ours == (EX_OK, EX_FAILURE, EX_UNAVAILABLE, EX_CANTCREAT)

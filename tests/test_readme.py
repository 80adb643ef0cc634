"""The README's commands, run as a reader would run them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
WORKER = "tqconsole -A proj worker -n w1 -l INFO"
#: Command -> which test runs it.
RUN_BY = {
    "make demo": "test_demo_targets_name_the_demo_verb, tests/functional/test_demo.py",
    "make demo HEADLESS=1 SECONDS=20": "the same",
    "pip install .": "every run of make: the package is installed by it",
    WORKER: "test_first_minute",
    "tqconsole call proj.tasks.add -a '[2,2]'": "test_first_minute",
    "tqconsole result ID": "test_first_minute",
    "tqconsole inspect active --destination w1": "test_first_minute",
    "tqconsole status": "test_first_minute",
    "tqconsole": "test_first_minute",
    "python -m faults T-KILL --broker sqlite": "tests/faults/test_storms.py",
    "python -m faults --list": "tests/faults/test_counting.py",
    "make test": "CI",
}


def test_every_command_of_the_readme_is_run_by_a_test() -> None:
    assert set(COMMANDS) == set(RUN_BY)


def test_demo_targets_name_the_demo_verb() -> None:
    told = subprocess.run(
        ["make", "--no-print-directory", "-n", "demo", "HEADLESS=1", "SECONDS=20"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout.rstrip().endswith("tqconsole demo --headless --seconds 20")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds nothing but the package `proj`."""
    place = tmp_path / "work"
    shutil.copytree(ROOT / "examples" / "proj", place / "proj")
    return place


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CELERY_", "TQCONSOLE_"))
    }
    programs = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": programs, "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def worker(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        WORKER,
        shell=True,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "ready." in line:
            break
    else:
        process.communicate(timeout=20)
        pytest.fail("".join(seen))
    yield
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=20)


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_first_minute(folder: Path, environment: dict[str, str]) -> None:
    def shell(command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    task_id = shell("tqconsole call proj.tasks.add -a '[2,2]'").strip()

    assert re.fullmatch(r"[0-9a-f-]{36}", task_id)
    assert shell(f"tqconsole result {task_id}").strip() == "4"
    assert "w1@" in shell("tqconsole inspect active --destination w1")
    assert "1 node online." in shell("tqconsole status")
    assert "w1@" in shell("tqconsole")

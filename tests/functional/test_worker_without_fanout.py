"""A worker on a broker that cannot send one message to many: it works, and says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    return [
        *("-A", "proj", "-b", f"sqla+sqlite:///{tmp_path}/broker.db"),
        *("--result-backend", f"sqlite://{tmp_path}/results.db"),
    ]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT / "examples"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


@pytest.fixture
def told(options: list[str], environment: dict[str, str]) -> Iterator[str]:
    """What a worker said until it was ready; it runs as long as the test."""
    with subprocess.Popen(
        [sys.executable, "-m", "tqconsole", *options, "worker", "-P", "solo", "-l", "INFO"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        lines = []
        for line in worker.stdout:
            lines.append(line)
            if "ready." in line:
                break
        yield "".join(lines)
        worker.terminate()
        worker.communicate(timeout=20)
        assert worker.returncode == 0


@pytest.mark.slow
def test_call_is_run_where_nobody_can_be_asked(
    told: str, options: list[str], environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tqconsole", *options, "call", "proj.tasks.add"),
            *("-a", "[2,2]", "--wait", "--timeout", "20"),
        ],
        env=environment,
        capture_output=True,
        text=True,
    )

    assert done.stdout.splitlines()[-1:] == ["4"], done.stderr
    assert "sqla:// cannot ask workers" in done.stderr
    assert "What sqla:// cannot do: no remote control" in told

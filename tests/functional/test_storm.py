"""Nothing is lost under kills: the README's storm, both ways of acknowledging."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("acks", ["late", "early"])
def test_ten_kills_of_the_worker_group_lose_nothing(acks: str) -> None:
    storm = [sys.executable, "-m", "faults.kill", "--acks", acks, "--tasks", "5000"]

    done = subprocess.run([*storm, "--kills", "10"], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr

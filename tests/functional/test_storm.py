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
    run_storm("--acks", acks, "--tasks", "5000", "--kills", "10")


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("broker", "acks"), [("redis", "late"), ("redis", "early"), ("rabbitmq", "late")]
)
def test_kills_lose_nothing_on_a_server(broker: str, acks: str) -> None:
    run_storm("--broker", broker, "--acks", acks, "--tasks", "2000", "--kills", "5")


def run_storm(*options: str) -> None:
    storm = [sys.executable, "-m", "faults.kill", *options]

    done = subprocess.run(storm, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr

"""The demo without a terminal: a real cluster, a kill, and a ledger that adds up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.brokers_up import redis_up


def run_demo(*before: str) -> Any:
    options = ["--headless", "--seconds", "9", "--json"]
    demo = [sys.executable, "-m", "tqconsole", *before, "demo", *options]

    done = subprocess.run(demo, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_headless_demo_loses_nothing() -> None:
    report = run_demo()

    assert report["lost"] == 0
    assert report["sent"] > 50
    assert report["ran_elsewhere"]
    assert report["noticed_gone_s"] < 20


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_headless_demo_runs_on_redis(tmp_path: Path) -> None:
    with redis_up(tmp_path) as server:
        report = run_demo("-b", server.url, "--result-backend", server.url)

    assert report["lost"] == 0
    assert report["ran_elsewhere"]


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_headless_demo_runs_on_rabbitmq(rabbitmq_vhosts: Iterator[str]) -> None:
    report = run_demo("-b", next(rabbitmq_vhosts), "--result-backend", "rpc://")

    assert report["lost"] == 0
    assert report["ran_elsewhere"]


def test_demo_on_a_broker_that_is_away_says_so() -> None:
    demo = [sys.executable, "-m", "tqconsole", "-b", "redis://127.0.0.1:1/0", "demo", "--headless"]

    done = subprocess.run(demo, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (75, "")
    assert "Nobody answers at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr

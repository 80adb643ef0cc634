"""The demo without a terminal: a real cluster, a kill, and a ledger that adds up."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_headless_demo_loses_nothing() -> None:
    demo = [sys.executable, "-m", "tqconsole", "demo", "--headless", "--seconds", "9", "--json"]

    done = subprocess.run(demo, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["lost"] == 0
    assert report["sent"] > 50
    assert report["ran_elsewhere"]
    assert report["noticed_gone_s"] < 20

"""T-CANVAS: random workflows of any shape come to what a model in plain Python says.

The laws stand in `tests/canvas`: workers without time on memory, eager runs, a real Redis, and a
storm of deaths and second deliveries. Here they are run at a volume of choice.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from faults.scenario import IN_PROCESS, Case, Report, Scenario

_ROOT = Path(__file__).parent.parent
_LAWS = (
    "tests/canvas/test_canvas_laws.py",
    "tests/canvas/test_canvas_redis.py",
    "tests/canvas/test_chords_once.py::test_storms_change_no_value",
)
#: Workflows that each law is shown. The tests of each commit show them 500 already.
EXAMPLE_COUNTS = {"ci": 100, "night": 20_000, "release": 200_000}
_PASSED = re.compile(r"(\d+) passed")


def _run(case: Case) -> Report:
    count = case.of(EXAMPLE_COUNTS)
    environment = {**os.environ, "CANVAS_EXAMPLES": str(count), "CANVAS_SEED": str(case.seed)}
    # As many tries as it takes: a bound of the test suite is none here.
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=0"]
    command = [sys.executable, *pytest, f"--hypothesis-seed={case.seed}", *_LAWS]
    done = subprocess.run(
        command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False
    )
    (case.folder / "laws.log").write_text(done.stdout + done.stderr)
    passed = _PASSED.search(done.stdout)
    figures = {"workflows for each law": count, "laws that hold": passed[1] if passed else 0}
    broken = [] if done.returncode == 0 else [done.stdout[-2_000:]]
    return Report(None, figures, broken)


CANVAS = Scenario(
    "T-CANVAS",
    "random workflows, five levels deep, with failures, retries, links and replacing",
    goal="values, errors, links and error links are the model's; nothing of a chord is left",
    fails_when="a group inside a header is flattened, or a chain's rest is lost by a replacement",
    run=_run,
    brokers=(IN_PROCESS,),
)

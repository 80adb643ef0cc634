"""T-CANVAS: random workflows of any shape come to what a model in plain Python says.

The law stands in `tests/canvas`: each is run by workers without time on memory and on a real Redis,
eagerly, and in a storm of deaths and second deliveries. Here it is shown a volume of choice.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from faults.scenario import IN_PROCESS, Beside, Case, Report, Scenario

_ROOT = Path(__file__).parent.parent
_LAW = "tests/canvas/test_canvas_everywhere.py"
#: Workflows that are shown to it. The tests of each commit show 500 to each place already.
EXAMPLE_COUNTS = {"ci": 100, "night": 2_000, "release": 200_000}
#: As many tries, and as long, as it takes: the bounds of the test suite are none here.
_OPTIONS = ("-q", "--timeout=0", "-o", "faulthandler_timeout=0", "-p", "no:cacheprovider")
#: What it came to; the log of each of its runs is not kept.
_STATISTICS = ("--hypothesis-show-statistics", "-p", "no:logging")
_COUNTED = re.compile(r"(\d+) passing, (\d+) failing")


def _run(case: Case) -> Report:
    count = case.of(EXAMPLE_COUNTS)
    environment = {**os.environ, "CANVAS_EXAMPLES": str(count), "CANVAS_SEED": str(case.seed)}
    command = [sys.executable, "-m", "pytest", *_OPTIONS, *_STATISTICS]
    done = subprocess.run(
        [*command, f"--hypothesis-seed={case.seed}", _LAW],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    (case.folder / "law.log").write_text(done.stdout + done.stderr)
    counted = _COUNTED.search(done.stdout)
    agreeing, others = counted.groups() if counted else (0, 0)
    figures = {"workflows that agree in every place": agreeing, "that do not": others}
    broken = [] if done.returncode == 0 else [done.stdout[-2_000:] + done.stderr[-2_000:]]
    return Report(None, figures, broken)


CANVAS = Scenario(
    "T-CANVAS",
    "random workflows, five levels deep, with failures, retries, links and replacing",
    goal="values, errors, links and error links are the model's; nothing of a chord is left",
    fails_when="a group inside a header is flattened, or a chain's rest is lost by a replacement",
    run=_run,
    brokers=(IN_PROCESS,),
    beside=Beside.ANYTHING,
)

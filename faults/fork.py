"""T-FORK: children that are renewed after each task, and clients that fork while their threads
send.
"""

from __future__ import annotations

from faults.scenario import Case, Report, Scenario
from faults.site import Site

_TASK_COUNTS = {"ci": 100, "night": 300, "release": 50_000}
_STORM_COUNTS = {"ci": 1, "night": 3, "release": 100}
_PATIENCE_S = 60.0


def _run(case: Case) -> Report:
    broken: list[str] = []
    with Site(case, case.places.empty(case.broker)) as site:
        for _ in range(case.of(_STORM_COUNTS)):
            with site.another_client("fork") as client:
                exit_code = client.wait(_PATIENCE_S)
            if exit_code:
                broken.append(f"a fork's child hangs, or the client failed: exit code {exit_code}")
        # What the forks have sent needs no child each.
        with site.worker("-c", "2"):
            site.drain()
        task_ids = site.publish(case.of(_TASK_COUNTS))
        with site.worker("-c", "4", "--max-tasks-per-child", "1") as process:
            site.drain()
            worker_code = process.poll()
        account = site.settle()
    if worker_code is not None:
        broken.append(f"the worker exited with {worker_code}")
    pids = [stamp.pid for task_id in task_ids for stamp in site.reading.starts[task_id]]
    if len(pids) != len(set(pids)):
        broken.append("a child ran more than one task")
    figures: dict[str, float | str] = {
        "children": len(set(pids)),
        "calls of threads and forks": len(site.reading.tried),
    }
    return Report(account, figures, broken + account.not_zero())


FORK = Scenario(
    "T-FORK",
    "children are renewed after each task; a client forks while 50 threads of it send",
    goal="no child and no client hangs (10 s), nothing lost",
    fails_when="a fork's child keeps the lock of its parent's connection (Redis)",
    run=_run,
    brokers=("redis", "sqlite"),
)

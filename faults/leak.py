"""T-LEAK: what stays in a worker's memory for each task it has run."""

from __future__ import annotations

import statistics

from faults.figures import beyond
from faults.process import descendants, descriptor_count, own_bytes, thread_count
from faults.scenario import Beside, Case, Report, Scenario
from faults.site import Site

_TASK_COUNTS = {
    "redis": {"ci": 30_000, "night": 200_000, "release": 10_000_000},
    "rabbitmq": {"ci": 30_000, "night": 200_000, "release": 10_000_000},
    "sqlite": {"ci": 10_000, "night": 100_000, "release": 10_000_000},
}
#: Goal, in bytes a task, for the parent and for a child; the first can only be told from noise
#: over many tasks.
_SLOPE_BYTES = {"ci": 60.0, "night": 5.0, "release": 5.0}
#: SQLite fills its page cache meanwhile, 16 MB, and opens what it has not used before; only in a
#: release's millions of tasks that is nothing.
_FILLING_BYTES, _FILLING_FDS, _CACHE_BYTES = 300.0, 2, 16 * 2**20
#: Tasks are sent and looked at in so many rounds, the first of which only warms up.
_ROUND_COUNT = 10
_PATIENCE_S = 60.0


def _run(case: Case) -> Report:
    per_round = case.of(_TASK_COUNTS[case.broker]) // _ROUND_COUNT
    samples: list[tuple[int, int, int, int]] = []
    with Site(case, case.places.empty(case.broker)) as site:
        with site.worker("-c", "2") as process:
            for number in range(1, _ROUND_COUNT + 1):
                task_ids = site.publish(per_round)
                site.await_ends(number * per_round)
                site.await_results(task_ids[-1:], _PATIENCE_S)
                samples.append(_sample(process.pid))
            exit_code = process.poll()
        account = site.settle()
    warm = samples[len(samples) // 3 :]
    parent, child = (_slope([it[at] for it in warm], per_round) for at in (0, 1))
    figures: dict[str, float | str] = {
        "parent bytes a task": parent,
        "child bytes a task": child,
        "parent MiB": samples[-1][0] / 2**20,
        "fds grown": warm[-1][2] - warm[0][2],
        "threads grown": warm[-1][3] - warm[0][3],
    }
    broken = account.not_zero()
    bound = child_bound = case.of(_SLOPE_BYTES)
    fds = 0
    if (case.broker, case.depth) == ("sqlite", "ci"):
        bound = child_bound = _FILLING_BYTES
        fds = _FILLING_FDS
    elif case.broker == "sqlite":
        bound += _CACHE_BYTES / (per_round * len(warm))
    broken += beyond(
        {
            "parent bytes a task": (parent, bound),
            "child bytes a task": (child, child_bound),
            "fds grown": (warm[-1][2] - warm[0][2], fds),
            "threads grown": (warm[-1][3] - warm[0][3], 0),
        }
    )
    if exit_code is not None:
        broken.append(f"the worker exited with {exit_code}")
    return Report(account, figures, broken)


def _sample(pid: int) -> tuple[int, int, int, int]:
    """Return the parent's memory, the largest of those it started, its descriptors and threads."""
    children = max(own_bytes(it) for it in descendants(pid))
    return own_bytes(pid), children, descriptor_count(pid), thread_count(pid)


def _slope(values: list[int], per_round: int) -> float:
    """Return the least-squares growth in bytes a task."""
    tasks = [number * per_round for number in range(len(values))]
    return statistics.linear_regression(tasks, values).slope


LEAK = Scenario(
    "T-LEAK",
    "memory, descriptors and threads of a worker over many tasks",
    goal="below 5 bytes a task in parent and child (at the volume of a commit: 60, what can be told"
    " from noise; on SQLite beside what its page cache takes); descriptors and threads constant",
    fails_when="the worker keeps each entry that has ended",
    run=_run,
    beside=Beside.ANYTHING,
)

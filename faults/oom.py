"""T-OOM: the kernel's out-of-memory killer takes a child in the middle of a task, again and again.

Three storms in one case: late ack, early ack, and one with a task that takes its child along each
time it runs while others go on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass

from faults.account import Account
from faults.figures import beyond, p95
from faults.ledger import DIE
from faults.process import cpu_ratio
from faults.scenario import ENGINES, Case, Report, Scenario
from faults.site import Site
from tqconsole.engine.worker.window import MAX_HANDED

_TASK_S = 0.015
#: Goals, in seconds: a loss is reported, and the pool has its size again.
_REPORTED_S, _RESTORED_S = 1.0, 2.0
#: The least share of their throughput that a dying task leaves the others, and the most CPU of a
#: worker that has nothing to do.
_OTHERS_SHARE, _IDLE_CPU = 0.8, 0.01
_IDLE_LOOK_S = 5.0
_PATIENCE_S = 20.0
#: Starts of a task that always dies: five; RabbitMQ does not tell of the first.
_MOST_STARTS = 6
#: Below so many tasks five deaths weigh more than the goal for a large number says.
_SHARE_COUNT = 1000


@dataclass(frozen=True, slots=True)
class Volume:
    """How much of it, for each ack."""

    task_count: int
    kill_count: int


VOLUMES = {"ci": Volume(120, 3), "night": Volume(1_000, 20), "release": Volume(50_000, 1000)}


def _run(case: Case) -> Report:
    figures: dict[str, float | str] = {}
    broken: list[str] = []
    accounts = [_kills(case, acks, figures, broken) for acks in ("late", "early")]
    if case.engine == "tqconsole":
        accounts.append(_one_that_always_dies(case, figures, broken))
    return Report(sum(accounts[1:], accounts[0]), figures, broken)


def _kills(case: Case, acks: str, figures: dict[str, float | str], broken: list[str]) -> Account:
    """Kill a child that runs a task, so many times."""
    volume = case.of(VOLUMES)
    chance = case.chance()
    restored_s: list[float] = []
    reported_s: list[float] = []
    with Site(case, case.places.empty(case.broker), acks=acks, name=acks) as site:
        site.publish(volume.task_count, duration_s=_TASK_S)
        killed_pids: set[int] = set()
        with site.worker("-c", "2") as process:
            for kill in range(volume.kill_count):
                site.await_ends(volume.task_count * (kill + 1) // (volume.kill_count + 2))
                time.sleep(chance.uniform(0.0, 0.1))
                killed_mono = time.monotonic()
                task_id = _kill_a_child(site, killed_pids)
                if acks == "early" and site.await_results([task_id], _PATIENCE_S):
                    reported_s.append(time.monotonic() - killed_mono)
                if site.await_start_of_new_process(killed_mono, _PATIENCE_S):
                    restored_s.append(time.monotonic() - killed_mono)
            site.drain()
            idle_ratio = cpu_ratio(process.pid, _IDLE_LOOK_S)
            exit_code = process.poll()
        account = site.settle()
    figures |= {
        f"{acks}: kills": volume.kill_count,
        f"{acks}: pool restored p95 s": p95(restored_s),
        f"{acks}: idle CPU": idle_ratio,
    }
    if reported_s:
        figures["early: reported p95 s"] = p95(reported_s)
    touched = "duplicated" if acks == "late" else "reported"
    broken += [f"{acks}: {line}" for line in account.not_zero(touched)]
    bound = volume.kill_count * MAX_HANDED
    broken += beyond(
        {
            f"{acks}: worker exits": (float(exit_code is not None), 0),
            f"{acks}: {touched}": (account.counts()[touched], bound),
            f"{acks}: seconds until the pool is restored": (p95(restored_s), _RESTORED_S),
            f"{acks}: seconds until a loss is reported": (p95(reported_s or [0.0]), _REPORTED_S),
            f"{acks}: idle CPU": (idle_ratio, _IDLE_CPU),
        }
    )
    return account


def _kill_a_child(site: Site, killed_pids: set[int]) -> str:
    """Kill a child in the middle of its task; return the task's id."""

    def victims() -> list[tuple[str, int]]:
        running = site.reading.running().items()
        return [(task_id, it.pid) for task_id, it in running if it.pid not in killed_pids]

    while True:
        if not site.wait(lambda: bool(victims()), _PATIENCE_S):
            raise TimeoutError("no child runs anything")
        task_id, pid = victims()[-1]
        killed_pids.add(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return task_id


def _one_that_always_dies(
    case: Case, figures: dict[str, float | str], broken: list[str]
) -> Account:
    """Let others go on beside a task that kills its child each time, and measure what they lose."""
    task_count = case.of(VOLUMES).task_count
    account, per_s, start_count = _beside_deadly(case, 1, task_count)
    figures["dying: starts"] = start_count
    if task_count >= _SHARE_COUNT:
        _, alone_per_s, _ = _beside_deadly(case, 0, task_count)
        share = figures["dying: others' share"] = per_s / alone_per_s
        if share < _OTHERS_SHARE:
            broken.append(f"dying: the others kept {share:.2f}, must be {_OTHERS_SHARE}")
    # The deadly one is reported, and what its child had in hand besides may run again.
    expected = ("reported", "dead lettered", "duplicated")
    broken += [f"dying: {line}" for line in account.not_zero(*expected)]
    broken += beyond({"dying: starts": (start_count, _MOST_STARTS)})
    if (account.reported, account.dead_lettered) != (1, 1):
        broken.append(f"dying: {account.reported} reported, {account.dead_lettered} dead letters")
    return account


def _beside_deadly(case: Case, deadly_count: int, task_count: int) -> tuple[Account, float, int]:
    """Return the account, the rate of the harmless tasks, and the starts of the deadly one."""
    place = case.places.empty(case.broker)
    with Site(case, place, name=f"beside-{deadly_count}-deadly") as site:
        deadly_ids = site.publish_calls(DIE, (), deadly_count)
        task_ids = site.publish(task_count, duration_s=_TASK_S)
        with site.worker("-c", "2"):
            site.await_ends(task_count)
            site.await_results([*deadly_ids, *task_ids], _PATIENCE_S)
        account = site.settle()
    starts = site.reading.starts
    first_mono = min(starts[it][0].at_mono for it in task_ids)
    per_s = task_count / (site.reading.last_end_mono - first_mono)
    return account, per_s, sum(len(starts[it]) for it in deadly_ids)


OOM = Scenario(
    "T-OOM",
    "a child is killed in the middle of its task; a task always takes its child along",
    goal="late ack: nothing lost; early ack: reported within 1 s; the pool restored within 2 s;"
    " always dying: parked after 5 starts, the others keep 80 % of their rate; idle CPU below 1 %",
    fails_when="a late-ack task whose child died is acknowledged",
    run=_run,
    engines=ENGINES,
)

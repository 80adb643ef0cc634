"""A session: rounds over all workloads, in each the peers one after the other.

A machine's speed drifts; what stands side by side was measured side by side (A B C A B C ...).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.commands import producer_config, worker_command
from benchmarks.results import Results
from benchmarks.rig import Rig
from benchmarks.servers import Servers
from benchmarks.values import Key, Place, RunFailedError
from benchmarks.workloads import PEERS_ON, Workload

#: Why there is no figure where the budget ended before the first run.
OUT_OF_TIME = "not measured: the time was up"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. Within `budget_s` nothing begins that would probably end after it."""

    workloads: Sequence[Workload]
    brokers: Sequence[str]
    peers: Sequence[str]
    repeat_count: int
    scale: float
    is_quick: bool = False
    budget_s: float = float("inf")

    def groups(self) -> Iterator[tuple[Workload, list[Key]]]:
        """Return what one round measures, in order: peers that are compared stand together."""
        for workload in self.workloads:
            offered = workload.quick_brokers if self.is_quick else workload.brokers
            for broker in self.brokers:
                keys = [
                    Key(workload.name, broker, peer)
                    for peer in PEERS_ON[broker]
                    if peer in workload.peers and peer in self.peers
                ]
                if keys and broker in offered:
                    yield workload, keys


def run(
    plan: Plan, servers: Servers, results: Results, tell: Callable[[str, Key, str], None]
) -> None:
    """Run the plan into `results`; `tell` hears of every run: its round, its key, what came out."""
    end_mono = time.monotonic() + plan.budget_s
    took_s: dict[Key, float] = {}
    for number in range(1, plan.repeat_count + 1):
        for workload, keys in plan.groups():
            if number > workload.most_rounds:
                continue
            # Whole groups only: one peer's run more would be a run of another minute.
            expected_s = sum(took_s.get(key, 0.0) for key in keys)
            if time.monotonic() + expected_s > end_mono:
                if number == 1:
                    for key in keys:
                        results.fail(key, OUT_OF_TIME)
                continue
            for key in keys:
                begun_mono = time.monotonic()
                said = _run_once(workload, key, plan.scale, servers, results)
                took_s[key] = time.monotonic() - begun_mono
                tell(f"{number}/{plan.repeat_count}", key, said)


def _run_once(
    workload: Workload, key: Key, scale: float, servers: Servers, results: Results
) -> str:
    """Run one workload once; return its figures, or why there are none, in words."""
    try:
        place = servers.place(key.broker)
        results.configs.setdefault(key, _config(key, place, workload))
        with Rig(key.peer, place, workload.worker) as rig:
            reading = workload.run(rig, scale)
    except (RunFailedError, FileNotFoundError, TimeoutError) as error:
        results.fail(key, str(error))
        return f"ERROR {error}"
    results.add(key, reading)
    return ", ".join(f"{name} {value:,.4g}" for name, value in reading.items())


def _config(key: Key, place: Place, workload: Workload) -> str:
    if workload.name == "enqueue":
        return producer_config(key.peer, key.broker)
    return worker_command(key.peer, place, workload.worker).config

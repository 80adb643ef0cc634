"""The workloads of what a worker costs when it does nothing, and of how it starts."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from benchmarks import processes
from benchmarks.commands import environ_of
from benchmarks.rig import Rig
from benchmarks.servers import redis_command_count
from benchmarks.terminal import drawn_after_s
from benchmarks.values import Reading, RunFailedError, Worker
from benchmarks.workloads import PEERS, Workload

#: Seconds that an idle worker is watched at scale 1, and at least.
_WATCH_S, _LEAST_WATCH_S = 10.0, 2.0
#: Seconds until it has come to rest, ours after a fetch that waits up to 5 s for one task more.
_REST_S = 8.0
#: Commands of one look at the server's counter.
_OWN_COMMANDS = 2
#: Whole processes of each command line, of which the median counts.
_CLI_COUNT = 3
#: What a user types; peers without these have no row.
_CLI = {
    "ours": ["-m", "tqconsole", "-A", "benchmarks.peers.ours"],
    "celery": ["-m", "celery", "-A", "benchmarks.peers.celery"],
}
#: Where Python keeps its bytecode.
_BYTECODE = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
_VERSION = {"ours": ["-m", "tqconsole", "--version"], "celery": ["-m", "celery", "--version"]}


def idle(rig: Rig, scale: float) -> Reading:
    """A worker that has run one task and waits: CPU, commands, memory."""
    _start_once(rig)
    rig.driver.ask("fill", 1)
    with rig.workers() as (pid,):
        rig.until(2, [pid])
        time.sleep(_REST_S)
        tree = processes.tree(pid)
        begun_mono, begun_s, begun_commands = (
            time.monotonic(),
            processes.cpu_s(tree),
            _commands(rig),
        )
        time.sleep(max(_LEAST_WATCH_S, _WATCH_S * scale))
        watched_s = time.monotonic() - begun_mono
        ended_s, ended_commands = processes.cpu_s(tree), _commands(rig)
        reading = {
            "cpu_percent": 100 * (ended_s - begun_s) / watched_s,
            "rss_mb": processes.rss_mb(pid),
            "pss_mb": processes.pss_mb(tree),
            "process_count": len(tree),
        }
        if begun_commands is not None and ended_commands is not None:
            asked = ended_commands - begun_commands - _OWN_COMMANDS
            reading["commands_rate"] = max(0, asked) / watched_s
    rig.check(2)
    return reading


def start(rig: Rig, scale: float) -> Reading:
    """From the start of the process to its first task done; and what a command line takes."""
    _start_once(rig)
    rig.driver.ask("fill", 1)
    begun_mono = time.monotonic()
    with rig.workers() as pids:
        reading = {"ready_s": rig.until(2, pids).mono - begun_mono}
        if rig.peer in _CLI:
            reading["version_s"] = _wall_s(rig, _VERSION[rig.peer], scale)
            reading["status_s"] = _wall_s(rig, [*_CLI[rig.peer], "status"], scale)
        if rig.peer == "ours":
            reading["dashboard_s"] = _dashboard_s(rig, scale)
    rig.check(2)
    return reading


def _start_once(rig: Rig) -> None:
    """Let a worker run one task and end: modules are compiled and read from disk, as they have been
    where anybody works.
    """
    rig.driver.ask("fill", 1)
    with rig.workers() as pids:
        rig.until(1, pids)


def _dashboard_s(rig: Rig, scale: float) -> float:
    """Return the median time from the console's start to a dashboard that shows the worker."""
    words = [sys.executable, "-m", "tqconsole", "-b", rig.place.url]
    return statistics.median(
        drawn_after_s(words, _environ(rig), "1/1") for _ in range(_repeat_count(scale))
    )


def _commands(rig: Rig) -> int | None:
    port = rig.place.redis_port
    return redis_command_count(port) if port and rig.place.broker == "redis" else None


def _wall_s(rig: Rig, words: list[str], scale: float) -> float:
    """Return the median wall time of whole processes, which must succeed."""
    environ = _environ(rig)
    times_s = []
    for _ in range(_repeat_count(scale)):
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, *words], env=environ, capture_output=True, text=True)
        times_s.append(time.perf_counter() - begun)
        if done.returncode:
            raise RunFailedError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return statistics.median(times_s)


def _environ(rig: Rig) -> dict[str, str]:
    """Return an environment without what the user of this suite has set up."""
    bytecode = {name: value for name, value in os.environ.items() if name in _BYTECODE}
    inherited = {**bytecode, "PATH": "/usr/bin:/bin", "HOME": str(rig.place.folder)}
    return environ_of(rig.place, rig.worker, inherited)


def _repeat_count(scale: float) -> int:
    return max(1, round(_CLI_COUNT * min(1.0, scale)))


STANDING = (
    Workload(
        "idle",
        "Idle worker, two children or one process",
        ("cpu_percent", "commands_rate", "rss_mb", "pss_mb", "process_count"),
        idle,
        Worker("prefork"),
        brokers=("redis", "sqlite"),
        most_rounds=1,
    ),
    Workload(
        "idle-one",
        "Idle worker, one process",
        ("cpu_percent", "commands_rate", "rss_mb", "pss_mb", "process_count"),
        idle,
        brokers=("redis",),
        most_rounds=1,
    ),
    Workload(
        "start",
        "Start: a task that waits already; command lines",
        ("ready_s", "version_s", "status_s", "dashboard_s"),
        start,
        # `status` asks the worker, so this one listens.
        Worker("one", is_controlled=True),
        peers=PEERS,
        quick_brokers=("redis",),
    ),
)

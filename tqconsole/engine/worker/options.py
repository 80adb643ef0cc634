"""What `worker` was told on its command line, and what settings say where it was told nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.log import level_number


class WorkerOptions(msgspec.Struct, frozen=True):
    """The options of `worker` under Celery's names. None: the setting, else its default, holds.

    Limits are in seconds, `max_memory_per_child` in KiB. `autoscale` is (max, min). `hostname`,
    `logfile`, `pidfile` and `statedb` may hold the marks of `nodename`.
    """

    hostname: str | None = None
    concurrency: int | str | None = None
    pool: str | None = None
    start_method: str | None = None
    loglevel: str | int = "WARNING"
    logfile: str | None = None
    queues: Sequence[str] | None = None
    exclude_queues: Sequence[str] = ()
    include: Sequence[str] = ()
    task_events: bool | None = None
    purge: bool = False
    prefetch_multiplier: int | None = None
    disable_prefetch: bool | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None
    autoscale: tuple[int, int] | None = None
    without_mingle: bool = False
    without_gossip: bool = False
    without_heartbeat: bool = False
    heartbeat_interval: float | None = None
    statedb: str | None = None
    pidfile: str | None = None
    #: Seconds a warm shutdown waits for running tasks; None: as long as they take.
    grace: float | None = None
    #: None: coloured when stderr is a terminal.
    color: bool | None = None
    is_quiet: bool = False
    #: The log is JSON, one object a line.
    is_json_log: bool = False
    #: What the options that the app adds to `worker` were given.
    user_options: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def level(self) -> int:
        """Return the log level's number. Raises: ImproperlyConfigured."""
        if isinstance(self.loglevel, int):
            return self.loglevel
        try:
            return level_number(self.loglevel)
        except ValueError as error:
            raise ImproperlyConfigured(str(error)) from error


#: How long a wait may look before it sleeps, seconds: what takes longer is better slept through.
LONGEST_BUSY_POLL_S = 0.01
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
#: Option -> the setting that it overrides.
_OVERRIDDEN = {
    "concurrency": "worker_concurrency",
    "pool": "worker_pool",
    "start_method": "worker_pool_start_method",
    "prefetch_multiplier": "worker_prefetch_multiplier",
    "disable_prefetch": "worker_disable_prefetch",
    "time_limit": "task_time_limit",
    "soft_time_limit": "task_soft_time_limit",
    "max_tasks_per_child": "worker_max_tasks_per_child",
    "max_memory_per_child": "worker_max_memory_per_child",
    "task_events": "worker_send_task_events",
    "statedb": "worker_state_db",
}


def overrides(options: WorkerOptions) -> dict[str, Any]:
    """Return the settings that the command line decides, name -> value."""
    given = {setting: getattr(options, name) for name, setting in _OVERRIDDEN.items()}
    return {setting: value for setting, value in given.items() if value is not None}


def concurrency_of(conf: Any, default_count: int | None = None) -> int:
    """Return the number of slots: the setting, else the pool's own, or one for each CPU ("auto":
    that this process may use, by its affinity and its cgroup's quota).

    Raises: ImproperlyConfigured.
    """
    value = conf.worker_concurrency
    if value in (None, 0, "0"):
        return default_count or os.cpu_count() or 1
    if value == "auto":
        return _usable_cpu_count()
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise ImproperlyConfigured(
            f"concurrency is a number of at least 1 or 'auto', not {value!r}"
        )
    return count


def _usable_cpu_count() -> int:
    count = os.cpu_count() or 1
    if sys.platform == "linux":
        count = len(os.sched_getaffinity(0))
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return max(1, min(count, int(quota) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no cgroup v2, or "max": no quota
        return count


def busy_poll_s(conf: Any) -> float:
    """Return how long the worker may look for what is about to come before it sleeps; 0 for not at
    all, as where that needs the only processor there is.

    Raises: ImproperlyConfigured.
    """
    value = conf.worker_busy_poll
    if not (isinstance(value, int | float) and 0 <= value <= LONGEST_BUSY_POLL_S):
        raise ImproperlyConfigured(
            f"worker_busy_poll is a number of seconds from 0 (never) to {LONGEST_BUSY_POLL_S},"
            f" not {value!r}"
        )
    return float(value) if _usable_cpu_count() > 1 else 0.0


def events_mode(conf: Any) -> str:
    """Return "auto", "on" or "off". Raises: ImproperlyConfigured."""
    value = conf.worker_send_task_events
    if value == "auto":
        return "auto"
    if isinstance(value, bool | int):
        return "on" if value else "off"
    raise ImproperlyConfigured(f"worker_send_task_events is True, False or 'auto', not {value!r}")

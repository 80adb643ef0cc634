"""What the engine is to reach, beside what was measured: ratios within one session."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.results import Results
from benchmarks.values import Key


@dataclass(frozen=True, slots=True)
class Target:
    """One limit. `against` is whose figure divides ours ("" for none: `limit` is absolute), of the
    same workload unless `against_workload` names another.
    """

    row: str
    workload: str
    broker: str
    metric: str
    limit: float
    against: str = ""
    is_least: bool = True
    against_workload: str = ""


TARGETS = (
    Target("a one process, Redis: a million a minute", "drain", "redis", "rate", 1e6 / 60),
    Target("a one process, Redis", "drain", "redis", "rate", 6, "dramatiq"),
    Target("a one process, Redis", "drain", "redis", "rate", 30, "celery"),
    Target("a one process, RabbitMQ", "drain", "rabbitmq", "rate", 2, "dramatiq"),
    Target("a one process, RabbitMQ", "drain", "rabbitmq", "rate", 3, "celery"),
    Target("a one process, SQLite", "drain", "sqlite", "rate", 10_000),
    Target("a one process, SQLite", "drain", "sqlite", "rate", 5, "huey"),
    Target("a round trip, SQLite", "trip", "sqlite", "p50_ms", 3, is_least=False),
    Target("b results on, Redis", "drain-results", "redis", "rate", 8, "dramatiq"),
    Target("b results on, Redis", "drain-results", "redis", "rate", 30, "celery"),
    Target("b fetch of 1,000", "drain-results", "redis", "fetch_rate", 3, "huey"),
    Target("c delay()", "enqueue", "redis", "single_rate", 1.3, "huey"),
    Target("c delay()", "enqueue", "redis", "single_rate", 5, "celery"),
    Target("c in batches", "enqueue", "redis", "batch_rate", 3, "rq"),
    Target("d round trip", "trip", "redis", "p50_ms", 0.6, "huey", is_least=False),
    Target("d round trip", "trip", "redis", "p50_ms", 0.4, is_least=False),
    Target("d round trip", "trip", "redis", "p99_ms", 1, "huey", is_least=False),
    Target("d round trip, prefork", "trip-prefork", "redis", "p50_ms", 0.7, is_least=False),
    Target("e whole machine, Redis", "machine", "redis", "rate", 3, "dramatiq"),
    Target("e whole machine, Redis", "machine", "redis", "rate", 30, "celery"),
    Target("f idle, CPU", "idle", "redis", "cpu_percent", 0.05, is_least=False),
    Target("f idle, Redis commands", "idle", "redis", "commands_rate", 1, is_least=False),
    Target("f main process, resident", "idle", "redis", "rss_mb", 45, is_least=False),
    Target("f worker ready", "start", "redis", "ready_s", 0.25, is_least=False),
    Target("f --version", "start", "redis", "version_s", 0.06, is_least=False),
    Target("f status", "start", "redis", "status_s", 0.4, is_least=False),
    Target("f dashboard drawn", "start", "redis", "dashboard_s", 1, is_least=False),
    Target("fairness, children, Redis", "fair", "redis", "wait_ratio", 2, is_least=False),
    Target("fairness, children, SQLite", "fair", "sqlite", "wait_ratio", 2, is_least=False),
    Target("fairness, threads, Redis", "fair-threads", "redis", "wait_ratio", 2, is_least=False),
    Target("fairness, threads, SQLite", "fair-threads", "sqlite", "wait_ratio", 2, is_least=False),
    Target("g event sender", "events", "redis", "send_cpu_us", 3, is_least=False),
    Target("g kept of a task", "kept", "redis", "kept_bytes", 1_000, is_least=False),
    Target("g event receiver", "events", "redis", "receive_rate", 4, "celery"),
    Target(
        "g listened to", "drain-listened", "redis", "rate", 0.55, "ours", against_workload="drain"
    ),
    Target(
        "g listened to", "drain-listened", "redis", "rate", 3, "dramatiq", against_workload="drain"
    ),
    Target("scale, a full queue by 1 % of it", "depth", "redis", "cost_ratio", 1.2, is_least=False),
    Target("scale, 10,000 tasks by 10", "registered", "redis", "cost_ratio", 1.2, is_least=False),
    Target("scale, 100,000 ETA tasks", "eta", "redis", "grown_mb", 5, is_least=False),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and how it stands; `value` None when it was not measured."""

    target: Target
    value: float | None

    @property
    def is_met(self) -> bool:
        """Whether it holds."""
        if self.value is None:
            return False
        limit = self.target.limit
        return self.value >= limit if self.target.is_least else self.value <= limit

    @property
    def distance(self) -> float | None:
        """How many times the figure has to improve, 1 or less when it is met."""
        if not self.value:
            return None
        quotient = self.target.limit / self.value
        return quotient if self.target.is_least else 1 / quotient


def judge(results: Results) -> list[Verdict]:
    """Hold every target against the medians."""
    return [Verdict(target, _value(target, results)) for target in TARGETS]


def _value(target: Target, results: Results) -> float | None:
    key = Key(target.workload, target.broker, "ours")
    if not target.against:
        return results.median(key, target.metric)
    workload = target.against_workload or target.workload
    return results.ratio(key, Key(workload, target.broker, target.against), target.metric)

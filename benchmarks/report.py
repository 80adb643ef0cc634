"""From results to words: the page `docs/performance.md`, and the lines of the quick run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.commands import TITLES
from benchmarks.plot import Groups, bar_chart
from benchmarks.results import Results
from benchmarks.targets import Verdict, judge
from benchmarks.values import Key
from benchmarks.workloads import PEERS, Workload

#: Metric -> how a column is headed.
LABELS = {
    "rate": "tasks/s",
    "cpu_us": "worker CPU us/task",
    "server_us": "server CPU us/task",
    "fetch_rate": "fetch at its best, results/s",
    "fetch_single_rate": "fetch one by one, results/s",
    "single_rate": "one by one, calls/s",
    "single_cpu_us": "CPU us/call",
    "batch_rate": "in batches, calls/s",
    "batch_cpu_us": "CPU us/call in batches",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "min_ms": "min ms",
    "cpu_percent": "CPU %",
    "commands_rate": "Redis commands/s",
    "rss_mb": "RSS MB, main process",
    "pss_mb": "PSS MB, all processes",
    "process_count": "processes",
    "ready_s": "first task done, s after start",
    "version_s": "--version, s",
    "status_s": "status, s",
    "dashboard_s": "dashboard drawn, s after start",
    "wait_ratio": "p99 wait beside long tasks by that alone",
    "wait_alone_ms": "p99 wait alone, ms",
    "wait_beside_ms": "p99 wait beside long tasks, ms",
    "wait_most_ms": "longest wait beside them, ms",
    "send_cpu_us": "sender CPU us/event",
    "send_rate": "sent, events/s",
    "receive_rate": "received, events per CPU second",
    "receive_wall_rate": "received, events/s",
    "kept_bytes": "bytes kept per task",
    "kept_cpu_us": "CPU us per task",
    "heard_count": "events heard per task",
    "cost_ratio": "cost at the most by that at the least",
    "grown_mb": "RSS grown, MB",
    "us_a_part": "us a part, from the call to the result",
}
BROKERS = {"redis": "Redis", "rabbitmq": "RabbitMQ", "sqlite": "SQLite (embedded)"}
#: What stands below this line of the page is written by hand and stays.
MARKER = "<!-- below this line by hand -->"
_PICTURE = "performance.svg"


def write_page(path: Path, results: Results, workloads: Sequence[Workload]) -> None:
    """Write the page and its picture; what stands below MARKER in the old page is kept."""
    old = path.read_text() if path.exists() else ""
    kept = old.partition(MARKER)[2] if MARKER in old else "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(_PICTURE).write_text(picture(results))
    path.write_text("\n".join([*page_lines(results, workloads), MARKER]) + kept)


def picture(results: Results) -> str:
    """Return the chart of the rates of one process."""
    groups: list[tuple[str, list[tuple[str, float]]]] = []
    for name, title in (("drain", "results off"), ("drain-results", "results on")):
        for broker, shown in BROKERS.items():
            rates = [(peer, results.median(Key(name, broker, peer), "rate")) for peer in PEERS]
            bars = [(TITLES[peer], rate) for peer, rate in rates if rate]
            if bars:
                groups.append((f"{shown}, {title}", bars))
    drawn: Groups = groups
    return bar_chart("Tasks per second through one process", drawn, TITLES["ours"])


def page_lines(results: Results, workloads: Sequence[Workload]) -> Iterator[str]:
    """Return the page, line by line."""
    yield "# Performance"
    yield ""
    yield "Written by `python -m benchmarks`; do not edit above the last marker."
    yield ""
    yield from (f"- {name}: {value}" for name, value in results.facts.items())
    yield ""
    yield (
        "Figures are medians of interleaved runs (A B C A B C ...), every run verified by count:"
        " as many runs of the task as calls, nothing left in the broker, all results stored."
        " CPU is that of the worker with all its processes. The engine runs with its defaults and"
        " every guarantee on. Compare figures within a table: a machine's speed drifts."
    )
    yield ""
    yield f"![Tasks per second through one process]({_PICTURE})"
    yield ""
    yield "## Targets"
    yield ""
    yield from target_lines(judge(results))
    for workload in workloads:
        for broker in BROKERS:
            lines = list(table_lines(results, workload, broker))
            if lines:
                yield ""
                yield f"## {workload.title}: {BROKERS[broker]}"
                yield ""
                yield from lines
    yield ""


def target_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Return the table of targets; a target that was not measured says so."""
    yield "| what | figure | target | measured | |"
    yield "|---|---|---|---|---|"
    for verdict in verdicts:
        target = verdict.target
        sign = ">=" if target.is_least else "<="
        unit = f" x {TITLES[target.against]}" if target.against else ""
        if target.against_workload:
            unit += f", {target.against_workload}"
        limit, measured = number(target.limit), number(verdict.value)
        yield (
            f"| {target.row} | {label(target.metric)} | {sign} {limit}{unit}"
            f" | {measured} | {standing(verdict)} |"
        )


def standing(verdict: Verdict) -> str:
    """Return how a target stands, in words."""
    if verdict.value is None:
        return "not measured"
    if verdict.is_met:
        return "met"
    distance = verdict.distance
    return f"missed by a factor of {distance:.2f}" if distance else "missed"


def table_lines(results: Results, workload: Workload, broker: str) -> Iterator[str]:
    """Return the table of one workload on one broker, no lines when nobody ran it."""
    rows = [
        (peer, results.series[key])
        for peer in PEERS
        if (key := Key(workload.name, broker, peer)) in results.series
    ]
    if not rows:
        return
    told = [name for _, series in rows for reading in series.readings for name in reading]
    # Those of a scaled condition have names of their own, and follow.
    metrics = [name for name in dict.fromkeys((*workload.metrics, *told)) if name in told]
    first = metrics[0] if metrics else ""
    yield "| | " + " | ".join([*(label(it) for it in metrics), "ours / it", "runs"]) + " |"
    yield "|---" * (len(metrics) + 3) + "|"
    for peer, series in rows:
        key = Key(workload.name, broker, peer)
        name = f"**{TITLES[peer]}**" if peer == "ours" else TITLES[peer]
        config = results.configs.get(key, "")
        name = f"{name} ({config})" if config else name
        if not series.readings:
            yield f"| {name} | {_why(series.failures)} |" + " |" * (len(metrics) + 1)
            continue
        cells = [number(results.median(key, metric)) for metric in metrics]
        ratio = results.ratio(Key(workload.name, broker, "ours"), key, first)
        shown = "" if peer == "ours" or ratio is None else f"{ratio:.2f}"
        runs = f"{len(series.readings)}"
        if series.failures:
            runs += f", and {len(series.failures)} failed: {_why(series.failures)}"
        yield "| " + " | ".join([name, *cells, shown, runs]) + " |"


def label(metric: str) -> str:
    """Return how a metric's column is headed; `<metric>_at_<number>` tells of its condition."""
    name, _, condition = metric.partition("_at_")
    return LABELS[name] + (f" at {int(condition):,}" if condition else "")


def number(value: float | None) -> str:
    """Return a figure with three digits that mean something."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _why(failures: Sequence[str]) -> str:
    return failures[-1].replace("|", "/").replace("\n", " ") if failures else "no runs"

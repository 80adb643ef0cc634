"""What a human should look at now: the rules of the dashboard's "Needs attention" list.

Each rule looks at the model and yields what it finds; each finding leads to its cause. Only what
is known is reported: a queue whose depth is unknown does not grow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tqconsole.core.cluster import Cluster
from tqconsole.core.filter_terms import running_s
from tqconsole.core.views import Attention, QueueView, TaskRow

#: Findings shown at most.
LIMIT = 50
#: Messages that wait before a growing queue is worth a word, and how fast it must grow.
GROWING_COUNT, GROWING_PER_S = 100, 1.0
#: Failures within the window, and their part of all ends, that make a type worth a word.
FAILING_COUNT, FAILING_RATIO = 5, 0.05
#: A run longer than this many times its type's p99, and than this, is worth a word.
LONG_FACTOR, LONG_S = 3.0, 60.0
#: Runs that a worker told nothing of before its task events count as off.
UNTOLD_COUNT = 3
#: Seconds a run of a type without figures may take before it is worth a word.
UNKNOWN_LONG_S = 1800.0


def find_attention(
    cluster: Cluster, queues: Iterable[QueueView], now_at: float
) -> Iterator[Attention]:
    """Yield the findings, errors before warnings within each rule's own order."""
    findings = [
        *_queue_findings(cluster, queues),
        *_type_findings(cluster, now_at),
        *_worker_findings(cluster, now_at),
        *_task_findings(cluster, now_at),
        *_beat_findings(cluster, now_at),
        *_event_findings(cluster, now_at),
    ]
    findings.sort(key=lambda finding: finding.level != "error")
    yield from findings[:LIMIT]


def _queue_findings(cluster: Cluster, queues: Iterable[QueueView]) -> Iterator[Attention]:
    for queue in queues:
        waiting = queue.ready_count or 0
        if waiting and queue.consumer_count == 0:
            text = f"{waiting:,} waiting, no consumer"
            yield Attention("error", "queue", queue.name, text, "queues", queue.name)
        elif waiting >= GROWING_COUNT:
            trend = cluster.queues.queue(queue.name).trend_per_s() or 0.0
            if trend >= GROWING_PER_S:
                text = _growing_text(queue, waiting, trend)
                yield Attention("error", "queue", queue.name, text, "queues", queue.name)
        if queue.dead_count:
            text = f"{queue.dead_count:,} dead letters"
            yield Attention("warning", "dead", queue.name, text, "queues", queue.name)


def _growing_text(queue: QueueView, waiting: int, trend: float) -> str:
    parts = [f"{waiting:,} waiting", f"+{trend:,.0f}/s"]
    if queue.consumer_count is not None:
        parts.append(f"{queue.consumer_count} consumer{'s' * (queue.consumer_count != 1)}")
    if queue.oldest_s is not None:
        parts.append(f"oldest {span(queue.oldest_s)}")
    return ", ".join([*parts, "drains: never"])


def _type_findings(cluster: Cluster, now_at: float) -> Iterator[Attention]:
    for stats in list(cluster.stats.types.values()):
        done, failed = stats.recent(now_at)
        if failed < FAILING_COUNT or failed / done < FAILING_RATIO:
            continue
        exception = next(
            (row.exception for row in cluster.failures() if row.name == stats.name), ""
        )
        text = f"{failed:,.0f} failed in 5 min ({failed / done:.0%})  {exception}".rstrip()
        target = f"state:FAILURE name={stats.name}"
        yield Attention("error", "type", stats.name, text, "tasks", target)


def _worker_findings(cluster: Cluster, now_at: float) -> Iterator[Attention]:
    lost: dict[str, int] = {}
    for row in cluster.store.running.values():
        if row.is_lost:
            lost[row.worker] = lost.get(row.worker, 0) + 1
    for node in cluster.nodes.workers():
        status = node.status(now_at)
        if status in ("online", "gone") and not lost.get(node.name):
            continue
        text = _silence_text(status, now_at - node.signed_at())
        if lost.get(node.name):
            count = f"{lost[node.name]} task{'s' * (lost[node.name] != 1)}"
            ended = "started there, not in its hands: LOST?"
            text += f"; {count} {ended if status == 'online' else 'started there: LOST?'}"
        level = "error" if status == "lost" else "warning"
        yield Attention(level, "worker", node.name, text, "workers", node.name)


def _silence_text(status: str, silent_s: float) -> str:
    if status == "online":
        return "it lives"
    if status == "gone":
        return f"stopped {span(silent_s)} ago"
    return f"{'dead, ' if status == 'lost' else ''}no heartbeat for {span(silent_s)}"


def _task_findings(cluster: Cluster, now_at: float) -> Iterator[Attention]:
    long_runs: list[tuple[float, TaskRow, float | None]] = []
    for row in cluster.store.running.values():
        ran_s = running_s(row, now_at)
        if ran_s is None or ran_s < LONG_S or row.is_lost:
            continue
        p99_s = cluster.stats.p99_of(row.name)
        limit_s = UNKNOWN_LONG_S if p99_s is None else p99_s * LONG_FACTOR
        if ran_s > limit_s:
            long_runs.append((ran_s, row, p99_s))
    long_runs.sort(key=lambda run: -run[0])
    for ran_s, row, p99_s in long_runs[:10]:
        usual = f" (p99 is {span(p99_s)})" if p99_s is not None else ""
        text = f"running {span(ran_s)}{usual} on {row.worker}"
        yield Attention("warning", "task", row.name or row.task_id, text, "tasks", row.task_id)


def _beat_findings(cluster: Cluster, now_at: float) -> Iterator[Attention]:
    for entry in cluster.beat.missed():
        name, missed_at = entry.scheduled.name, entry.missed_at or now_at
        count = entry.missed_count
        runs = f"{count} run{'s' * (count != 1)} missed"
        text = f"{runs}, the last was due {span(now_at - missed_at)} ago"
        yield Attention("warning", "beat", name, text, "beat", name)


def _event_findings(cluster: Cluster, now_at: float) -> Iterator[Attention]:
    if cluster.deaf_because:
        text = "no fanout: no events, no inspect, no control; queues and calls work"
        yield Attention("error", "events", "broker", text, "queues", "")
    elif cluster.has_task_events(now_at) is False:
        count = sum(1 for node in cluster.nodes if node.status(now_at) == "online")
        text = f"{count} worker{'s' * (count != 1)} alive, no task events"
        key_id = "dashboard.events"
        yield Attention("warning", "events", "task events", text, "workers", "", key_id)
    else:
        yield from _silent_findings(cluster, now_at)


def _silent_findings(cluster: Cluster, now_at: float) -> Iterator[Attention]:
    """A worker that says it ran tasks and told of none, beside others that tell."""
    for node in cluster.nodes.workers():
        if node.untold_count >= UNTOLD_COUNT and node.status(now_at) == "online":
            ran = f"ran {node.untold_count:,} tasks and told of none"
            text = f"{ran}: its task events are off"
            yield Attention(
                "warning", "events", node.name, text, "workers", node.name, "workers.events"
            )


def span(duration_s: float) -> str:
    """Return a duration for people: 0.3s, 74s, 6m12s, 3h05m, 3d."""
    if duration_s < 10:
        return f"{duration_s:.1f}s"
    seconds = int(duration_s)
    if seconds < 120:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}m{seconds:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 48 else f"{hours // 24}d"

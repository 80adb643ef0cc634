"""One page about a cluster: its broker, workers and queues. For pipes, cron and dumb terminals."""

from __future__ import annotations

from typing import Any

import msgspec

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.engine.protocol.transfer import QueueDepth
from tqconsole.remote_control import RemoteControl


def print_page(invocation: Invocation) -> int:
    """Print workers and queues. Exit 0 also without workers: an idle cluster is no error."""
    app = invocation.cluster()
    app.broker.connect()
    can_ask = app.broker.capabilities.can_fanout
    workers = _workers(RemoteControl(app.control)) if can_ask else []
    names = sorted({*app.broker.queue_names(), *(queue.name for queue in app.queues())})
    depths = {name: app.broker.depth(name) for name in names}
    output = invocation.output
    if output.is_json:
        output.json(
            {
                "broker": app.broker.url,
                "reason": invocation.reason,
                "workers": workers,
                "queues": {name: msgspec.structs.asdict(depth) for name, depth in depths.items()},
            }
        )
        return exits.OK
    if workers:
        output.table(
            ["WORKER", "PID", "POOL", "SLOTS", "ACTIVE", "DONE"],
            [[one[key] for key in _COLUMNS] for one in workers],
        )
    elif not can_ask:
        output.line(f"Workers cannot be asked over {app.broker.transport}://.")
    else:
        output.line(f"No worker is online{invocation.whereabouts()}.")
    output.line()
    output.table(
        ["QUEUE", "READY", "UNACKED", "PARKED", "DEAD", "CONSUMERS"],
        [[name, *_counts(depth)] for name, depth in depths.items()],
    )
    return exits.OK


_COLUMNS = ("name", "pid", "pool", "slots", "active", "done")


def _workers(remote: RemoteControl) -> list[dict[str, Any]]:
    answers = remote.stats().replies
    active = remote.active(is_safe=True).replies if answers else {}
    return [
        _worker(node, stats, active.get(node))
        for node, stats in sorted(answers.items())
        if isinstance(stats, dict)
    ]


def _worker(node: str, stats: dict[str, Any], active: Any) -> dict[str, Any]:
    pool = stats.get("pool")
    pool = pool if isinstance(pool, dict) else {}
    total = stats.get("total")
    # "celery.concurrency.prefork:TaskPool" is the wire's name for prefork.
    kind = str(pool.get("implementation", "-")).partition(":")[0].rpartition(".")[2]
    return {
        "name": node,
        "pid": stats.get("pid", "-"),
        "pool": kind or "-",
        "slots": pool.get("max-concurrency", "-"),
        "active": len(active) if isinstance(active, list) else "-",
        "done": sum(total.values()) if isinstance(total, dict) else "-",
    }


def _counts(depth: QueueDepth) -> list[object]:
    figures = (
        depth.ready_count,
        depth.unacked_count,
        depth.parked_count,
        depth.dead_count,
        depth.consumer_count,
    )
    # What the broker cannot tell is not 0.
    return ["-" if figure is None else figure for figure in figures]

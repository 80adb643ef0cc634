"""`tqconsole top`: the dashboard's figures as text, over and over; for logs, dumb terminals."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import verb as make_verb
from tqconsole.widgets import figures

if TYPE_CHECKING:
    from tqconsole.cli.output import Output
    from tqconsole.core.views import Snapshot, Totals

#: Rows of each table.
_ROWS = 20


@make_verb(
    "top",
    click.Option(["-n", "--count"], type=click.IntRange(min=1), help="End after so many pages."),
    click.Option(
        ["-s", "--seconds", "interval_s"],
        type=click.FloatRange(min=0.1),
        default=2.0,
        help="Seconds between two pages. 2 by default.",
    ),
)
def verb(invocation: Invocation, count: int | None, interval_s: float) -> int:
    """Print the cluster's figures every few seconds (with --json an object a line)."""
    from tqconsole.cli.watching import snapshots, watched  # noqa: PLC0415 - the console's mind

    with watched(invocation) as session:
        for number, snapshot in enumerate(snapshots(session, interval_s), 1):
            print_snapshot(invocation.output, snapshot)
            if number == count:
                break
    return exits.OK


def print_snapshot(output: Output, snapshot: Snapshot) -> None:
    """Print a snapshot's figures as a page, or as one object."""
    if output.is_json:
        output.json(record_of(snapshot))
    else:
        _print_page(output, snapshot)


def record_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot's figures as JSON-able values; instants in epoch seconds."""
    names = ("now_at", "broker_url", "link", "events_per_s", "missed_count", "has_task_events")
    return {
        **{name: getattr(snapshot, name) for name in names},
        "totals": asdict(snapshot.totals),
        "attention": [asdict(row) for row in snapshot.attention],
        "workers": [asdict(row) for row in snapshot.workers],
        "queues": [_without_history(asdict(row)) for row in snapshot.queues],
        "types": [_without_history(asdict(row)) for row in snapshot.types],
    }


def _without_history(record: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if value == float("inf") else value
        for name, value in record.items()
        if name != "history"
    }


def _print_page(output: Output, snapshot: Snapshot) -> None:
    output.line(_numbers(snapshot.totals, snapshot))
    if snapshot.has_task_events is False:
        output.line("Workers send no task events: tqconsole control enable_events")
    for row in snapshot.attention:
        sign = "!!" if row.level == "error" else " !"
        output.text(f"{sign} {row.kind} {row.subject}: {row.text}")
    for headings, rows in (_workers(snapshot), _queues(snapshot), _types(snapshot)):
        if rows:
            output.line()
            output.table(headings, rows[:_ROWS])
    output.line()


def _numbers(totals: Totals, snapshot: Snapshot) -> str:
    return (
        f"{figures.clock(snapshot.now_at)}  workers {totals.workers_online}/{totals.workers_known}"
        f"  active {totals.active_count}/{figures.count(totals.slot_count)}"
        f"  queued {figures.count(totals.queued_count)}  done {figures.rate(totals.done_per_s)}/s"
        f"  fail {figures.percent(totals.failed_ratio)} %  p95 {figures.duration(totals.p95_s)}"
        f"  events {figures.rate(snapshot.events_per_s)}/s  missed {snapshot.missed_count}"
    )


Table = tuple[list[str], list[list[object]]]


def _workers(snapshot: Snapshot) -> Table:
    headings = ["WORKER", "STATUS", "POOL", "ACTIVE", "DONE", "FAILED", "RATE/s"]
    return headings, [
        [
            row.name,
            row.status,
            row.pool or "-",
            f"{figures.count(row.active_count)}/{figures.count(row.slot_count)}",
            figures.count(row.processed_count),
            row.failed_count,
            figures.rate(row.rate_per_s),
        ]
        for row in snapshot.workers
    ]


def _queues(snapshot: Snapshot) -> Table:
    headings = ["QUEUE", "READY", "UNACKED", "IN/s", "OUT/s", "CONSUMERS", "OLDEST", "DEAD"]
    return headings, [
        [
            row.name,
            figures.count(row.ready_count),
            figures.count(row.unacked_count),
            figures.rate(row.in_per_s),
            figures.rate(row.out_per_s),
            figures.count(row.consumer_count),
            figures.duration(row.oldest_s),
            figures.count(row.dead_count),
        ]
        for row in snapshot.queues
    ]


def _types(snapshot: Snapshot) -> Table:
    headings = ["TASK TYPE", "n/s", "ENDED", "FAIL %", "p50", "p95", "p99"]
    return headings, [
        [
            row.name,
            figures.rate(row.rate_per_s),
            row.count,
            figures.percent(row.failed_ratio),
            figures.duration(row.p50_s),
            figures.duration(row.p95_s),
            figures.duration(row.p99_s),
        ]
        for row in snapshot.types
    ]

"""What stands where events should: why there are none, and what can be done about it."""

from __future__ import annotations

from tqconsole.core.views import Snapshot
from tqconsole.widgets import figures
from tqconsole.widgets.pieces import Piece


def why_no_events(snapshot: Snapshot) -> list[list[Piece]]:
    """Return why no task can be seen, no line when nothing is wrong."""
    if snapshot.link == "deaf":
        return [
            [("This broker cannot send one message to many, so no worker can tell", "warning")],
            [("what it does, and none can be asked: there are no events, no inspect", "warning")],
            [("and no control. Queues (4), calls (N) and dead letters work.", "")],
            [],
            [("Redis, RabbitMQ and the embedded sqlite:// broker can; docs/brokers.md", "dim")],
            [("says what each other one lacks.", "dim")],
        ]
    if snapshot.has_task_events is False:
        count = figures.plural(snapshot.totals.workers_online, "worker")
        return [
            [(f"{count} answer but send no task events: ", "warning"), ("press E", "bold key")],
            [("to switch them on now (until restart). For good: start workers with -E", "dim")],
            [("or set worker_send_task_events = True in the project's settings.", "dim")],
        ]
    return []

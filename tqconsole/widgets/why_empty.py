"""What stands where events should: why there are none, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping

from tqconsole.core.views import Snapshot
from tqconsole.widgets import figures
from tqconsole.widgets.pieces import Piece


def why_no_events(snapshot: Snapshot, keys: Mapping[str, str], screen: str) -> list[list[Piece]]:
    """Return why no task can be seen, no line when nothing is wrong.

    `keys` are those that hold here, by binding id; `screen` is the one they are pressed on.
    """
    if snapshot.link == "deaf":
        queues, call = keys["screen.queues"], keys["task.call"]
        calls = f", calls ({call})" if call else ""
        return [
            [("This broker cannot send one message to many, so no worker can tell", "warning")],
            [("what it does, and none can be asked: there are no events, no inspect", "warning")],
            [(f"and no control. Queues ({queues}){calls} and dead letters work.", "")],
            [],
            [("Redis, RabbitMQ and the embedded sqlite:// broker can; docs/brokers.md", "dim")],
            [("says what each other one lacks.", "dim")],
        ]
    if snapshot.has_task_events is False:
        count = figures.plural(snapshot.totals.workers_online, "worker")
        key = keys[f"{screen}.events"]
        press: list[Piece] = [(": ", "warning"), (f"press {key}", "bold key")] if key else []
        now = "to switch them on now (until restart). For good: start" if key else "Start"
        return [
            [(f"{count} answer but send no task events", "warning"), *press],
            [(f"{now} workers with -E", "dim")],
            [("or set worker_send_task_events = True in the project's settings.", "dim")],
        ]
    return []

"""Broadcast commands about the queues a worker consumes from. Reply shapes: wire.md §6.3, §6.5."""

from __future__ import annotations

from typing import Any

from tqconsole.engine.control.names import read_name
from tqconsole.engine.control.panel import Panel
from tqconsole.engine.control.table import Danger, control_command, inspect_command


@inspect_command()
def active_queues(panel: Panel) -> list[dict[str, Any]]:
    """Queues that the worker consumes from."""
    return panel.queues()


@control_command(
    args=[("queue", str), ("exchange", str), ("exchange_type", str), ("routing_key", str)],
    signature="<queue> [exchange [type [routing_key]]]",
    danger=Danger.CHANGES,
)
def add_consumer(
    panel: Panel,
    queue: str,
    exchange: str | None = None,
    exchange_type: str | None = None,
    routing_key: str | None = None,
    **options: Any,
) -> dict[str, str]:
    """Consume from a queue too; it is made where it does not exist."""
    panel.add_consumer(read_name("queue", queue), exchange, exchange_type, routing_key, options)
    return {"ok": f"add consumer {queue}"}


@control_command(args=[("queue", str)], signature="<queue>", danger=Danger.CHANGES)
def cancel_consumer(panel: Panel, queue: str) -> dict[str, str]:
    """Consume from a queue no longer."""
    panel.cancel_consumer(read_name("queue", queue))
    return {"ok": f"no longer consuming from {queue}"}

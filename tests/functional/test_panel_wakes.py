"""What a broadcast command changes takes effect at once, not at the next look of the loop."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from tqconsole.engine.protocol.transfer import QueueSpec
from tqconsole.engine.worker.panel import PanelParts, WorkerPanel
from tqconsole.engine.worker.values import Rang


def test_what_waits_in_an_added_queue_is_fetched_at_once() -> None:
    told: list[Any] = []
    parts = SimpleNamespace(
        app=SimpleNamespace(queue_spec=QueueSpec),
        consumer=SimpleNamespace(add_queue=lambda spec: None),
        queues={},
        tell=told.append,
        hostname="w1@test",
    )
    panel = WorkerPanel(cast("PanelParts", parts))

    panel.add_consumer("other", None, None, None, {})

    assert told == [Rang()]

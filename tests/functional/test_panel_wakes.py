"""What a broadcast command changes takes effect at once, not at the next look of the loop."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

from tqconsole.engine.protocol.transfer import QueueSpec
from tqconsole.engine.worker.panel import WorkerPanel
from tqconsole.engine.worker.values import Rang


def test_what_waits_in_an_added_queue_is_fetched_at_once() -> None:
    told: list[Any] = []
    parts = MagicMock(queues={}, tell=told.append)
    parts.app.queue_spec = QueueSpec
    panel = WorkerPanel(parts)

    panel.add_consumer("other", None, None, None, {})

    assert told == [Rang()]

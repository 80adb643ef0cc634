"""What one batch of events adds to the counts: gathered event by event, counted once at its end.

All events of a batch arrived at one instant, so that two hundred of them go into a handful of
counters: a queue's, a type's, a worker's. Owned by the UI's thread, for the time of a batch.
"""

from __future__ import annotations

from tqconsole.core.nodes import Node, Nodes
from tqconsole.core.queues import Queues
from tqconsole.core.stats import Runs, Stats
from tqconsole.core.views import TaskRow


class Tally:
    """Counts that wait to be made."""

    __slots__ = (
        "_runs", "_sent", "_taken", "_told", "_told_by_node", "hostname", "node", "now_at",
    )  # fmt: skip

    def __init__(self, now_at: float) -> None:
        self.now_at = now_at
        #: Who told the last event, by its own word, and as the model knows it.
        self.hostname: object = None
        self.node: Node | None = None
        self._sent: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._runs: dict[str, Runs] = {}
        self._told_by_node: dict[Node, dict[str, int]] = {}
        #: Event type -> how many the node told that is heard now.
        self._told: dict[str, int] = {}

    def turn_to(self, node: Node, hostname: object) -> None:
        """Say whose events the next ones are: workers tell many in one message."""
        self.node, self.hostname = node, hostname
        told = self._told_by_node.get(node)
        if told is None:
            told = self._told_by_node[node] = {}
        self._told = told

    def note_told(self, event_type: str) -> None:
        """Count a task event of the node that was turned to."""
        told = self._told
        told[event_type] = told.get(event_type, 0) + 1

    def note_sent(self, queue_name: str) -> None:
        """Count a call sent into a queue."""
        self._sent[queue_name] = self._sent.get(queue_name, 0) + 1

    def note_taken(self, queue_name: str) -> None:
        """Count a message that a worker received from a queue."""
        self._taken[queue_name] = self._taken.get(queue_name, 0) + 1

    def note_run(self, row: TaskRow, *, is_failure: bool) -> None:
        """Count a run that succeeded or failed."""
        runs = self._runs.get(row.name)
        if runs is None:
            runs = self._runs[row.name] = Runs()
        runs.add(row.runtime_s, row.wait_s, is_failure=is_failure)

    def count(self, nodes: Nodes, queues: Queues, stats: Stats) -> None:
        """Make the counts."""
        now_at = self.now_at
        for node, told in self._told_by_node.items():
            nodes.note_tasks(node, told, now_at)
        for queue_name, count in self._sent.items():
            queues.queue(queue_name).note_sent(now_at, count)
        for queue_name, count in self._taken.items():
            queues.queue(queue_name).note_taken(now_at, count)
        for name, runs in self._runs.items():
            stats.note_runs(now_at, name, runs)

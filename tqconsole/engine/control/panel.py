"""What a broadcast command may ask of the worker that runs it.

The commands (`control/commands/`) are written against this; `worker/` implements it. All is called
in the worker's loop, so nothing here may block. Shapes of the returned values: wire.md §6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Panel(Protocol):
    """The worker as its commands see it."""

    @property
    def hostname(self) -> str:
        """The node name."""
        ...

    @property
    def app(self) -> Any:
        """The App (conf, tasks, clock, bugreport)."""
        ...

    def active(self) -> list[dict[str, Any]]:
        """Return request infos of what runs; args and kwargs are real values."""
        ...

    def reserved(self) -> list[dict[str, Any]]:
        """Return request infos of what is in hand and neither runs nor waits for its time."""
        ...

    def scheduled(self) -> list[dict[str, Any]]:
        """Return `{"eta", "priority", "request"}` of what waits for its time, here or parked."""
        ...

    def revoked_ids(self) -> list[str]:
        """Return the ids flagged as revoked, oldest first."""
        ...

    def revoke(self, task_ids: Sequence[str]) -> None:
        """Flag ids; what is in hand and has not started ends as REVOKED at once."""
        ...

    def revoke_stamped(self, headers: Mapping[str, Any]) -> list[str]:
        """Flag stamps, and return the ids of running tasks that carry one."""
        ...

    def merge_revoked(self, task_ids: Sequence[str]) -> None:
        """Take over another node's revoked ids."""
        ...

    def terminate(self, task_ids: Sequence[str], signal_name: str) -> list[str]:
        """Kill the processes that run these ids and revoke them; return the ids found running.

        Raises: NotSupportedError on pools that cannot, ValueError for an unknown signal.
        """
        ...

    def query_task(self, task_ids: Sequence[str]) -> dict[str, Any]:
        """Return id -> [state word, info] of those in hand."""
        ...

    def stats(self) -> dict[str, Any]:
        """Return the whole reply of `stats`."""
        ...

    def queues(self) -> list[dict[str, Any]]:
        """Return the reply of `active_queues`."""
        ...

    def set_rate_limit(self, task_name: str, rate_limit: str | int | float | None) -> None:
        """Replace a task's rate here. Raises: KeyError unknown task, ValueError bad rate."""
        ...

    def set_time_limit(self, task_name: str, hard_s: float | None, soft_s: float | None) -> None:
        """Replace a task's limits here for later runs. Raises: KeyError unknown task."""
        ...

    def enable_events(self) -> bool:
        """Force task events on; False when they were."""
        ...

    def disable_events(self) -> bool:
        """Force task events off; False when they were."""
        ...

    def send_heartbeat(self) -> None:
        """Send one short worker-heartbeat now (wire.md §5.3)."""
        ...

    def pool_grow(self, count: int) -> None:
        """Add slots. Raises: NotSupportedError, ValueError under autoscale."""
        ...

    def pool_shrink(self, count: int) -> None:
        """Take slots away, never the last. Raises as `pool_grow`."""
        ...

    def pool_restart(self, modules: Sequence[str] | None, *, is_reloading: bool) -> None:
        """Replace the children; needs `worker_pool_restarts`. Raises: ValueError."""
        ...

    def autoscale(self, max_count: int | None, min_count: int | None) -> tuple[int, int]:
        """Set the bounds and return them. Raises: ValueError("Autoscale not enabled")."""
        ...

    def add_consumer(
        self,
        queue: str,
        exchange: str | None,
        exchange_type: str | None,
        routing_key: str | None,
        options: Mapping[str, Any],
    ) -> bool:
        """Consume from a queue too; False when it already is."""
        ...

    def cancel_consumer(self, queue: str) -> None:
        """Stop consuming from a queue."""
        ...

    def shutdown(self) -> None:
        """Begin the warm shutdown after this command."""
        ...

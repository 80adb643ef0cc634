"""Broadcast commands about a worker's slots. Reply shapes: wire.md §6.3."""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.engine.control.panel import Panel
from tqconsole.engine.control.table import Danger, control_command


@control_command(args=[("n", int)], signature="[N=1]", danger=Danger.CHANGES)
def pool_grow(panel: Panel, n: int = 1) -> dict[str, str]:
    """Give each worker n slots more."""
    panel.pool_grow(_positive(n))
    return {"ok": "pool will grow"}


@control_command(args=[("n", int)], signature="[N=1]", danger=Danger.CHANGES)
def pool_shrink(panel: Panel, n: int = 1) -> dict[str, str]:
    """Take n slots away from each worker, as they come free."""
    panel.pool_shrink(_positive(n))
    return {"ok": "pool will shrink"}


@control_command(danger=Danger.ENDS)
def pool_restart(
    panel: Panel,
    modules: Sequence[str] | None = None,
    *,
    reload: bool = False,
) -> dict[str, str]:
    """Replace the processes of the pool (needs worker_pool_restarts)."""
    panel.pool_restart(modules, is_reloading=reload)
    return {"ok": "reload started"}


@control_command(args=[("max", int), ("min", int)], signature="[max [min]]", danger=Danger.CHANGES)
def autoscale(
    panel: Panel,
    max: int | None = None,  # noqa: A002 - wire name
    min: int | None = None,  # noqa: A002 - wire name
) -> dict[str, str]:
    """Set the bounds between which the pool scales itself."""
    new_max, new_min = panel.autoscale(max, min)
    return {"ok": f"autoscale now max={new_max} min={new_min}"}


def _positive(count: int) -> int:
    if count < 1:
        raise ValueError(f"the number of slots must be 1 or more, not {count}")
    return count

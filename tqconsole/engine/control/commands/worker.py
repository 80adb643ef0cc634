"""Broadcast commands about the worker itself: life, settings, figures, events, shutdown.

Reply shapes: wire.md §6.3 and §6.4. `hello` is how workers share what they know of each other
when one starts (mingle); clients have no use for it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from tqconsole.engine.control.names import read_names
from tqconsole.engine.control.panel import Panel
from tqconsole.engine.control.table import Danger, control_command, inspect_command

logger = logging.getLogger(__name__)

_TRUE_WORDS = frozenset({"1", "true", "yes", "on", "t", "y"})
_FALSE_WORDS = frozenset({"0", "false", "no", "off", "f", "n"})


def truth(word: str) -> bool:
    """Read a yes or no from a shell word. Raises: ValueError."""
    lowered = word.lower()
    if lowered not in _TRUE_WORDS | _FALSE_WORDS:
        raise ValueError("say true or false")
    return lowered in _TRUE_WORDS


@inspect_command(default_timeout=0.2)
def ping(panel: Panel) -> dict[str, str]:
    """Answer, if you live."""
    return {"ok": "pong"}


@inspect_command()
def stats(panel: Panel) -> dict[str, Any]:
    """Figures: tasks done, pool, broker, prefetch, resources."""
    return panel.stats()


@inspect_command()
def clock(panel: Panel) -> dict[str, int]:
    """The worker's logical clock."""
    return {"clock": panel.app.clock.value}


@inspect_command()
def report(panel: Panel) -> dict[str, str]:
    """Versions and settings, as text for a bug report."""
    return {"ok": panel.app.bugreport()}


@inspect_command(
    alias="dump_conf", args=[("with_defaults", truth)], signature="[include_defaults=False]"
)
def conf(panel: Panel, *, with_defaults: bool = False) -> dict[str, Any]:
    """Settings, secrets masked."""
    table = panel.app.conf.table(with_defaults=with_defaults)
    return {
        name: _plain(value)
        for name, value in table.items()
        if isinstance(name, str) and not name.startswith("__")
    }


@inspect_command(visible=False)
def hello(
    panel: Panel, from_node: str, revoked: Mapping[str, Any] | Sequence[str] | None = None
) -> dict[str, Any] | None:
    """Share what a starting worker must know. Older nodes send `{id: time}`, newer a list."""
    if from_node == panel.hostname:
        return None
    logger.info("sync with %s", from_node)
    if revoked:
        panel.merge_revoked(read_names("revoked", revoked))
    return {"revoked": panel.revoked_ids(), "clock": panel.app.clock.forward()}


@control_command(danger=Danger.CHANGES)
def enable_events(panel: Panel) -> dict[str, str]:
    """Send task events."""
    return {"ok": "task events enabled" if panel.enable_events() else "task events already enabled"}


@control_command(danger=Danger.CHANGES)
def disable_events(panel: Panel) -> dict[str, str]:
    """Send no task events."""
    was_on = panel.disable_events()
    return {"ok": "task events disabled" if was_on else "task events already disabled"}


@control_command()
def heartbeat(panel: Panel) -> None:
    """Send a heartbeat event now."""
    panel.send_heartbeat()


@control_command(danger=Danger.ENDS)
def shutdown(panel: Panel, msg: str = "Got shutdown from remote") -> dict[str, str]:
    """Finish what runs, then stop the worker.

    Celery's workers do not answer this one; ours say that they heard it.
    """
    logger.warning(msg)
    panel.shutdown()
    return {"ok": "shutting down"}


def _plain(value: Any) -> Any:
    """Return `value` as JSON can carry it; what it cannot becomes its repr."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return repr(value)

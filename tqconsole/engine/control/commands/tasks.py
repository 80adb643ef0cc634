"""Broadcast commands about tasks: what runs, waits, is known; revoke, terminate and limits.

Reply shapes: wire.md §6.3. Each function runs in the worker's loop and must not block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tqconsole.engine.control.names import read_name, read_names
from tqconsole.engine.control.panel import Panel
from tqconsole.engine.control.table import Danger, control_command, inspect_command

#: What `registered` says of a task when nothing else is asked for.
DEFAULT_ITEMS = ("exchange", "routing_key", "rate_limit")
#: Characters of a repr in a `safe` reply; the same cut as in task messages.
REPR_LENGTH = 1024
#: The longest time limit, as in a message's header (`protocol/header.py`).
_MOST_LIMIT_S = 2**31 - 1


@inspect_command(alias="dump_active")
def active(panel: Panel, *, safe: bool = False) -> list[dict[str, Any]]:
    """Tasks that are running now."""
    requests = panel.active()
    return [_with_reprs(request) for request in requests] if safe else requests


@inspect_command(alias="dump_reserved")
def reserved(panel: Panel) -> list[dict[str, Any]]:
    """Tasks in the worker's hands that wait for a free slot."""
    return panel.reserved()


@inspect_command(alias="dump_schedule")
def scheduled(panel: Panel) -> list[dict[str, Any]]:
    """Tasks that wait for their eta or countdown."""
    return panel.scheduled()


@inspect_command(alias="dump_revoked")
def revoked(panel: Panel) -> list[str]:
    """Ids of tasks that were revoked."""
    return panel.revoked_ids()


@inspect_command(
    alias="dump_tasks", variadic="taskinfoitems", signature="[attr1 [attr2 [... [attrN]]]]"
)
def registered(
    panel: Panel,
    taskinfoitems: Sequence[str] | None = None,
    *,
    builtins: bool = False,
) -> list[str]:
    """Names of the tasks that the worker knows, with chosen attributes."""
    wanted = read_names("taskinfoitems", taskinfoitems) or DEFAULT_ITEMS
    items = [name for name in wanted if not name.startswith("_")]
    tasks = panel.app.tasks
    names = sorted(name for name in tasks if builtins or not name.startswith("celery."))
    return [_described(name, tasks[name], items) for name in names]


@inspect_command(variadic="ids", signature="[id1 [id2 [... [idN]]]]")
def query_task(panel: Panel, ids: Sequence[str] | str) -> dict[str, Any]:
    """Where in the worker these task ids are, and what it knows of them."""
    return panel.query_task(read_names("ids", ids))


@control_command(variadic="task_id", signature="[id1 [id2 [... [idN]]]]", danger=Danger.ENDS)
def revoke(
    panel: Panel,
    task_id: Sequence[str] | str,
    *,
    terminate: bool = False,
    signal: str | None = None,
) -> dict[str, str]:
    """Never start these tasks (running ones go on unless terminate is set)."""
    task_ids = read_names("task_id", task_id)
    if terminate:
        return _terminate(panel, task_ids, signal)
    panel.revoke(task_ids)
    return {"ok": f"tasks {set(task_ids)} flagged as revoked"}


@control_command(
    name="terminate",
    args=[("signal", str)],
    variadic="task_id",
    signature="<signal> [id1 [id2 [... [idN]]]]",
    danger=Danger.ENDS,
)
def terminate_tasks(
    panel: Panel, signal: str | None, task_id: Sequence[str] | str
) -> dict[str, str]:
    """Revoke these tasks and kill the processes that run them."""
    return _terminate(panel, read_names("task_id", task_id), signal)


@control_command(
    variadic="headers",
    signature="[key1=value1 [key2=value2 [... [keyN=valueN]]]]",
    danger=Danger.ENDS,
)
def revoke_by_stamped_headers(
    panel: Panel,
    headers: Mapping[str, Any] | Sequence[str],
    *,
    terminate: bool = False,
    signal: str | None = None,
) -> dict[str, str]:
    """Never start tasks that carry one of these stamps."""
    stamps = dict(headers) if isinstance(headers, Mapping) else _stamps_from(headers)
    running_ids = panel.revoke_stamped(stamps)
    if not terminate:
        return {"ok": f"headers {stamps} flagged as revoked, but not terminated"}
    ended_ids = panel.terminate(running_ids, signal or "SIGTERM") if running_ids else []
    if not ended_ids:
        return {"ok": f"headers {stamps} were not terminated"}
    return {"ok": f"headers {stamps} revoked"}


@control_command(
    args=[("task_name", str), ("rate_limit", str)],
    signature="<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>",
    danger=Danger.CHANGES,
)
def rate_limit(panel: Panel, task_name: str, rate_limit: str | float | None) -> dict[str, str]:
    """Set how often a task may start on each worker (0: as often as it likes)."""
    name = read_name("task_name", task_name)
    try:
        panel.set_rate_limit(name, rate_limit)
    except KeyError:
        return {"error": "unknown task"}
    except ValueError as error:
        return {"error": f"Invalid rate limit string: {error!r}"}
    if rate_limit in (None, "", 0, "0"):
        return {"ok": "rate limit disabled successfully"}
    return {"ok": "new rate limit set successfully"}


@control_command(
    args=[("task_name", str), ("soft", float), ("hard", float)],
    signature="<task_name> <soft_secs> [hard_secs]",
    danger=Danger.CHANGES,
)
def time_limit(
    panel: Panel, task_name: str, hard: float | None = None, soft: float | None = None
) -> dict[str, str]:
    """Set a task's time limits for its later runs."""
    for limit_s in (soft, hard):
        # What a timer refuses would fail every later run of the task.
        if limit_s is not None and not 0 <= limit_s <= _MOST_LIMIT_S:
            raise ValueError(f"a time limit is 0 (none) to {_MOST_LIMIT_S} seconds, not {limit_s}")
    try:
        panel.set_time_limit(read_name("task_name", task_name), hard, soft)
    except KeyError:
        return {"error": "unknown task"}
    return {"ok": "time limits set successfully"}


def _terminate(panel: Panel, task_ids: list[str], signal: str | None) -> dict[str, str]:
    found_ids = panel.terminate(task_ids, signal or "SIGTERM")
    if not found_ids:
        return {"ok": "terminate: tasks unknown"}
    return {"ok": f"terminate: {', '.join(found_ids)}"}


def _stamps_from(words: Sequence[str]) -> dict[str, str]:
    stamps = {}
    for word in read_names("headers", words):
        name, is_given, value = word.partition("=")
        if not is_given or not name:
            raise ValueError(f"a stamp is written key=value, not {word!r}")
        stamps[name] = value
    return stamps


def _described(name: str, task: Any, items: Sequence[str]) -> str:
    values = [(item, getattr(task, item, None)) for item in items]
    texts = [f"{item}={value}" for item, value in values if value is not None]
    return f"{name} [{' '.join(texts)}]" if texts else name


def _with_reprs(request: dict[str, Any]) -> dict[str, Any]:
    return request | {key: _cut(repr(request[key])) for key in ("args", "kwargs") if key in request}


def _cut(text: str) -> str:
    return text if len(text) <= REPR_LENGTH else text[: REPR_LENGTH - 3] + "..."

"""Turns what workers answer to `inspect` into tables and texts for the worker detail's tabs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tqconsole.core.attention import span
from tqconsole.core.merge import number
from tqconsole.core.sanitize import clean, clean_lines, clean_name, clean_tree, shown
from tqconsole.core.secrets import HIDDEN, hidden, is_secret_name, masked
from tqconsole.core.views import Inspected
from tqconsole.engine.control.answer import Answers
from tqconsole.engine.protocol.instant import epoch_instant

#: Rows of one table; a worker may hold more, nobody reads them.
ROW_LIMIT = 5000

Rows = tuple[tuple[str, ...], ...]
Table = tuple[tuple[str, ...], Rows]


def inspected(worker: str, what: str, answers: Answers, now_at: float) -> Inspected:
    """Return one worker's answer for the screen."""
    name, value = next(iter(answers.replies.items()), (worker, None))
    facts = Inspected(clean_name(name), what, elapsed_s=answers.elapsed_s)
    if not answers.replies:
        return _with(facts, error=f"no reply within {answers.elapsed_s:.1f} s")
    if name in answers.errors:
        return _with(facts, error=clean(answers.errors[name], 500))
    make = _TABLES.get(what)
    if make is not None:
        columns, rows = make(value, now_at)
        return _with(facts, columns=columns, rows=rows[:ROW_LIMIT])
    if isinstance(value, Mapping) and value.keys() == {"ok"}:
        value = value["ok"]
    text = value if isinstance(value, str) else json.dumps(clean_tree(value), indent=2, default=str)
    return _with(facts, text=clean_lines(masked(text), 200_000))


def _with(facts: Inspected, **changes: Any) -> Inspected:
    fields = {name: getattr(facts, name) for name in Inspected.__slots__}
    return Inspected(**{**fields, **changes})


def _maps(value: object) -> list[Mapping[str, Any]]:
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _call_text(request: Mapping[str, Any]) -> str:
    return hidden(shown(request.get("args"), 300))


def _queue_of(request: Mapping[str, Any]) -> str:
    delivery = request.get("delivery_info")
    return clean_name(delivery.get("routing_key")) if isinstance(delivery, Mapping) else ""


def _active(value: object, now_at: float) -> Table:
    rows = []
    for request in _maps(value):
        started_at = number(request.get("time_start"))
        running = span(max(0.0, now_at - started_at)) if started_at else ""
        task_id, name, *call = _request(request)
        rows.append((task_id, name, running, *call, clean_name(request.get("worker_pid"))))
    # What is last falls away first where there is little room.
    return ("ID", "NAME", "RUNNING", "ARGS", "KWARGS", "QUEUE", "PID"), tuple(rows)


def _request(request: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        clean_name(request.get("id")),
        clean_name(request.get("name") or request.get("type")),
        _call_text(request),
        hidden(shown(request.get("kwargs"), 300)),
        _queue_of(request),
    )


def _reserved(value: object, _now_at: float) -> Table:
    columns = ("ID", "NAME", "ARGS", "KWARGS", "QUEUE")
    return columns, tuple(_request(request) for request in _maps(value))


def _scheduled(value: object, now_at: float) -> Table:
    rows = []
    for entry in _maps(value):
        request = entry.get("request")
        if isinstance(request, Mapping):
            eta, priority = clean_name(entry.get("eta")), clean_name(entry.get("priority"))
            task_id, name, *call = _request(request)
            rows.append((task_id, name, _due_in(eta, now_at), *call, priority, eta))
    return ("ID", "NAME", "DUE IN", "ARGS", "KWARGS", "QUEUE", "PRIORITY", "ETA"), tuple(rows)


def _due_in(eta: str, now_at: float) -> str:
    try:
        wait_s = epoch_instant(eta) - now_at
    except ValueError:
        return ""
    return span(wait_s) if wait_s > 0 else "due"


def _ids(value: object, _now_at: float) -> Table:
    ids = value if isinstance(value, list) else []
    return ("ID",), tuple((clean_name(task_id),) for task_id in ids)


def _registered(value: object, _now_at: float) -> Table:
    rows = []
    for entry in value if isinstance(value, list) else []:
        name, _, attributes = clean(entry, 500).partition(" [")
        rows.append((name, attributes.removesuffix("]")))
    return ("TASK", "ATTRIBUTES"), tuple(rows)


def _queues(value: object, _now_at: float) -> Table:
    rows = []
    for queue in _maps(value):
        exchange = queue.get("exchange")
        name, kind = "", ""
        if isinstance(exchange, Mapping):
            name, kind = clean_name(exchange.get("name")), clean_name(exchange.get("type"))
        key = clean_name(queue.get("routing_key"))
        is_durable = "yes" if queue.get("durable") else "no"
        rows.append((clean_name(queue.get("name")), name, kind, key, is_durable))
    return ("QUEUE", "EXCHANGE", "TYPE", "ROUTING KEY", "DURABLE"), tuple(rows)


def _stats(value: object, _now_at: float) -> Table:
    return ("FIGURE", "VALUE"), tuple(_flat("", value))


def _conf(value: object, _now_at: float) -> Table:
    if not isinstance(value, Mapping):
        return ("SETTING", "VALUE"), ()
    rows = [(clean_name(name), _setting(name, value[name])) for name in value]
    return ("SETTING", "VALUE"), tuple(sorted(rows))


def _setting(name: object, value: object) -> str:
    if value and is_secret_name(str(name)) and not isinstance(value, bool):
        return HIDDEN
    return masked(clean(_hidden(value), 1000))


def _hidden(value: object) -> str:
    """Return a setting's text, with what looks like a secret inside maps hidden as well."""
    if isinstance(value, Mapping):
        parts = (f"{name!r}: {_setting(name, item)}" for name, item in value.items())
        return "{" + ", ".join(parts) + "}"
    return str(value)


def _flat(prefix: str, value: object, depth: int = 6) -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and depth:
        rows: list[tuple[str, str]] = []
        for name, item in value.items():
            rows += _flat(
                f"{prefix}.{clean_name(name)}" if prefix else clean_name(name), item, depth - 1
            )
        return rows
    return [(prefix, masked(shown(value, 500)))]


_TABLES: dict[str, Callable[[object, float], Table]] = {
    "active": _active,
    "reserved": _reserved,
    "scheduled": _scheduled,
    "revoked": _ids,
    "registered": _registered,
    "active_queues": _queues,
    "stats": _stats,
    "conf": _conf,
}

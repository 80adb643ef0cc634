"""Where a call goes: `task_routes` in all its forms, and queue descriptions in all of theirs.

Pure: no broker, no app. Queues are described as plain fields, because what a broker is told
(`QueueSpec`) stands on a floor above. kombu's objects are read, not imported: whoever hands one in
has imported kombu.
"""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tqconsole.engine.exceptions import ImproperlyConfigured

#: A route: name, args, kwargs, options, task -> options, a queue's name or None.
Route = Callable[[str, Any, Any, dict[str, Any], Any], Any]


class DirectExchange:
    """Where the queues of single workers are bound, in the shape of kombu's Exchange."""

    name = "C.dq2"
    type = "direct"
    durable = True
    delivery_mode = None


class DirectQueue:
    """The queue of one worker that runs with `worker_direct`, in the shape of kombu's Queue."""

    exchange = DirectExchange()
    auto_delete = True

    def __init__(self, node_name: str) -> None:
        self.name = f"{node_name}.dq2"
        self.routing_key = node_name

    def __repr__(self) -> str:
        return f"<Queue {self.name} -> {self.exchange.name}>"


def worker_direct(node_name: str) -> DirectQueue:
    """Return the queue that leads to one worker: `apply_async(queue=worker_direct("w1@host"))`."""
    return DirectQueue(node_name)


class Router:
    """The routes of one app, tried in order; the first answer counts."""

    def __init__(self, routes: Any = None) -> None:
        self._routes: list[Route] = [_route(entry) for entry in _entries(routes)]

    def __bool__(self) -> bool:
        return bool(self._routes)

    @property
    def is_by_name(self) -> bool:
        """True when a task's name alone decides: what was looked up may be kept."""
        return all(isinstance(route, _Table) for route in self._routes)

    def lookup(
        self, name: str, args: Any, kwargs: Any, options: dict[str, Any], task: Any = None
    ) -> dict[str, Any]:
        """Return the options of the first route that knows `name`, {} when none does."""
        for route in self._routes:
            answer = route(name, args, kwargs, options, task)
            if answer is not None:
                return {"queue": answer} if isinstance(answer, str) else dict(answer)
        return {}


def describe_queue(queue: Any) -> dict[str, Any]:
    """Return a kombu Queue (or anything that looks like one) as plain fields.

    Keys as in `task_queues` given as a mapping: name, alias, exchange, exchange_type,
    exchange_durable, routing_key, durable, auto_delete, exclusive, no_ack, expires, message_ttl,
    max_priority, queue_arguments, binding_arguments, bindings, delivery_mode. None: not said.
    Raises: ImproperlyConfigured for anything else.
    """
    name = getattr(queue, "name", None)
    if not isinstance(name, str):
        raise ImproperlyConfigured(f"a queue is a name or a kombu Queue, not {queue!r:.60}")
    exchange = getattr(queue, "exchange", None)
    return {
        "name": name,
        "alias": getattr(queue, "alias", None),
        "exchange": getattr(exchange, "name", exchange),
        "exchange_type": getattr(exchange, "type", None),
        "exchange_durable": getattr(exchange, "durable", True),
        "delivery_mode": getattr(exchange, "delivery_mode", None),
        "routing_key": getattr(queue, "routing_key", None),
        "durable": getattr(queue, "durable", True),
        "auto_delete": getattr(queue, "auto_delete", False),
        "exclusive": getattr(queue, "exclusive", False),
        "no_ack": getattr(queue, "no_ack", False),
        "expires": getattr(queue, "expires", None),
        "message_ttl": getattr(queue, "message_ttl", None),
        "max_priority": getattr(queue, "max_priority", None),
        "queue_arguments": getattr(queue, "queue_arguments", None),
        "binding_arguments": getattr(queue, "binding_arguments", None),
        "bindings": getattr(queue, "bindings", None),
    }


def described_queues(task_queues: Any) -> list[dict[str, Any]]:
    """Return `task_queues` as fields: a list of queues, or a mapping name -> fields or queue."""
    if not task_queues:
        return []
    if isinstance(task_queues, Mapping):
        return [
            {"name": name, **fields} if isinstance(fields, Mapping) else describe_queue(fields)
            for name, fields in task_queues.items()
        ]
    return [
        {"name": entry} if isinstance(entry, str) else describe_queue(entry)
        for entry in task_queues
    ]


def _entries(routes: Any) -> list[Any]:
    """Return the single routers of a `task_routes` value.

    A list of pairs is one ordered table, as (name, route) tuples are in Celery's documentation.
    """
    if not routes:
        return []
    if isinstance(routes, list | tuple):
        if all(_is_pair(entry) for entry in routes):
            return [list(routes)]
        return list(routes)
    return [routes]


def _is_pair(entry: Any) -> bool:
    return (
        isinstance(entry, list | tuple)
        and len(entry) == 2
        and isinstance(entry[0], str | re.Pattern)
        and isinstance(entry[1], str | Mapping)
    )


def _route(entry: Any) -> Route:
    if isinstance(entry, Mapping):
        return _Table(entry.items())
    if isinstance(entry, list | tuple):
        return _Table(entry)
    target = _named(entry) if isinstance(entry, str) else entry
    if inspect.isclass(target):
        target = target()
    if hasattr(target, "route_for_task"):
        return _of_router(target.route_for_task)
    if not callable(target):
        raise ImproperlyConfigured(f"task_routes: {entry!r} is neither a table nor a function")
    return _of_function(target)


class _Table:
    """Names, globs and expressions to options; exact names first, then patterns in order."""

    def __init__(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        self._exact: dict[str, Any] = {}
        self._patterns: list[tuple[re.Pattern[str], Any]] = []
        for name, options in pairs:
            if isinstance(name, re.Pattern):
                self._patterns.append((name, options))
            elif any(sign in name for sign in "*?["):
                self._patterns.append((re.compile(fnmatch.translate(name)), options))
            else:
                self._exact.setdefault(name, options)

    def __call__(self, name: str, args: Any, kwargs: Any, options: Any, task: Any) -> Any:
        if name in self._exact:
            return self._exact[name]
        return next((found for form, found in self._patterns if form.match(name)), None)


def _of_function(function: Callable[..., Any]) -> Route:
    def route(name: str, args: Any, kwargs: Any, options: dict[str, Any], task: Any) -> Any:
        return function(name, args, kwargs, options, task=task)

    return route


def _of_router(method: Callable[..., Any]) -> Route:
    """Wrap `route_for_task(task, args=None, kwargs=None)`, which takes no options."""

    def route(name: str, args: Any, kwargs: Any, options: dict[str, Any], task: Any) -> Any:
        return method(name, args, kwargs)

    return route


def _named(path: str) -> Any:
    module_name, separator, attribute = path.partition(":")
    if not separator:
        module_name, _, attribute = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImproperlyConfigured(f"task_routes: {path!r} cannot be imported: {error}") from error

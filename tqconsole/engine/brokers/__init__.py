"""Which adapter speaks which URL scheme, and the one door through which a broker is opened."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.exceptions import ImproperlyConfigured

#: URL scheme -> "module:Class". The class is called with (url, options).
BROKERS: dict[str, str] = {
    "amqp": "tqconsole.engine.brokers.amqp.broker:AmqpBroker",
    "amqps": "tqconsole.engine.brokers.amqp.broker:AmqpBroker",
    "librabbitmq": "tqconsole.engine.brokers.amqp.broker:AmqpBroker",
    "memory": "tqconsole.engine.brokers.memory:MemoryBroker",
    "pyamqp": "tqconsole.engine.brokers.amqp.broker:AmqpBroker",
    "redis": "tqconsole.engine.brokers.redis.broker:RedisBroker",
    "redis+socket": "tqconsole.engine.brokers.redis.broker:RedisBroker",
    "rediss": "tqconsole.engine.brokers.redis.broker:RedisBroker",
    "sqlite": "tqconsole.engine.brokers.sqlite:SqliteBroker",
}

#: Schemes that Celery speaks. Whoever says one did not misspell it.
_OTHERS = frozenset({"amqp", "amqps", "pyamqp", "redis", "rediss", "sentinel", "sqs", "kafka"})


def open_broker(url: str, options: dict[str, Any] | None = None) -> Broker:
    """Return the broker behind `url`, not yet connected.

    `options` are Celery's `broker_transport_options`.
    Raises: ImproperlyConfigured for a URL without a scheme or with one nobody here speaks.
    """
    scheme = scheme_of(url)
    entry = BROKERS.get(scheme)
    if entry is None:
        raise ImproperlyConfigured(_unknown_scheme(scheme, url))
    module_name, _, class_name = entry.partition(":")
    adapter: Any = getattr(importlib.import_module(module_name), class_name)
    broker: Broker = adapter(url, options or {})
    return broker


def scheme_of(url: str) -> str:
    """Return the part before "://" (or before ":" as in "sqlite:queue.db"), lower case."""
    scheme, separator, _ = url.partition(":")
    return scheme.lower() if separator else ""


def _unknown_scheme(scheme: str, url: str) -> str:
    known = ", ".join(sorted(f"{name}://" for name in BROKERS))
    if not scheme:
        return f"The broker URL {url!r} has no scheme. Known schemes: {known}"
    if scheme in _OTHERS:
        return (
            f"{scheme}:// is not spoken by this version of tqconsole, which speaks {known}: "
            "name another broker with -b, TQCONSOLE_BROKER or broker_url"
        )
    nearest = difflib.get_close_matches(scheme, BROKERS, n=1)
    hint = f" Did you mean {nearest[0]}://?" if nearest else ""
    return f"No such transport: {scheme}.{hint} Known schemes: {known}"

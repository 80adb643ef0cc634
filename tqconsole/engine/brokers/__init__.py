"""Which adapter speaks which URL scheme, and the one door through which a broker is opened."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from tqconsole.engine.alternates import alternates
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.exceptions import ImproperlyConfigured

#: kombu's other transports, and the adapter that speaks them all.
_KOMBU = "tqconsole.engine.brokers.kombu.broker:KombuBroker"
#: URL scheme -> "module:Class". The class is called with (url, options).
BROKERS: dict[str, str] = {
    "amqp": "tqconsole.engine.brokers.amqp.broker:AmqpBroker",
    "amqps": "tqconsole.engine.brokers.amqp.broker:AmqpBroker",
    "azureservicebus": _KOMBU,
    "azurestoragequeues": _KOMBU,
    "confluentkafka": _KOMBU,
    "consul": _KOMBU,
    "etcd": _KOMBU,
    "filesystem": _KOMBU,
    "gcpubsub": _KOMBU,
    "kafka": _KOMBU,
    "librabbitmq": "tqconsole.engine.brokers.amqp.broker:AmqpBroker",
    "memory": "tqconsole.engine.brokers.memory:MemoryBroker",
    "mongodb": _KOMBU,
    "pgmq": _KOMBU,
    "pyamqp": "tqconsole.engine.brokers.amqp.broker:AmqpBroker",
    "pyro": _KOMBU,
    "qpid": _KOMBU,
    "redis": "tqconsole.engine.brokers.redis.broker:RedisBroker",
    "redis+socket": "tqconsole.engine.brokers.redis.broker:RedisBroker",
    "rediss": "tqconsole.engine.brokers.redis.broker:RedisBroker",
    "sentinel": _KOMBU,
    "slmq": _KOMBU,
    "sqla": _KOMBU,
    "sqlalchemy": _KOMBU,
    "sqlite": "tqconsole.engine.brokers.sqlite:SqliteBroker",
    "sqs": _KOMBU,
    "zookeeper": _KOMBU,
}
#: Schemes of this machine alone; the others go on to the next server of a list.
_TAKES_ONE = frozenset({"filesystem", "memory", "sqlite"})


def open_broker(url: str, options: dict[str, Any] | None = None) -> Broker:
    """Return the broker behind `url`, not yet connected.

    `options` are Celery's `broker_transport_options`.
    Raises: ImproperlyConfigured for a URL without a scheme or with one nobody here speaks.
    """
    scheme = scheme_of(url)
    # As in "sqla+postgresql://": what stands behind the "+" is the transport's own business.
    entry = BROKERS.get(scheme) or BROKERS.get(scheme.partition("+")[0])
    if entry is None:
        raise ImproperlyConfigured(_unknown_scheme(scheme, url))
    if len(alternates(url)) > 1 and scheme in _TAKES_ONE:
        raise ImproperlyConfigured(
            f"{scheme}:// takes one URL: there is no other place to turn to (;)"
        )
    kinds = {BROKERS.get(scheme_of(it)) for it in alternates(url)}
    if len(kinds) > 1:
        raise ImproperlyConfigured("Brokers that stand in for each other are of one kind (;)")
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
    nearest = difflib.get_close_matches(scheme, BROKERS, n=1)
    hint = f" Did you mean {nearest[0]}://?" if nearest else ""
    return f"No such transport: {scheme}.{hint} Known schemes: {known}"

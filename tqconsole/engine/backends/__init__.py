"""Which adapter speaks which result URL, and the one door through which a store is opened."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from tqconsole.engine.backends.base import Backend
from tqconsole.engine.exceptions import ImproperlyConfigured

#: URL scheme -> "module:Class". The class is called with (url, options).
BACKENDS: dict[str, str] = {
    "cache+memory": "tqconsole.engine.backends.memory:MemoryBackend",
    "disabled": "tqconsole.engine.backends.disabled:DisabledBackend",
    "redis": "tqconsole.engine.backends.redis:RedisBackend",
    "redis+socket": "tqconsole.engine.backends.redis:RedisBackend",
    "rediss": "tqconsole.engine.backends.redis:RedisBackend",
    "rpc+amqp": "tqconsole.engine.backends.rpc:RpcBackend",
    "rpc+amqps": "tqconsole.engine.backends.rpc:RpcBackend",
    "rpc+librabbitmq": "tqconsole.engine.backends.rpc:RpcBackend",
    "rpc+pyamqp": "tqconsole.engine.backends.rpc:RpcBackend",
    "sentinel": "tqconsole.engine.backends.redis:RedisBackend",
    "sqlite": "tqconsole.engine.backends.sqlite:SqliteBackend",
}

#: Schemes that Celery speaks. Whoever says one did not misspell it.
_OTHERS = frozenset({"amqp", "db", "django-db", "file", "mongodb"})


def open_backend(url: str | None, options: dict[str, Any] | None = None) -> Backend:
    """Return the result store behind `url`; None and "disabled" give the store that keeps nothing.

    `options` are Celery's `result_backend_transport_options`.
    Raises: ImproperlyConfigured for a scheme nobody here speaks.
    """
    address = url or "disabled:"
    scheme = address.partition(":")[0].lower()
    entry = BACKENDS.get(scheme)
    if entry is None:
        raise ImproperlyConfigured(_unknown_scheme(scheme))
    module_name, _, class_name = entry.partition(":")
    adapter: Any = getattr(importlib.import_module(module_name), class_name)
    backend: Backend = adapter(address, options or {})
    return backend


def _unknown_scheme(scheme: str) -> str:
    if scheme.startswith("rpc"):
        broker = scheme.removeprefix("rpc+")
        return (
            f"rpc:// sends results through an amqp:// broker, and this one is {broker}://: name"
            " a store with --result-backend or result_backend (redis://..., sqlite:///...)"
        )
    names = sorted({"rpc" if name.startswith("rpc+") else name for name in BACKENDS})
    known = ", ".join(names)
    if scheme in _OTHERS:
        return (
            f"{scheme}:// as result backend is not spoken by this version of tqconsole, which "
            f"knows {known}: name another one with --result-backend or result_backend"
        )
    nearest = difflib.get_close_matches(scheme, names, n=1)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    return f"No such result backend: {scheme!r}.{hint} Known: {known}"

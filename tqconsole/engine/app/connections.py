"""Which broker and which result store an app has.

Where reading and writing have URLs of their own, workers, commands and events use the one for
reading, and all messages of tasks are published to the other. All are opened at the first use and
belong to the process; adapters reconnect after a fork.
"""

from __future__ import annotations

import importlib
import os
import threading
from typing import Any

import msgspec

from tqconsole.engine.alternates import arranged
from tqconsole.engine.app.config import configured_broker_url
from tqconsole.engine.app.server_options import backend_options, broker_options, rpc_options
from tqconsole.engine.backends import open_backend
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.brokers.resolution import Resolved, resolve_broker
from tqconsole.engine.fork_locks import give_lock
from tqconsole.engine.settings import Settings


class Connections:
    """The broker and the result store of one app. Thread-safe."""

    _lock: threading.RLock

    def __init__(
        self, conf: Settings, broker: Broker | None = None, backend: Backend | None = None
    ) -> None:
        self._conf = conf
        give_lock(self, "_lock")
        self._broker = broker
        self._write_broker: Broker | None = None
        self._backend = backend
        self._is_broker_given = broker is not None
        self._is_backend_given = backend is not None
        self._resolved: Resolved | None = None
        self._resolved_version = -1
        #: (URL, strategy in words) -> the chosen order, one for reading and writing.
        self._arranged: dict[tuple[str, str], str] = {}

    @property
    def resolved(self) -> Resolved:
        """Which broker is meant and why. Raises: ImproperlyConfigured."""
        conf = self._conf
        if self._broker is not None and self._resolved is not None:
            return self._resolved
        if self._broker is not None:
            self._resolved = Resolved(self._broker.url, "given to the app")
        elif self._resolved is None or self._resolved_version != conf.version:
            # As long as nothing is open, later settings count.
            self._resolved_version = conf.version
            self._resolved = self._resolve("broker_read_url", "broker_write_url")
        return self._resolved

    def _resolve(self, setting: str, other: str) -> Resolved:
        """Return which broker is meant, its servers in the order in which they are tried."""
        found = self._found(setting, other)
        strategy = self._conf.broker_failover_strategy
        key = (found.url, repr(strategy))
        if key not in self._arranged:
            self._arranged[key] = arranged(found.url, strategy)
        return msgspec.structs.replace(found, url=self._arranged[key])

    def _found(self, setting: str, other: str) -> Resolved:
        """Return which broker is meant where `setting` may name another one than `broker_url`."""
        conf = self._conf
        url = _url_of(conf, setting)
        if url is None and not conf.value_set_for("broker_url"):
            # One half alone is better than some other broker for the other half.
            setting, url = other, _url_of(conf, other)
        if url is not None:
            return Resolved(url, setting)
        explicit = conf.overridden("broker_url")
        return resolve_broker(explicit, os.environ, None, configured_broker_url(conf))

    @property
    def broker(self) -> Broker:
        """The broker, opened at the first use. Raises: ImproperlyConfigured."""
        if self._broker is None:
            with self._lock:
                if self._broker is None:
                    self._broker = self._opened_broker(self.resolved.url)
        return self._broker

    @broker.setter
    def broker(self, broker: Broker) -> None:
        self._broker, self._write_broker, self._resolved = broker, None, None
        self._is_broker_given = True

    @property
    def write_broker(self) -> Broker:
        """Where messages are published: `broker`, unless `broker_write_url` or `broker_read_url`
        tells them apart. Raises: ImproperlyConfigured.
        """
        if self._write_broker is None:
            with self._lock:
                if self._write_broker is None:
                    self._write_broker = self._opened_for_writing()
        return self._write_broker

    def _opened_for_writing(self) -> Broker:
        if not self._is_broker_given:
            url = self._resolve("broker_write_url", "broker_read_url").url
            if url != self.resolved.url:
                return self._opened_broker(url)
        return self.broker

    def _opened_broker(self, url: str) -> Broker:
        return open_broker(url, broker_options(self._conf, url))

    @property
    def backend(self) -> Backend:
        """The result store, opened at the first use. Raises: ImproperlyConfigured."""
        if self._backend is None:
            with self._lock:
                if self._backend is None:
                    self._backend = self._opened()
        return self._backend

    @backend.setter
    def backend(self, backend: Backend) -> None:
        self._backend = backend
        self._is_backend_given = True

    def open_store(self, url: str | None) -> Backend:
        """Open a result store: the app's, or a task's own; None keeps nothing."""
        return open_backend(url, backend_options(self._conf, url))

    def close(self) -> None:
        """Give up what is open; a later use opens it again, as the settings then say."""
        with self._lock:
            for opened in (self._broker, self._write_broker, self._backend):
                if opened is not None:
                    opened.close()
            self._write_broker = None
            if not self._is_broker_given:
                self._broker = self._resolved = None
            if not self._is_backend_given:
                self._backend = None

    def _opened(self) -> Backend:
        configured = self._conf.result_backend
        if isinstance(configured, Backend):
            return configured
        if configured is None and self.broker.transport == "sqlite":
            # One file holds both: results cost nothing to set up where the broker costs nothing.
            return open_backend(self.resolved.url, self._conf.broker_transport_options)
        if str(configured).partition(":")[0].lower() == "rpc":
            # Through the broker that workers read from: the caller listens there.
            url = self.resolved.url
            return open_backend(f"rpc+{url}", rpc_options(self._conf, url))
        return self.open_store(configured)


def kombu_connection(url: str, options: dict[str, Any]) -> Any:
    """Return a connection of kombu's. `sqlite://` is our own transport."""
    # Slow, and only for users who want one.
    kombu: Any = importlib.import_module("kombu")
    if url.startswith("sqlite:"):
        options = {**options, "transport": "tqconsole.engine.embedded.kombu_transport:Transport"}
    return kombu.Connection(url, **options)


def kombu_pools(connection: Any, limit: int | None) -> dict[str, Any]:
    """Return kombu's pools of connections and of producers, at most `limit` of each."""
    pools: Any = importlib.import_module("kombu.pools")
    connections = connection.Pool(limit=limit)
    return {"connections": connections, "producers": pools.ProducerPool(connections, limit=limit)}


def _url_of(conf: Settings, setting: str) -> str | None:
    url = conf[setting] if conf.value_set_for(setting) else None
    if isinstance(url, list | tuple):
        url = ";".join(url)
    return str(url) if url else None

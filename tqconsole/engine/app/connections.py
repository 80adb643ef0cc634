"""Which broker and which result store an app has.

Both are opened at the first use and belong to the process; adapters reconnect after a fork.
"""

from __future__ import annotations

import os
import threading

from tqconsole.engine.app.config import configured_broker_url
from tqconsole.engine.backends import open_backend
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.brokers.resolution import Resolved, resolve_broker
from tqconsole.engine.settings import Settings


class Connections:
    """The broker and the result store of one app. Thread-safe."""

    def __init__(
        self, conf: Settings, broker: Broker | None = None, backend: Backend | None = None
    ) -> None:
        self._conf = conf
        self._lock = threading.RLock()
        self._broker = broker
        self._backend = backend
        self._is_broker_given = broker is not None
        self._is_backend_given = backend is not None
        self._resolved: Resolved | None = None
        self._resolved_version = -1

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
            configured = configured_broker_url(conf)
            self._resolved_version = conf.version
            self._resolved = resolve_broker(
                conf.overridden("broker_url"), os.environ, None, configured
            )
        return self._resolved

    @property
    def broker(self) -> Broker:
        """The broker, opened at the first use. Raises: ImproperlyConfigured."""
        if self._broker is None:
            with self._lock:
                if self._broker is None:
                    options = self._conf.broker_transport_options
                    self._broker = open_broker(self.resolved.url, options)
        return self._broker

    @broker.setter
    def broker(self, broker: Broker) -> None:
        self._broker, self._resolved = broker, None
        self._is_broker_given = True

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

    def open_store(self, url: str) -> Backend:
        """Open a result store of a task's own."""
        return open_backend(url, self._conf.result_backend_transport_options)

    def close(self) -> None:
        """Give up what is open; a later use opens it again, as the settings then say."""
        with self._lock:
            for opened in (self._broker, self._backend):
                if opened is not None:
                    opened.close()
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
        return open_backend(configured, self._conf.result_backend_transport_options)

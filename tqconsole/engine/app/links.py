"""Connections of kombu's for users who speak to the broker themselves:
`app.connection_for_write()` and its company, under Celery's names. The engine has connections of
its own and uses none of these.

kombu is a quarter of a second of imports, so it is loaded when the first connection is wanted.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tqconsole.engine.app.config import configured_broker_url
from tqconsole.engine.settings import Settings

if TYPE_CHECKING:
    from tqconsole.engine.app.connections import Connections


class Linked:
    """The part of an app that hands out connections of kombu's."""

    conf: Settings
    _lock: threading.RLock
    _made_pools: dict[str, Any]

    @property
    @abstractmethod
    def _connections(self) -> Connections:
        """The engine's own."""

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        """Return a connection to where workers read, not yet open."""
        return self.connection(url or self._raw_url("broker_read_url"), **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        """Return a connection to where clients write, not yet open."""
        return self.connection(url or self._raw_url("broker_write_url"), **options)

    def connection(self, hostname: str | None = None, **options: Any) -> Any:
        """Return a kombu connection to a URL, else to `broker_url`. Options are kombu's, and win
        over the settings.
        """
        from tqconsole.engine.app import connections  # noqa: PLC0415 - kombu comes with it

        conf = self.conf
        given = {
            "ssl": conf.broker_use_ssl or None,
            "login_method": conf.broker_login_method,
            "connect_timeout": conf.broker_connection_timeout,
            "heartbeat": conf.broker_heartbeat,
            "failover_strategy": conf.broker_failover_strategy or "round-robin",
            "transport_options": dict(conf.broker_transport_options or {}),
            **options,
        }
        return connections.kombu_connection(hostname or self._raw_url("broker_url"), given)

    broker_connection = connection

    @contextmanager
    def connection_or_acquire(
        self, connection: Any = None, pool: bool = True, *_: Any, **__: Any
    ) -> Iterator[Any]:
        """Hand out the connection that was given, else one of the pool's, else a new one."""
        if connection is not None:
            yield connection
        elif pool:
            with self.pool.acquire(block=True, timeout=self._acquire_s) as acquired:
                yield acquired
        else:
            with self.connection_for_write() as made:
                yield made

    default_connection = connection_or_acquire

    @contextmanager
    def producer_or_acquire(self, producer: Any = None) -> Iterator[Any]:
        """Hand out the producer that was given, else one of the pool's."""
        if producer is not None:
            yield producer
            return
        with self.producer_pool.acquire(block=True, timeout=self._acquire_s) as acquired:
            yield acquired

    default_producer = producer_or_acquire

    @property
    def pool(self) -> Any:
        """Return kombu's pool of connections for writing, `broker_pool_limit` at most."""
        return self._pools()["connections"]

    @property
    def producer_pool(self) -> Any:
        """Return kombu's pool of producers over the same connections."""
        return self._pools()["producers"]

    @property
    def _acquire_s(self) -> float | None:
        return self.conf.seconds("broker_pool_acquire_timeout")

    def _pools(self) -> dict[str, Any]:
        from tqconsole.engine.app import connections  # noqa: PLC0415 - kombu comes with it

        with self._lock:
            if not self._made_pools:
                limit = self.conf.broker_pool_limit or None
                self._made_pools = connections.kombu_pools(self.connection_for_write(), limit)
            return self._made_pools

    def _close_pools(self) -> None:
        with self._lock:
            pools, self._made_pools = self._made_pools, {}
        for pool in pools.values():
            pool.force_close_all()

    def _raw_url(self, setting: str) -> str:
        """Return a URL with its password: `Broker.url` has it masked."""
        conf = self.conf
        named = conf[setting] if conf.value_set_for(setting) else None
        if isinstance(named, list | tuple):
            named = ";".join(named)
        return str(named or configured_broker_url(conf) or self._connections.resolved.url)

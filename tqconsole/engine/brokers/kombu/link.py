"""One connection of kombu's with one channel, under a lock.

kombu's channels are not thread-safe and its connections do not survive a fork: every use goes
through `channel()`, which opens what is not open, and turns whatever a transport's library raises
into the engine's own errors.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport.virtual.base import NotEquivalentError

from tqconsole.engine.brokers.kombu.address import CONNECT_TIMEOUT_S, Address
from tqconsole.engine.brokers.kombu.filesystem import FilesystemTransport
from tqconsole.engine.brokers.kombu.speech import SpokenConnection
from tqconsole.engine.exceptions import (
    BrokerUnreachableError,
    EngineError,
    ImproperlyConfigured,
    NotSupportedError,
    OperationalError,
)

logger = logging.getLogger(__name__)


class Link:
    """A connection that opens itself. `prepare` is run on each new channel."""

    def __init__(self, address: Address, prepare: Callable[[Any], None] | None = None) -> None:
        self.address = address
        self.lock = threading.RLock()
        #: How often it was opened: what came over an earlier channel is not of this one.
        self.generation = 0
        self._prepare = prepare
        self._connection: SpokenConnection | None = None
        self._channel: Any = None
        self._pid = os.getpid()
        #: A parent's connections: closing them here would give back what the parent has in hand.
        self._inherited: list[Any] = []

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """Hand out the channel, locked. Raises: OperationalError, ImproperlyConfigured."""
        with self.lock:
            channel = self._opened()
            try:
                yield channel
            except EngineError:
                raise
            except NotEquivalentError as error:
                raise ImproperlyConfigured(f"{self.address.url}: {error}") from error
            except NotImplementedError as error:
                raise NotSupportedError(f"{self.address.scheme}://: {_text(error)}") from error
            except Exception as error:
                # Every transport's library has errors of its own; all mean that it failed.
                logger.debug("%s failed", self.address.url, exc_info=True)
                self.close()
                raise OperationalError(f"{self.address.url}: {_text(error)}") from error

    def drain(self, timeout_s: float) -> None:
        """Hand one message to the channel's consumers; within `channel()` only.

        Raises: TimeoutError (Python's) when none came in time.
        """
        if self._connection is not None:
            self._connection.drain_events(timeout=timeout_s)

    def close(self) -> None:
        """Give it up; a later use opens it again."""
        with self.lock:
            connection, self._connection, self._channel = self._connection, None, None
            if connection is None:
                return
            self.generation += 1
            if self._pid != os.getpid():
                self._inherited.append(connection)
                return
            try:
                connection.release()
            except Exception as error:  # noqa: BLE001 - it is given up; what failed here fails nobody
                logger.debug("Closing %s: %s", self.address.url, error)

    def _opened(self) -> Any:
        if self._pid != os.getpid():
            self.close()
            self._pid = os.getpid()
        if self._channel is None:
            try:
                self._open()
            except BaseException:
                self.close()
                raise
        return self._channel

    def _open(self) -> None:
        address = self.address
        try:
            self._connection = connection = _connection(address)
            connection.ensure_connection(
                max_retries=1, interval_start=0, interval_step=0, timeout=CONNECT_TIMEOUT_S
            )
            self._channel = connection.channel()
            self.generation += 1
            if self._prepare is not None:
                self._prepare(self._channel)
        except EngineError:
            raise
        except (ImportError, KeyError, TypeError, ValueError) as error:
            raise ImproperlyConfigured(f"{address.url}: {_text(error)}") from error
        except Exception as error:
            raise BrokerUnreachableError(f"{address.url}: {_text(error)}") from error


def _connection(address: Address) -> SpokenConnection:
    given: dict[str, Any] = {
        "transport_options": address.options,
        "connect_timeout": CONNECT_TIMEOUT_S,
    }
    if address.scheme == "filesystem":
        return SpokenConnection(transport=FilesystemTransport, **given)
    return SpokenConnection(address.kombu_url, **given)


def _text(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__

"""Sending events: one broadcast for a batch, nothing stored, nobody waited for.

Task events go together as one list under `task.multi`, as Celery's workers send them; all others
go singly under their own key. The return value is how many listened, where the broker can tell:
the worker sends task events only while somebody does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import Clock, LamportClock
from tqconsole.engine.protocol.event import (
    BATCH_KEY,
    encode_batch,
    encode_events,
    routing_key,
    utcoffset,
)
from tqconsole.engine.protocol.mailboxes import CELERYS, Mailboxes
from tqconsole.engine.protocol.transfer import Publication


class Dispatcher:
    """Sends the events of one node. Thread-safe as far as its broker is.

    While `is_enabled` is False nothing is sent and None is returned.
    """

    def __init__(
        self,
        broker: Broker,
        hostname: str,
        clock: Clock,
        lamport: LamportClock,
        *,
        is_enabled: bool = True,
        mailboxes: Mailboxes = CELERYS,
    ) -> None:
        self._broker = broker
        self._exchange = mailboxes.events
        self._serializer = mailboxes.event_serializer
        self._clock = clock
        self._lamport = lamport
        self._common: dict[str, Any] = {
            "hostname": hostname,
            "utcoffset": utcoffset(),
            "pid": os.getpid(),
        }
        self.hostname = hostname
        #: What an envelope says of a message beside its body.
        self._is_plain = type(hostname) is str
        self.is_enabled = is_enabled

    def send(self, event_type: str, /, **fields: Any) -> int | None:
        """Send one event now; fields given win over the common ones.

        Raises: OperationalError when the broker fails, EncodeError for a field JSON cannot carry.
        """
        if not self.is_enabled:
            return None
        return self._broadcast([self._single(event_type, fields, self._clock.now())])

    def send_many(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> int | None:
        """Send `(type, fields)` in order, all task events as one message. Raises: as `send`."""
        if not self.is_enabled or not events:
            return None
        # One reading for all: they gathered within a turn of the loop.
        now_at = self._clock.now()
        batch: list[tuple[str, Mapping[str, Any]]] = []
        publications: list[Publication] = []
        for kind, fields in events:
            if kind.startswith("task-"):
                batch.append((kind, fields))
            else:
                publications.append(self._single(kind, fields, now_at))
        if batch:
            first_clock = self._lamport.forward(len(batch)) - len(batch) + 1
            origin = {**self._common, "timestamp": now_at}
            message = encode_batch(origin, batch, first_clock, self._serializer)
            publications.append(
                Publication(message, BATCH_KEY, self._exchange.name, is_plain=self._is_plain)
            )
        return self._broadcast(publications)

    def enable(self) -> None:
        """Send from now on."""
        self.is_enabled = True

    def disable(self) -> None:
        """Send nothing from now on."""
        self.is_enabled = False

    def _single(self, event_type: str, fields: Mapping[str, Any], now_at: float) -> Publication:
        event = self._event(event_type, fields, now_at)
        message = encode_events(event, self._serializer)
        # Its own fields may name another host, whatever that is.
        is_plain = self._is_plain and "hostname" not in fields
        return Publication(message, routing_key(event_type), self._exchange.name, is_plain)

    def _event(self, event_type: str, fields: Mapping[str, Any], now_at: float) -> dict[str, Any]:
        return {
            **self._common,
            "clock": self._lamport.forward(),
            "timestamp": now_at,
            "type": event_type,
            **fields,
        }

    def _broadcast(self, publications: Sequence[Publication]) -> int | None:
        return self._broker.broadcast(self._exchange, publications)

"""From raw deliveries to what the state machine admits: headers only, the body stays bytes.

The one place of the worker's parent that looks at what came from outside. Whatever the bytes, a
delivery becomes a header or a typed refusal, never an exception.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import tzinfo

import msgspec

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.header import read_header
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS, Limits, Reason
from tqconsole.engine.protocol.protocol1 import upgrade
from tqconsole.engine.protocol.sealed import SealedMessage
from tqconsole.engine.protocol.transfer import Delivery
from tqconsole.engine.worker.values import Arrival

logger = logging.getLogger(__name__)


class Reader:
    """Reads headers. `naive_tz` is where dates without a zone are at home."""

    def __init__(
        self, accept: frozenset[str], naive_tz: tzinfo, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._accept = accept
        self._naive_tz = naive_tz
        self._limits = limits

    def read(self, deliveries: Sequence[Delivery]) -> list[Arrival]:
        """Return each delivery with its header or its refusal; protocol 1 becomes protocol 2."""
        return [self._read_one(delivery) for delivery in deliveries]

    def _read_one(self, delivery: Delivery) -> Arrival:
        try:
            message = delivery.message
            if type(message) is not SealedMessage and message.headers.get("task") is None:
                delivery = msgspec.structs.replace(
                    delivery, message=upgrade(message, self._accept, self._limits)
                )
            return delivery, read_header(delivery.message, self._limits, self._naive_tz)
        except RefusedError as error:
            return delivery, error
        except Exception as error:  # what nobody thought of is a dead letter too, never a crash
            logger.exception("A message from queue %s cannot be read", delivery.queue)
            return delivery, RefusedError(Reason.UNDECODABLE, f"{error!r:.200}")

"""A message in a worker's hands, and how it is read from what kombu delivers."""

from __future__ import annotations

from typing import Any

import msgspec

from tqconsole.engine.brokers.kombu.envelope import message_of, raw_message
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Delivery


class Held(msgspec.Struct):
    """A message in hand. `number` is its place in the order in which they came."""

    number: int
    queue: str
    message: Message
    kombu_tag: Any
    generation: int
    exchange: str
    routing_key: str
    is_redelivered: bool
    deaths: int
    #: Acknowledged early: the broker knows it no longer.
    is_acked: bool = False
    #: Its copy is published; only the broker has still to let go.
    is_moved: bool = False
    tag: str = ""

    def delivery(self) -> Delivery:
        """Return what the engine sees of it."""
        return Delivery(
            self.tag,
            self.message,
            self.queue,
            self.exchange,
            self.routing_key,
            self.is_redelivered,
            self.deaths,
        )


def read_held(
    number: int, queue_name: str, delivered: Any, generation: int
) -> tuple[Held, RefusedError | None]:
    """Return what was delivered, and why it cannot be read if it cannot."""
    address = delivered.delivery_info or {}
    refusal: RefusedError | None = None
    try:
        message, is_redelivered, deaths = message_of(delivered)
    except RefusedError as error:
        message, is_redelivered, deaths, refusal = raw_message(delivered), False, 0, error
    held = Held(
        number,
        queue_name,
        message,
        delivered.delivery_tag,
        generation,
        str(address.get("exchange") or ""),
        str(address.get("routing_key") or queue_name),
        is_redelivered or deaths > 0,
        deaths,
    )
    return held, refusal

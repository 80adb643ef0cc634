"""What the worker's loop is made of."""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Any

import msgspec

from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.pools.base import Pool
from tqconsole.engine.worker.absence import Absence
from tqconsole.engine.worker.carrier import Carrier
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.reading import Reader
from tqconsole.engine.worker.waker import Waker


class LoopParts(msgspec.Struct, frozen=True):
    """What the loop turns around."""

    machine: Machine
    carrier: Carrier
    broker: Broker
    consumer: Consumer
    pool: Pool
    reader: Reader
    waker: Waker
    clock: Clock
    on_signal: Callable[[Any, bool], None]
    #: Seconds that a cold shutdown waits for what runs before it ends it.
    soft_shutdown_s: float = 0.0
    #: Where it sleeps; a simulation brings its own.
    selector: selectors.BaseSelector = msgspec.field(default_factory=selectors.DefaultSelector)
    #: Tells of the times when the broker is away.
    absence: Absence = msgspec.field(default_factory=lambda: Absence(SYSTEM_CLOCK))
    #: How long it may look for what is about to come before it sleeps, seconds.
    busy_poll_s: float = 0.0

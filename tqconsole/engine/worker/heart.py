"""A worker's heart: a thread that renews the lease, sends heartbeats, and asks who listens.

It is apart from the loop because the loop may be busy: a task in `solo` holds it as long as it
runs, and the lease must not end meanwhile. It touches nothing of the machine: it reads two numbers
and posts happenings.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from tqconsole import __version__
from tqconsole.engine import signals
from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.clock import Clock
from tqconsole.engine.events.dispatcher import Dispatcher
from tqconsole.engine.exceptions import EngineError
from tqconsole.engine.protocol.event import BATCH_KEY, EVENTS
from tqconsole.engine.protocol.transfer import ExchangeSpec
from tqconsole.engine.worker.absence import Absence
from tqconsole.engine.worker.values import EventsSwitched, Rang, Tick
from tqconsole.engine.worker.waker import Waker

logger = logging.getLogger(__name__)

#: As monitors know the software; Celery's is "py-celery".
SOFTWARE = {"sw_ident": "tqconsole", "sw_ver": __version__, "sw_sys": platform.system()}
#: What is due within so many seconds is done now: an idle worker costs what its wake-ups cost.
_TOGETHER_S = 0.1
#: Who it is among those that miss the broker.
_NAME = "heartbeat"
#: What the `heartbeat` command's short form says of its rhythm (wire.md §5.3).
_SHORT_FREQ = 5


class HeartPlan(msgspec.Struct, frozen=True):
    """`events_mode` is "auto", "on" or "off"; `heartbeat_s` None: no heartbeats."""

    renew_s: float
    heartbeat_s: float | None = 2.0
    events_mode: str = "auto"
    #: Seconds between two looks for listeners.
    listen_s: float = 2.0
    #: Where they listen.
    events: ExchangeSpec = EVENTS


class HeartParts(msgspec.Struct, frozen=True):
    """What the heart beats for. `counts` tells how many tasks run, and how many have been run."""

    broker: Broker
    consumer: Consumer
    dispatcher: Dispatcher
    waker: Waker
    clock: Clock
    absence: Absence
    counts: Callable[[], tuple[int, int]]


class Heart:
    """Beats until `stop`."""

    def __init__(self, parts: HeartParts, plan: HeartPlan) -> None:
        self._broker = parts.broker
        self._consumer = parts.consumer
        self._dispatcher = parts.dispatcher
        self._waker = parts.waker
        self._clock = parts.clock
        self._absence = parts.absence
        self._counts = parts.counts
        self._plan = plan
        self._mode = plan.events_mode
        self._is_on = False
        self._failing: set[Callable[[], None]] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    @property
    def are_events_on(self) -> bool:
        """True while task events are made."""
        return self._is_on

    def start(self) -> None:
        """Say that the worker is online, then beat."""
        self._try(self._look_for_listeners)
        self._try(lambda: self._send("worker-online"))
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and say goodbye."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        self._try(lambda: self._send("worker-offline"))

    def force_events(self, *, is_on: bool) -> bool:
        """Switch task events on or off whoever listens; False when they were so already."""
        wanted = "on" if is_on else "off"
        was_so = self._is_on is is_on and self._mode in (wanted, "auto")
        self._mode = wanted
        self._switch(is_on=is_on)
        return not was_so

    def send_short(self) -> None:
        """Send the heartbeat that the `heartbeat` command asks for."""
        self._dispatcher.send("worker-heartbeat", freq=_SHORT_FREQ, **SOFTWARE)

    def _run(self) -> None:
        plan = self._plan
        rounds: list[tuple[Callable[[], None], float]] = [(self._renew, plan.renew_s)]
        if plan.heartbeat_s is not None:
            rounds.append((self._beat, plan.heartbeat_s))
        if plan.events_mode == "auto":
            rounds.append((self._look_for_listeners, plan.listen_s))
        dues = {action: self._clock.mono() + period_s for action, period_s in rounds}
        while not self._stopped.wait(max(0.0, min(dues.values()) - self._clock.mono())):
            until_mono = self._clock.mono() + _TOGETHER_S
            for action, period_s in rounds:
                if dues[action] <= until_mono:
                    self._try(action, is_repeated=True)
                    dues[action] = self._clock.mono() + period_s

    def _try(self, action: Callable[[], None], *, is_repeated: bool = False) -> None:
        """Do it; the broker is back for the heart when all that is repeated succeeds again."""
        tried_mono = self._clock.mono()
        try:
            action()
        except EngineError as error:
            self._absence.notice(_NAME, error, tried_mono=tried_mono)
            self._note_failure(action, is_repeated=is_repeated)
        except Exception:  # the heart beats on, whatever an adapter does
            if not self._failing:
                logger.exception("Heartbeat fails")
            self._note_failure(action, is_repeated=is_repeated)
        else:
            # A server that takes no writes may well let an event pass.
            self._failing.discard(action)
            if not self._failing:
                self._absence.served(_NAME)

    def _note_failure(self, action: Callable[[], None], *, is_repeated: bool) -> None:
        if not self._failing:
            # The loop may wait on a connection that says nothing: it is to look for itself.
            self._waker.post(Rang())
        if is_repeated:
            self._failing.add(action)

    def _renew(self) -> None:
        self._consumer.renew()
        # What was learnt may be due; and the loop does its own rounds in the same moment.
        self._waker.post(Tick())

    def _beat(self) -> None:
        if signals.heartbeat_sent.receivers:
            signals.heartbeat_sent.send(sender=self)
        self._send("worker-heartbeat")

    def _send(self, kind: str) -> None:
        active_count, processed_count = self._counts()
        fields: dict[str, Any] = {
            "freq": self._plan.heartbeat_s or 2.0,
            "active": active_count,
            "processed": processed_count,
            "loadavg": [round(load, 2) for load in os.getloadavg()],
            **SOFTWARE,
        }
        self._dispatcher.send(kind, **fields)

    def _look_for_listeners(self) -> None:
        if self._mode != "auto":
            self._switch(is_on=self._mode == "on")
            return
        count = self._broker.listener_count(self._plan.events, BATCH_KEY)
        # Where the broker cannot tell, events are sent: silence would be a lie on the console.
        self._switch(is_on=count is None or count > 0)

    def _switch(self, *, is_on: bool) -> None:
        if is_on != self._is_on:
            self._is_on = is_on
            self._waker.post(EventsSwitched(is_on))

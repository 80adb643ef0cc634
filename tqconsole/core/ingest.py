"""The thread that listens: it takes events off the broker, decodes them, and hands batches over.

It never touches the model. When the broker fails it comes back with growing pauses and says so in
the link state; when nobody takes the batches away (a suspended terminal) the oldest are dropped
and counted, so that memory stays bounded.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tqconsole.engine.brokers.base import Broker, Subscription
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import EngineError, NotSupportedError
from tqconsole.engine.protocol.event import decode_events
from tqconsole.engine.protocol.mailboxes import CELERYS, Mailboxes
from tqconsole.engine.protocol.transfer import Broadcasted

logger = logging.getLogger(__name__)

#: Seconds one look at the broker waits: how long `stop` may take.
RECEIVE_S = 0.25
#: Seconds in which messages gather that come one after another: a look for each of five hundred a
#: second costs more than what they say, and a frame is three times as long.
GATHER_S = 0.03
#: Seconds before the first and at most between two attempts to connect.
FIRST_DELAY_S, LONGEST_DELAY_S = 0.1, 5.0
#: Events that may wait for the UI: half a minute of a big cluster.
BACKLOG_LIMIT = 200_000
#: Events handed over together: what the UI's thread folds in within a few milliseconds.
EVENTS_AT_ONCE = 400
#: Messages decoded between two looks at the stop flag.
BATCH_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Arrived:
    """Events that arrived together, by this console's clock; `event_bytes` is one's mean size."""

    at: float
    events: list[dict[str, Any]]
    event_bytes: int = 300


@dataclass(frozen=True, slots=True)
class Link:
    """How the connection does: connecting, live, reconnecting, or deaf for ever; and why."""

    state: str
    detail: str = ""


class Ingest:
    """Listens in a thread of its own between `start` and `stop`."""

    def __init__(self, broker: Broker, clock: Clock, mailboxes: Mailboxes = CELERYS) -> None:
        self._broker = broker
        self._mailboxes = mailboxes
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._batches: deque[Arrived] = deque()
        self._waiting_count = 0
        self._lock = threading.Lock()
        self.link = Link("connecting")
        #: Events that were lost on the way: by the broker, and by the full backlog.
        self.dropped_count = 0

    def start(self) -> None:
        """Begin to listen."""
        self._thread = threading.Thread(target=self._run, name="tqconsole-ingest", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; returns when the thread has ended. May be called twice."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    def take(self) -> Arrived | None:
        """Return the oldest batch, None when there is none. Called by the UI's thread."""
        with self._lock:
            if not self._batches:
                return None
            batch = self._batches.popleft()
            self._waiting_count -= len(batch.events)
            return batch

    def put(self, batch: Arrived) -> None:
        """Queue a batch; beyond the limit the oldest ones go."""
        with self._lock:
            self._batches.append(batch)
            self._waiting_count += len(batch.events)
            while self._waiting_count > BACKLOG_LIMIT and len(self._batches) > 1:
                dropped = self._batches.popleft()
                self._waiting_count -= len(dropped.events)
                self.dropped_count += len(dropped.events)

    def _run(self) -> None:
        delay_s = FIRST_DELAY_S
        while not self._stopping.is_set():
            try:
                self._listen()
            except NotSupportedError as error:
                # Trying again would not help: a broker without fanout has no events.
                self.link = Link("deaf", str(error))
                return
            except EngineError as error:
                delay_s = self._delay_after_failure_s(delay_s)
                self.link = Link("reconnecting", str(error))
            except Exception as error:
                # A broken adapter must not end the console: it is shown, logged and tried again.
                logger.exception("listening to events failed")
                delay_s = self._delay_after_failure_s(delay_s)
                self.link = Link("reconnecting", f"{type(error).__name__}: {error}")
            if self._stopping.wait(delay_s):
                return

    def _delay_after_failure_s(self, delay_s: float) -> float:
        """Twice as long each time, from the beginning again after a link that had stood."""
        return FIRST_DELAY_S if self.link.state == "live" else min(LONGEST_DELAY_S, delay_s * 2)

    def _listen(self) -> None:
        subscription = self._broker.subscribe(self._mailboxes.of_monitor(str(uuid4())), ["#"])
        try:
            self.link = Link("live")
            missed_count = 0
            while not self._stopping.is_set():
                self.look(subscription)
                if subscription.missed_count > missed_count:
                    self.dropped_count += subscription.missed_count - missed_count
                    missed_count = subscription.missed_count
        finally:
            subscription.close()

    def look(self, subscription: Subscription) -> None:
        """Take in what comes within one look at the broker. Called by the own thread."""
        received = self._gathered(subscription)
        now_at = self._clock.now()
        for start in range(0, len(received), BATCH_LIMIT):
            part = received[start : start + BATCH_LIMIT]
            accept = self._mailboxes.accepted_events
            events = [event for arrived in part for event in decode_events(arrived.message, accept)]
            size = sum(len(arrived.message.body) for arrived in part) // max(1, len(events)) + 1
            for first in range(0, len(events), EVENTS_AT_ONCE):
                self.put(Arrived(now_at, events[first : first + EVENTS_AT_ONCE], size))

    def _gathered(self, subscription: Subscription) -> list[Broadcasted]:
        """Return what came: at once what comes alone, together what follows on other messages."""
        began_mono = self._clock.mono()
        received = subscription.receive(RECEIVE_S)
        if received and self._clock.mono() - began_mono < GATHER_S:
            self._stopping.wait(GATHER_S)
            while len(received) < BATCH_LIMIT and (more := subscription.receive(0.0)):
                received += more
        return received

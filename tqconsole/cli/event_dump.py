"""Prints events as they come, in the lines of Celery's `events --dump` or as JSON.

It starts with a request for heartbeats, so that living workers show at once, and listens on
through a broker that goes away: a monitor that ends when the broker restarts is none.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tqconsole.cli.output import Output
from tqconsole.core.event_facts import EventFacts
from tqconsole.core.event_filter import EventCheck
from tqconsole.core.filter_terms import FilterContext
from tqconsole.core.merge import number
from tqconsole.core.sanitize import clean, clean_name
from tqconsole.core.store import Store
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.control import Request, encode_request
from tqconsole.engine.protocol.event import decode_events
from tqconsole.engine.protocol.mailboxes import Mailboxes
from tqconsole.engine.protocol.transfer import Publication

#: Names of tasks kept, so that later events of a task can say what it is.
NAMES_KEPT = 0xFFF
#: What a filter's times are measured against.
DUMP_CONTEXT = FilterContext(now=SYSTEM_CLOCK.now)
#: Seconds between two looks at Ctrl-C while nothing comes.
_TURN_S = 1.0
#: Seconds before a lost connection is tried again: from, to.
_RETRY_S = (0.5, 5.0)

_WORDS = {
    "worker-offline": "shutdown",
    "worker-online": "started",
    "worker-heartbeat": "heartbeat",
}


def dump(
    broker: Broker,
    mailboxes: Mailboxes,
    output: Output,
    limit: int | None = None,
    sieve: Sieve | None = None,
) -> None:
    """Print events, those that the sieve lets through, until `limit` of them came, or Ctrl-C.

    Raises: OperationalError at the start.
    """
    broker.connect()
    if not output.is_json:
        output.line("-> evdump: starting capture...")
    names = TaskNames()
    count = 0
    for event in _events(broker, mailboxes, output):
        # Also what is not printed tells the name of its task.
        text = "" if output.is_json else clean(line_of(event, names))
        if sieve is not None and not sieve.lets_through(event):
            continue
        if output.is_json:
            output.json(event)
        else:
            output.line(text)
        count += 1
        if count == limit:
            return


class Sieve:
    """Keeps the tasks that events tell of, so that a filter can ask more than one event says."""

    def __init__(self, check: EventCheck) -> None:
        self._check = check
        self._store = Store(NAMES_KEPT)

    def lets_through(self, event: dict[str, Any]) -> bool:
        """Take an event in; True when it matches."""
        at = number(event.get("timestamp")) or SYSTEM_CLOCK.now()
        row = None
        if str(event["type"]).startswith("task-"):
            applied = self._store.apply(event, at, clean_name(event.get("hostname")))
            row = applied[0] if applied is not None else None
            self._store.evict()
            self._store.take_changes()
        return self._check(EventFacts(event, lambda _task_id: row))


class TaskNames:
    """What the tasks are that later events name only by id; the oldest are forgotten."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, str] = OrderedDict()

    def of(self, event: dict[str, Any]) -> str:
        """Return `name(id) args=... kwargs=...`, taking it from the event if that tells it."""
        task_id = str(event.get("uuid", ""))
        if "name" in event:
            self._names[task_id] = (
                f"{event['name']}({task_id}) args={event.get('args')} kwargs={event.get('kwargs')}"
            )
            if len(self._names) > NAMES_KEPT:
                self._names.popitem(last=False)
        return self._names.get(task_id, task_id)


def line_of(event: dict[str, Any], names: TaskNames) -> str:
    """Return one event as Celery's dump writes it: `host [time] what: which fields`."""
    kind = str(event["type"]).lower()
    hidden = {"type", "timestamp", "hostname"}
    which = ""
    if kind.startswith("task-"):
        which = names.of(event) + " "
        hidden.add("uuid")
        if kind in ("task-received", "task-sent"):
            hidden |= {"name", "args", "kwargs"}
    fields = ", ".join(f"{name}={event[name]}" for name in sorted(event) if name not in hidden)
    what = _WORDS.get(kind, kind.replace("-", " "))
    colon = ":" if fields else ""
    return f"{event.get('hostname')} [{_instant(event)}] {what}{colon} {which}{fields}"


def _instant(event: dict[str, Any]) -> object:
    timestamp = event.get("timestamp")
    try:
        return datetime.fromtimestamp(float(timestamp), UTC)  # type: ignore[arg-type]  # answered
    except (TypeError, ValueError, OverflowError, OSError):
        return timestamp


def _events(broker: Broker, mailboxes: Mailboxes, output: Output) -> Iterator[dict[str, Any]]:
    """Yield events for ever, over any number of connections."""
    pause = threading.Event()
    delay_s = _RETRY_S[0]
    while True:
        try:
            for event in _of_one_connection(broker, mailboxes):
                delay_s = _RETRY_S[0]
                yield event
        except OperationalError as error:
            output.note(f"-> Connection lost ({error}), attempting reconnect")
            pause.wait(delay_s)
            delay_s = min(2 * delay_s, _RETRY_S[1])


def _of_one_connection(broker: Broker, mailboxes: Mailboxes) -> Iterator[dict[str, Any]]:
    subscription = broker.subscribe(mailboxes.of_monitor(str(uuid.uuid4())), ["#"])
    try:
        request = encode_request(Request("heartbeat"), mailboxes.control_serializer)
        commands = mailboxes.commands
        broker.broadcast(commands, [Publication(request, "", commands.name)])
        while True:
            for broadcasted in subscription.receive(_TURN_S):
                yield from decode_events(broadcasted.message, mailboxes.accepted_events)
    finally:
        subscription.close()

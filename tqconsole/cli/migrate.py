"""`tqconsole migrate SOURCE DESTINATION`: messages of one broker into another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.output import plural
from tqconsole.cli.values import COMMA_LIST, DURATION
from tqconsole.cli.verb import verb as make_verb
from tqconsole.core.sanitize import clean_name
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.protocol.transfer import (
    Delivery,
    Publication,
    QueueSpec,
    Settlement,
    Verdict,
)

#: Messages that are moved in one step.
_BATCH = 100
#: Who holds them meanwhile.
_CONSUMER = "migrate@tqconsole"


@make_verb(
    "migrate",
    click.Argument(["source"]),
    click.Argument(["destination"]),
    click.Option(["-n", "--limit"], type=click.IntRange(min=1), help="At most so many."),
    click.Option(
        ["-t", "--timeout"],
        type=DURATION,
        default=1.0,
        show_default=True,
        help="Seconds without a message after which all are moved.",
    ),
    click.Option(
        ["-a", "--ack-messages"], is_flag=True, help="Take them out of the source; else copies."
    ),
    click.Option(["-T", "--tasks"], type=COMMA_LIST, help="Only these tasks."),
    click.Option(["-Q", "--queues"], type=COMMA_LIST, help="Only these queues; A:B renames one."),
    click.Option(["-F", "--forever"], is_flag=True, help="Go on until interrupted."),
)
def verb(invocation: Invocation, source: str, destination: str, **given: Any) -> int:
    """Move (with -a) or copy the waiting messages of the broker SOURCE to DESTINATION."""
    invocation.require_writable()
    if given["forever"] and not given["ack_messages"]:
        raise click.UsageError("--forever needs -a: copies would come round again and again.")
    with open_broker(source) as origin, open_broker(destination) as target:
        if origin.place == target.place:
            raise click.UsageError("SOURCE and DESTINATION are the same broker.")
        names = _queue_names(origin, given["queues"])
        if not names:
            invocation.output.note("The source lists no queues: name them with -Q.")
        count = Migration(invocation, origin, target, names, given).run() if names else 0
    if invocation.output.is_json:
        invocation.output.json({"migrated": count})
    else:
        invocation.output.line(f"Migrated {plural(count, 'message')}.")
    return exits.OK


class Migration:
    """One migration: what is fetched is held until all is done, so that nothing comes twice."""

    def __init__(
        self,
        invocation: Invocation,
        origin: Broker,
        target: Broker,
        names: dict[str, str],
        given: dict[str, Any],
    ) -> None:
        self._output = invocation.output
        self._origin, self._target, self._names = origin, target, names
        self._is_moving: bool = given["ack_messages"]
        self._timeout_s: float = given["timeout"]
        self._is_endless: bool = given["forever"]
        self._limit: int | None = given["limit"]
        self._tasks = frozenset(given["tasks"] or ())
        self._count = 0

    def run(self) -> int:
        """Carry them over and return how many."""
        consumer = self._origin.consumer([QueueSpec(name) for name in self._names], _CONSUMER)
        try:
            for deliveries in self._fetched(consumer):
                self._carry(consumer, deliveries)
                consumer.renew()
        finally:
            # What was only copied, and what was not wanted, goes back.
            consumer.close()
        return self._count

    def _fetched(self, consumer: Consumer) -> Iterator[list[Delivery]]:
        for _ in itertools.count():
            wanted = _BATCH if self._limit is None else min(_BATCH, self._limit - self._count)
            if wanted <= 0:
                return
            deliveries = consumer.exchange(wanted=wanted)
            if deliveries:
                yield deliveries
            elif not consumer.wait(self._timeout_s) and not self._is_endless:
                return

    def _carry(self, consumer: Consumer, deliveries: list[Delivery]) -> None:
        wanted = [it for it in deliveries if not self._tasks or _task_of(it) in self._tasks]
        if not wanted:
            return
        self._target.publish([Publication(it.message, self._names[it.queue]) for it in wanted])
        if self._is_moving:
            consumer.exchange([Settlement(it.tag, Verdict.ACK) for it in wanted])
        for delivery in wanted:
            self._count += 1
            most = "" if self._limit is None else f"/{self._limit}"
            task_id = clean_name(str(delivery.message.headers.get("id")))
            name = clean_name(_task_of(delivery))
            self._output.note(f"Migrating task {self._count}{most}: {name}[{task_id}]")


def _task_of(delivery: Delivery) -> str:
    return str(delivery.message.headers.get("task"))


def _queue_names(origin: Broker, given: tuple[str, ...] | None) -> dict[str, str]:
    """Return queue of the source -> queue of the destination."""
    if given is None:
        return {name: name for name in origin.queue_names() if not name.endswith(".dead")}
    pairs = [name.partition(":") for name in given]
    return {name: other or name for name, _, other in pairs}

"""One cycle of a consumer in one transaction: store, settle, note what starts, claim.

What each step does to a message is in `places.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tqconsole.engine.embedded import bindings, letters, places, publish, results
from tqconsole.engine.embedded.rows import Prepared, message_of, prepare_all
from tqconsole.engine.embedded.writer import Transaction
from tqconsole.engine.protocol.transfer import (
    Delivery,
    Handover,
    ResultWrite,
    Riding,
    Settlement,
    Verdict,
)

#: Parked messages that one claim moves to the ready ones; more come with the next claim.
_MOST_DUE = 500

#: The columns a `Delivery` is made of, in `delivery_of`'s order.
DELIVERY_COLUMNS = (
    "message.id, queue.name, message.exchange, message.routing_key, is_redelivered, deaths,"
    " head, body"
)

#: CROSS JOIN: in this order, so that the key of `ready` is the order of what is found.
_CLAIM = (
    f"SELECT {DELIVERY_COLUMNS}, ready.rank FROM queue"  # noqa: S608 - constants
    " CROSS JOIN ready ON ready.queue_id=queue.id CROSS JOIN message ON message.id=ready.id"
    " WHERE queue.id=? AND (expires_at IS NULL OR expires_at>?)"
    " ORDER BY ready.rank, ready.id LIMIT ?"
)


class Plan(msgspec.Struct):
    """What one exchange is to do, sorted out before any lock is taken. Ids are (consumer, id)."""

    results: tuple[ResultWrite, ...] = ()
    publications: list[Prepared] = msgspec.field(default_factory=list)
    acked: list[tuple[int, int]] = msgspec.field(default_factory=list)
    returned: list[tuple[int, int]] = msgspec.field(default_factory=list)
    died: list[tuple[int, int]] = msgspec.field(default_factory=list)
    dead: list[tuple[int, int, str, str]] = msgspec.field(default_factory=list)
    started: list[tuple[int, int, int]] = msgspec.field(default_factory=list)

    @property
    def is_durable(self) -> bool:
        """Whether the commit must be on the disk before the caller goes on."""
        return bool(self.results or self.publications)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.results
            or self.publications
            or self.acked
            or self.returned
            or self.died
            or self.dead
            or self.started
        )


def plan_of(
    settled: Iterable[Settlement], started: Iterable[Handover], riding: Riding | None
) -> Plan:
    """Return the plan of an exchange. Tags that are not ours are left out: they change nothing."""
    plan = Plan()
    if riding is not None:
        plan.results = riding.results
        plan.publications = prepare_all(riding.publications)
    for settlement in settled:
        owned = ids_of(settlement.tag)
        if owned is None:
            continue
        match settlement.verdict:
            case Verdict.ACK:
                plan.acked.append(owned)
            case Verdict.RETURN:
                plan.returned.append(owned)
            case Verdict.DIED:
                plan.died.append(owned)
            case Verdict.DEAD:
                plan.dead.append((*owned, settlement.reason, settlement.detail))
    for handover in started:
        owned = ids_of(handover.tag)
        if owned is not None:
            plan.started.append((*owned, int(handover.is_acked)))
    return plan


def carry_out(transaction: Transaction, plan: Plan, worker_name: str, bells: str) -> None:
    """Do everything of a plan: what rides, what is settled, what starts. A unit of work."""
    if plan.results:
        results.write(transaction, plan.results, bells)
    if plan.publications:
        publish.put(transaction, plan.publications)
    if plan.acked:
        places.end(transaction, plan.acked)
    _put_back(transaction, plan.returned, death_count=0)
    _put_back(transaction, plan.died, death_count=1)
    for consumer_id, message_id, reason, detail in plan.dead:
        letters.bury(
            transaction, message_id, consumer_id, letters.Cause(reason, detail, worker_name)
        )
    if plan.dead:
        letters.trim(transaction)
    if plan.started:
        places.begin(transaction, plan.started)


def claim(
    transaction: Transaction, consumer_id: int, queue_ids: Sequence[int], wanted: int
) -> list[Any]:
    """Take up to `wanted` ready messages, in the order of the queues, then of rank and age.

    Returns: rows for `delivery_of`. What is due of these queues' parked messages is ready first.
    """
    claimed: list[Any] = []
    for queue_id in queue_ids:
        if len(claimed) >= wanted:
            break
        places.wake(transaction, queue_id, _MOST_DUE)
        found = transaction.rows(_CLAIM, queue_id, transaction.now_at, wanted - len(claimed))
        if found:
            places.hold(transaction, consumer_id, queue_id, [(row[-1], row[0]) for row in found])
            claimed.extend(row[:-1] for row in found)
    return claimed


def park(transaction: Transaction, due: Sequence[tuple[float, int, int]], soon_s: float) -> None:
    """Let go of messages until they are due: rows of (due_at, consumer, id). A unit of work.

    Others are rung only for what is due within `soon_s`; for the rest their own look is in time.
    """
    soon = [
        (consumer_id, message_id)
        for due_at, consumer_id, message_id in due
        if due_at < transaction.now_at + soon_s
    ]
    bindings.ring_for(transaction, places.queues_of(transaction, soon))
    places.park(transaction, due)


def delivery_of(row: Any, consumer_id: int) -> Delivery:
    """Return the delivery of a claimed row."""
    message_id, queue, exchange, routing_key, is_redelivered, deaths, head, body = row
    return Delivery(
        f"{consumer_id}.{message_id}",
        message_of(head, body),
        queue,
        exchange,
        routing_key,
        bool(is_redelivered),
        deaths,
    )


def ids_of(tag: str) -> tuple[int, int] | None:
    """Return (consumer, message) of a tag, None when it is not one of ours."""
    consumer, dot, message = tag.partition(".")
    if not (dot and consumer.isdecimal() and message.isdecimal() and tag.isascii()):
        return None
    return int(consumer), int(message)


def _put_back(
    transaction: Transaction, owned: Sequence[tuple[int, int]], *, death_count: int
) -> None:
    if owned:
        bindings.ring_for(transaction, places.queues_of(transaction, owned))
        places.release(transaction, owned, death_count=death_count)

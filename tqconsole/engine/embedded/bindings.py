"""Queues, their bindings, and where a routing key leads. Units of work: they take a transaction."""

from __future__ import annotations

from collections.abc import Iterable

from tqconsole.engine.embedded import places
from tqconsole.engine.embedded.topics import does_match
from tqconsole.engine.embedded.writer import Transaction
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.protocol.transfer import QueueSpec

#: Exchanges that hand a message to all queues bound by its key, and to whom nothing is bound by
#: chance: only here may an unknown key make a queue.
_DIRECT = "direct"


def declare(transaction: Transaction, queue: QueueSpec) -> int:
    """Make the queue and its binding where they are missing and return its id."""
    if queue.exchange.kind not in ("direct", "topic", "fanout"):
        raise NotSupportedError(
            f"queue {queue.name!r}: sqlite has no {queue.exchange.kind} exchanges;"
            " use direct, topic or fanout, or amqp://"
        )
    arguments = queue.arguments
    transaction.run(
        "INSERT INTO queue (name, is_auto_delete, expires_s, message_ttl_s, dead_exchange,"
        " dead_routing_key, used_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET is_auto_delete=excluded.is_auto_delete,"
        " expires_s=excluded.expires_s, message_ttl_s=excluded.message_ttl_s,"
        " dead_exchange=excluded.dead_exchange, dead_routing_key=excluded.dead_routing_key,"
        " used_at=excluded.used_at",
        queue.name,
        queue.is_auto_delete,
        queue.expires_s,
        queue.message_ttl_s,
        _text(arguments.get("x-dead-letter-exchange")),
        _text(arguments.get("x-dead-letter-routing-key")),
        transaction.now_at,
    )
    queue_id = int(transaction.first("SELECT id FROM queue WHERE name=?", queue.name)[0])
    if queue.exchange.name:
        bind(transaction, queue_id, queue)
    return queue_id


def bind(transaction: Transaction, queue_id: int, queue: QueueSpec) -> None:
    """Bind a queue to its exchange. Idempotent."""
    transaction.run(
        "INSERT OR IGNORE INTO binding (exchange, kind, routing_key, queue_id) VALUES (?, ?, ?, ?)",
        queue.exchange.name,
        queue.exchange.kind,
        queue.routing_key,
        queue_id,
    )


def ensure(transaction: Transaction, queue_name: str) -> int:
    """Return the id of a queue, made plain when it is unknown."""
    row = transaction.first("SELECT id FROM queue WHERE name=?", queue_name)
    if row is not None:
        return int(row[0])
    return declare(transaction, QueueSpec(queue_name))


def route(transaction: Transaction, exchange: str, routing_key: str) -> dict[int, float | None]:
    """Return the queues a message goes to: id -> seconds it may wait there, None for ever.

    A key that leads nowhere makes the queue of that name when the exchange is direct or unknown
    (what is published must not vanish); for topic and fanout it leads to nobody, as in AMQP.
    """
    if not exchange:
        return _plain(transaction, routing_key)
    found = transaction.rows(
        "SELECT binding.kind, binding.routing_key, queue.id, message_ttl_s FROM binding"
        " JOIN queue ON queue.id=binding.queue_id WHERE exchange=? ORDER BY queue.id",
        exchange,
    )
    queues = {
        queue_id: lifetime_s
        for kind, pattern, queue_id, lifetime_s in found
        if does_match(kind, pattern, routing_key)
    }
    if not queues and all(kind == _DIRECT for kind, _, _, _ in found):
        return _plain(transaction, routing_key)
    return queues


def remove(transaction: Transaction, queue_ids: Iterable[int]) -> None:
    """Delete queues with their messages, bindings and subscriptions."""
    for queue_id in queue_ids:
        places.drop_queue(transaction, queue_id)
        transaction.run("DELETE FROM binding WHERE queue_id=?", queue_id)
        transaction.run("DELETE FROM subscription WHERE queue_id=?", queue_id)
        transaction.run("DELETE FROM queue WHERE id=?", queue_id)


def purge_some(transaction: Transaction, queue_name: str, last_id: int, most_count: int) -> int:
    """Drop up to `most_count` of the ready and of the parked messages numbered up to `last_id`,
    and return how many went.
    """
    row = transaction.first("SELECT id FROM queue WHERE name=?", queue_name)
    if row is None:
        return 0
    return places.drop_some(transaction, row[0], last_id, most_count)


def ring_for(transaction: Transaction, queue_ids: Iterable[int]) -> None:
    """Note that the consumers of these queues are to be rung after the commit."""
    for queue_id in queue_ids:
        transaction.rings.update(
            row[0]
            for row in transaction.rows(
                "SELECT bell FROM subscription JOIN consumer ON consumer.id=subscription.consumer"
                " WHERE subscription.queue_id=?",
                queue_id,
            )
        )


def _plain(transaction: Transaction, queue_name: str) -> dict[int, float | None]:
    row = transaction.first("SELECT id, message_ttl_s FROM queue WHERE name=?", queue_name)
    return {row[0]: row[1]} if row is not None else {ensure(transaction, queue_name): None}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None

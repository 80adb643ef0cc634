"""What a kombu application does with the tables, as units of work and reads; no kombu in here.

A guest differs from a worker of ours in three ways: it declares queues without consuming from them
and takes from queues it has not subscribed to, it serves its queues in turn, and it cannot report a
lost task, so what it finds of the dead it leaves to a worker that can.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from tqconsole.engine.embedded import bindings, places, reap
from tqconsole.engine.embedded import exchange as cycle
from tqconsole.engine.embedded.host import this_host
from tqconsole.engine.embedded.reader import first, rows
from tqconsole.engine.embedded.store import Store
from tqconsole.engine.embedded.writer import Transaction
from tqconsole.engine.protocol.transfer import Delivery, ExchangeSpec, QueueSpec

#: Deaths after which a message of a worker of ours is a dead letter; the engine's default. A guest
#: tells nobody what it has started, so what it held itself is never counted.
MAX_DEATHS = 5


def described(connection: sqlite3.Connection, queue_name: str) -> QueueSpec:
    """Return a queue as it stands, with one of its bindings; a plain one when it is unknown.

    A consumer declares its queues again whenever it registers: it must not change them.
    """
    row = first(
        connection,
        "SELECT id, is_auto_delete, expires_s, message_ttl_s, dead_exchange, dead_routing_key"
        " FROM queue WHERE name=?",
        queue_name,
    )
    if row is None:
        return QueueSpec(queue_name)
    queue_id, is_auto_delete, expires_s, message_ttl_s, *dead = row
    bound = first(
        connection, "SELECT exchange, kind, routing_key FROM binding WHERE queue_id=?", queue_id
    )
    exchange, kind, routing_key = bound or ("", "direct", "")
    names = ("x-dead-letter-exchange", "x-dead-letter-routing-key")
    return QueueSpec(
        queue_name,
        ExchangeSpec(exchange, kind),
        routing_key,
        is_auto_delete=bool(is_auto_delete),
        expires_s=expires_s,
        message_ttl_s=message_ttl_s,
        arguments={
            name: value for name, value in zip(names, dead, strict=True) if value is not None
        },
    )


def counts(connection: sqlite3.Connection, queue_name: str) -> tuple[int, int] | None:
    """Return (waiting messages, consumers) of a queue, None when there is no such queue."""
    queue_id = _id_of(connection, queue_name)
    if queue_id is None:
        return None
    ready = first(connection, "SELECT count(*) FROM ready WHERE queue_id=?", queue_id)
    consumers = first(connection, "SELECT count(*) FROM subscription WHERE queue_id=?", queue_id)
    return int(ready[0]), int(consumers[0])


def table(connection: sqlite3.Connection, exchange: str | None = None) -> list[tuple[str, ...]]:
    """Return (exchange, kind, routing key, queue) of every binding, or of one exchange's."""
    statement = (
        "SELECT exchange, kind, routing_key, queue.name FROM binding"
        " JOIN queue ON queue.id=binding.queue_id"
    )
    if exchange is None:
        return rows(connection, statement)
    return rows(connection, statement + " WHERE exchange=?", exchange)


def bind(
    transaction: Transaction, queue_name: str, exchange: ExchangeSpec, routing_key: str
) -> None:
    """Bind a queue, made plain when it is unknown. A unit of work."""
    queue_id = bindings.ensure(transaction, queue_name)
    bindings.bind(transaction, queue_id, QueueSpec(queue_name, exchange, routing_key))


def unbind(transaction: Transaction, queue_name: str, exchange: str, routing_key: str) -> None:
    """Take one binding away. A unit of work."""
    transaction.run(
        "DELETE FROM binding WHERE exchange=? AND routing_key=?"
        " AND queue_id=(SELECT id FROM queue WHERE name=?)",
        exchange,
        routing_key,
        queue_name,
    )


def delete(
    transaction: Transaction, queue_name: str, *, if_unused: bool, if_empty: bool
) -> int | None:
    """Delete a queue and return how many messages it had, None when it stays or is unknown."""
    found = counts(transaction.connection, queue_name)
    if found is None:
        return None
    ready_count, consumer_count = found
    if (if_unused and consumer_count) or (if_empty and ready_count):
        return None
    bindings.remove(transaction, [_id_of(transaction.connection, queue_name) or 0])
    return ready_count


def purge(transaction: Transaction, queue_name: str) -> int:
    """Drop what waits, also what is parked, and return how many. A unit of work."""
    queue_id = _id_of(transaction.connection, queue_name)
    return 0 if queue_id is None else places.drop_waiting(transaction, queue_id)


def claim(
    transaction: Transaction, consumer_id: int, queue_names: Sequence[str], wanted: int
) -> list[Delivery] | None:
    """Take up to `wanted` messages, queues in this order; None when the consumer has no row.

    Without a row nobody could tell that what is claimed now is held by the dead. A unit of work.
    """
    if transaction.first("SELECT 1 FROM consumer WHERE id=?", consumer_id) is None:
        return None
    found = (_id_of(transaction.connection, name) for name in queue_names)
    queue_ids = [queue_id for queue_id in found if queue_id is not None]
    claimed = cycle.claim(transaction, consumer_id, queue_ids, wanted)
    return [cycle.delivery_of(row, consumer_id) for row in claimed]


def give_back(store: Store, own_ids: Iterable[int]) -> int:
    """Return what dead consumers held and say how many messages that was.

    Tasks of ours that were acknowledged early and had started are lost. They pass into the hands of
    a consumer that does not exist: every worker of ours looks for such, and reports them.
    """
    host, now_at, ours = this_host(), store.clock.now(), frozenset(own_ids)
    dead = [
        row
        for row in store.main.read(reap.consumers)
        if row.consumer_id not in ours and reap.is_dead(row, host, now_at)
    ]
    if not dead:
        return 0

    def unit(transaction: Transaction) -> reap.Reaped:
        return reap.give_back(transaction, dead, _nobody(transaction), MAX_DEATHS)

    reaped = store.main.write(unit)
    reap.clear_bells(reaped.bells)
    return reaped.returned_count


def _nobody(transaction: Transaction) -> int:
    """Return a consumer number that is nobody's and never will be."""
    transaction.run(
        "INSERT INTO consumer (worker_name, pid, host, boot_id, bell, lease_until)"
        " VALUES ('', 0, '', '', 'poll:', 0)"
    )
    consumer_id = int(transaction.first("SELECT last_insert_rowid()")[0])
    transaction.run("DELETE FROM consumer WHERE id=?", consumer_id)
    return consumer_id


def _id_of(connection: sqlite3.Connection, queue_name: str) -> Any:
    row = first(connection, "SELECT id FROM queue WHERE name=?", queue_name)
    return None if row is None else row[0]

"""Reads for people: depths, what waits, what is parked, who consumes. They cost workers nothing."""

from __future__ import annotations

import sqlite3

from tqconsole.engine.embedded import reap
from tqconsole.engine.embedded.exchange import DELIVERY_COLUMNS, delivery_of
from tqconsole.engine.embedded.host import this_host
from tqconsole.engine.embedded.reader import first, rows
from tqconsole.engine.embedded.rows import HIGHEST_PRIORITY, message_of
from tqconsole.engine.embedded.store import Store
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import LiveWorker, Parked, QueueDepth


def queue_names(connection: sqlite3.Connection) -> list[str]:
    """Return all queues, sorted."""
    return [row[0] for row in rows(connection, "SELECT name FROM queue ORDER BY name")]


def depth(connection: sqlite3.Connection, queue_name: str) -> QueueDepth:
    """Return how full a queue is; zeros for an unknown one. A range scan of the index."""
    row = first(connection, "SELECT id FROM queue WHERE name=?", queue_name)
    dead_count = first(connection, "SELECT count(*) FROM letter WHERE queue=?", queue_name)[0]
    if row is None:
        return QueueDepth(0, 0, 0, dead_count, 0)
    queue_id = row[0]
    by_rank = rows(
        connection,
        "SELECT rank, count(*), min(id) FROM ready WHERE queue_id=? GROUP BY rank ORDER BY rank",
        queue_id,
    )
    return QueueDepth(
        ready_count=sum(count for _, count, _ in by_rank),
        unacked_count=first(
            connection,
            "SELECT count(*) FROM held JOIN message ON message.id=held.id"
            " WHERE queue_id=? AND acked_early=0",
            queue_id,
        )[0],
        parked_count=first(
            connection,
            "SELECT count(*) FROM message INDEXED BY message_due WHERE queue_id=? AND due>0",
            queue_id,
        )[0],
        dead_count=dead_count,
        consumer_count=first(
            connection, "SELECT count(*) FROM subscription WHERE queue_id=?", queue_id
        )[0],
        oldest_at=_oldest_at(connection, [message_id for _, _, message_id in by_rank]),
        by_priority=tuple((HIGHEST_PRIORITY - rank, count) for rank, count, _ in by_rank),
    )


def peek(connection: sqlite3.Connection, queue_name: str, count: int) -> list[Message]:
    """Return the next messages without touching them."""
    row = first(connection, "SELECT id FROM queue WHERE name=?", queue_name)
    if row is None:
        return []
    found = rows(
        connection,
        "SELECT head, body FROM ready CROSS JOIN message ON message.id=ready.id"
        " WHERE ready.queue_id=? ORDER BY ready.rank, ready.id LIMIT ?",
        row[0],
        max(0, count),
    )
    return [message_of(head, body) for head, body in found]


def parked(
    connection: sqlite3.Connection, queue_names_wanted: list[str], limit: int
) -> list[Parked]:
    """Return what waits for its time, soonest first; `limit` in all."""
    found = []
    for queue_name in dict.fromkeys(queue_names_wanted):
        found.extend(
            rows(
                connection,
                f"SELECT due, {DELIVERY_COLUMNS} FROM message"  # noqa: S608 - constants
                " JOIN queue ON queue.id=message.queue_id"
                " WHERE queue.name=? AND due IS NOT NULL ORDER BY due LIMIT ?",
                queue_name,
                limit,
            )
        )
    found.sort(key=lambda row: (row[0], row[1]))
    return [Parked(due, delivery_of(row, 0)) for due, *row in found[:limit]]


def live_workers(store: Store) -> list[LiveWorker]:
    """Return the workers that hold a consumer here and whose bell or lease says they live.

    A consumer without a name is no worker: a kombu client that waits for its replies has one.
    """
    host, now_at = this_host(), store.clock.now()
    return [
        LiveWorker(row.worker_name, row.pid, row.host)
        for row in store.main.read(reap.consumers)
        if row.worker_name and row.lease_until > 0 and not reap.is_dead(row, host, now_at)
    ]


def _oldest_at(connection: sqlite3.Connection, message_ids: list[int]) -> float | None:
    found = (
        first(connection, "SELECT published_at FROM message WHERE id=?", it) for it in message_ids
    )
    return min((row[0] for row in found if row is not None), default=None)

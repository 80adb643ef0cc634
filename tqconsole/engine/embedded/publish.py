"""Putting messages in place: one insert for each queue they lead to, then the bells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tqconsole.engine.embedded import bindings, places
from tqconsole.engine.embedded.rows import Prepared
from tqconsole.engine.embedded.writer import Transaction

_INSERT = (
    "INSERT INTO message (queue_id, rank, task_id, task_name, exchange, routing_key, published_at,"
    " expires_at, head, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def put(transaction: Transaction, messages: Sequence[Prepared]) -> None:
    """Insert all, and note whom to ring. A unit of work."""
    routes: dict[tuple[str, str], dict[int, float | None]] = {}
    rows: list[tuple[Any, ...]] = []
    for message in messages:
        address = (message.exchange, message.routing_key)
        queues = routes.get(address)
        if queues is None:
            queues = routes[address] = bindings.route(transaction, *address)
        rows.extend(
            (
                queue_id,
                message.rank,
                message.task_id,
                message.task_name,
                message.exchange,
                message.routing_key,
                transaction.now_at,
                _expires_at(transaction.now_at, message.expires_s, lifetime_s),
                message.head,
                message.body,
            )
            for queue_id, lifetime_s in queues.items()
        )
    if rows:
        transaction.run_many(_INSERT, rows)
        places.make_ready(transaction, len(rows))
    bindings.ring_for(transaction, {it for queues in routes.values() for it in queues})


def _expires_at(now_at: float, expires_s: float | None, lifetime_s: float | None) -> float | None:
    given = [value for value in (expires_s, lifetime_s) if value is not None]
    return now_at + min(given) if given else None

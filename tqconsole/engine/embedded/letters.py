"""Dead letters: messages that were refused or killed their workers, kept to be looked at.

Bounded by count and bytes: the oldest go first, and that is logged and counted.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence

import msgspec

from tqconsole.engine.embedded import bindings, places
from tqconsole.engine.embedded.reader import rows
from tqconsole.engine.embedded.rows import message_of
from tqconsole.engine.embedded.writer import Transaction
from tqconsole.engine.protocol.transfer import DeadLetter

logger = logging.getLogger(__name__)

#: Letters kept, and the bytes they may hold together.
MOST_LETTERS = 10_000
MOST_BYTES = 256 * 1024 * 1024
#: How many letters are looked at in one step when some must go.
_TRIM_STEP = 500

_COPIED = "rank, task_id, task_name, exchange, routing_key, head, body"


class Cause(msgspec.Struct, frozen=True):
    """Why a message is dead."""

    reason: str
    detail: str
    worker_name: str


def bury(transaction: Transaction, message_id: int, consumer_id: int, cause: Cause) -> bool:
    """Make a dead letter of a message in that consumer's hands; False when it is not there.

    A queue with a dead-letter exchange of its user's gets the message routed there instead.
    """
    row = transaction.first(
        "SELECT queue_id, message.routing_key, dead_exchange, dead_routing_key FROM message"
        " JOIN queue ON queue.id=message.queue_id JOIN held ON held.id=message.id"
        " WHERE message.id=? AND consumer=?",
        message_id,
        consumer_id,
    )
    if row is None:
        return False
    _, routing_key, dead_exchange, dead_routing_key = row
    if dead_exchange is not None:
        _reroute(transaction, message_id, dead_exchange, dead_routing_key or routing_key)
    else:
        transaction.run(
            "INSERT INTO letter (queue, size_bytes, reason, detail, worker_name, died_at,"  # noqa: S608 - constants
            f" {_COPIED}) SELECT queue.name, length(head) + length(body), ?, ?, ?, ?, {_COPIED}"
            " FROM message JOIN queue ON queue.id=message.queue_id WHERE message.id=?",
            cause.reason,
            cause.detail,
            cause.worker_name,
            transaction.now_at,
            message_id,
        )
    places.end(transaction, [(consumer_id, message_id)])
    return True


def trim(transaction: Transaction) -> None:
    """Drop the oldest letters while there are too many. Called after burying some."""
    count, total_bytes = transaction.first("SELECT count(*), total(size_bytes) FROM letter")
    dropped_count = 0
    while count > MOST_LETTERS or total_bytes > MOST_BYTES:
        oldest = transaction.rows(
            "SELECT id, size_bytes FROM letter ORDER BY id LIMIT ?", _TRIM_STEP
        )
        for letter_id, size_bytes in oldest:
            if count <= MOST_LETTERS and total_bytes <= MOST_BYTES:
                break
            transaction.run("DELETE FROM letter WHERE id=?", letter_id)
            count -= 1
            total_bytes -= size_bytes
            dropped_count += 1
    if dropped_count:
        logger.warning("dead letters are full: dropped the %d oldest", dropped_count)
        transaction.run(
            "INSERT INTO meta (key, value) VALUES ('letters_dropped', ?)"
            " ON CONFLICT (key) DO UPDATE SET value=CAST(value AS INTEGER)+excluded.value",
            str(dropped_count),
        )


def listed(connection: sqlite3.Connection, queue_name: str | None, limit: int) -> list[DeadLetter]:
    """Return letters, newest first, of one queue or all. A read."""
    condition = "WHERE queue=?" if queue_name is not None else ""
    values = (queue_name, limit) if queue_name is not None else (limit,)
    found = rows(
        connection,
        "SELECT id, head, body, queue, reason, detail, worker_name, died_at"  # noqa: S608 - constants
        f" FROM letter {condition} ORDER BY id DESC LIMIT ?",
        *values,
    )
    return [DeadLetter(str(row[0]), message_of(row[1], row[2]), *row[3:]) for row in found]


def dropped_count(connection: sqlite3.Connection) -> int:
    """Return how many letters ever went because there were too many. A read."""
    found = rows(connection, "SELECT value FROM meta WHERE key='letters_dropped'")
    return int(found[0][0]) if found else 0


def replay(transaction: Transaction, letter_ids: Sequence[str]) -> int:
    """Put letters back into their queues, deaths at 0; return how many were found."""
    queue_ids: set[int] = set()
    replayed_count = 0
    for letter_id in _numbers(letter_ids):
        row = transaction.first("SELECT queue FROM letter WHERE id=?", letter_id)
        if row is None:
            continue
        queue_id = bindings.ensure(transaction, row[0])
        queue_ids.add(queue_id)
        transaction.run(
            f"INSERT INTO message (queue_id, published_at, {_COPIED})"  # noqa: S608 - constants
            f" SELECT ?, ?, {_COPIED} FROM letter WHERE id=?",
            queue_id,
            transaction.now_at,
            letter_id,
        )
        places.make_ready(transaction, 1)
        transaction.run("DELETE FROM letter WHERE id=?", letter_id)
        replayed_count += 1
    bindings.ring_for(transaction, queue_ids)
    return replayed_count


def drop(transaction: Transaction, letter_ids: Sequence[str]) -> int:
    """Delete letters for good; return how many were found."""
    return sum(
        transaction.run("DELETE FROM letter WHERE id=?", letter_id)
        for letter_id in _numbers(letter_ids)
    )


def _reroute(
    transaction: Transaction, message_id: int, dead_exchange: str, routing_key: str
) -> None:
    queue_ids = bindings.route(transaction, dead_exchange, routing_key)
    for queue_id in queue_ids:
        transaction.run(
            "INSERT INTO message (queue_id, published_at, rank, task_id, task_name, exchange,"
            " routing_key, head, body) SELECT ?, ?, rank, task_id, task_name, ?, ?, head, body"
            " FROM message WHERE id=?",
            queue_id,
            transaction.now_at,
            dead_exchange,
            routing_key,
            message_id,
        )
        places.make_ready(transaction, 1)
    bindings.ring_for(transaction, queue_ids)


def _numbers(letter_ids: Sequence[str]) -> list[int]:
    """Ids that are no number name no letter of ours."""
    return [int(it) for it in dict.fromkeys(letter_ids) if it.isascii() and it.isdigit()]

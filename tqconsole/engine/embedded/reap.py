"""Finding consumers that died and giving back what they held.

A bell whose process is gone refuses at once; where no bell can tell (another kernel, no unix
sockets, a deleted file), the lease decides. A stopped process still has its bell and keeps its
work.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tqconsole.engine.embedded import bindings, letters, places
from tqconsole.engine.embedded.bell import Liveness, liveness_of
from tqconsole.engine.embedded.exchange import DELIVERY_COLUMNS
from tqconsole.engine.embedded.host import Host, is_running
from tqconsole.engine.embedded.reader import rows
from tqconsole.engine.embedded.writer import Transaction

#: `protocol.limits.Reason` has this word too; this floor may not import upwards of values.
_WORKER_LOST = "worker-lost"

#: What `acked_early` says: late; early; early, and a reaper holds it to report it as lost.
ACKED_LATE, ACKED_EARLY, REPORTED_LOST = 0, 1, 2


class ConsumerRow(msgspec.Struct, frozen=True):
    """A consumer as its row has it."""

    consumer_id: int
    worker_name: str
    pid: int
    host: str
    boot_id: str
    bell: str
    lease_until: float


class Reaped(msgspec.Struct):
    """What one reaping did; rows are for `delivery_of`."""

    returned_count: int = 0
    lost: list[Any] = msgspec.field(default_factory=list)
    dead_lettered: list[Any] = msgspec.field(default_factory=list)
    worker_names: list[str] = msgspec.field(default_factory=list)
    bells: list[str] = msgspec.field(default_factory=list)


def consumers(connection: sqlite3.Connection) -> list[ConsumerRow]:
    """Return all consumers. A read."""
    found = rows(
        connection,
        "SELECT id, worker_name, pid, host, boot_id, bell, lease_until FROM consumer ORDER BY id",
    )
    return [ConsumerRow(*row) for row in found]


def orphans(connection: sqlite3.Connection) -> list[int]:
    """Return the ids that hold messages and have no row. There should be none. A read."""
    found = rows(
        connection,
        "SELECT DISTINCT consumer FROM held WHERE consumer NOT IN (SELECT id FROM consumer)",
    )
    return [row[0] for row in found]


def is_dead(row: ConsumerRow, host: Host, now_at: float, worker_name: str = "") -> bool:
    """Return whether a consumer is gone. `worker_name`: who asks; its own earlier life is known
    to be over as soon as its process is.
    """
    if row.boot_id != host.boot_id:
        return row.lease_until <= now_at
    match liveness_of(row.bell):
        case Liveness.ALIVE:
            return False
        case Liveness.DEAD:
            return True
        case Liveness.UNKNOWN:
            if row.lease_until <= now_at:
                return True
            is_earlier_self = row.worker_name == worker_name and row.host == host.name
            return is_earlier_self and not is_running(row.pid)


def give_back(
    transaction: Transaction, dead: Sequence[ConsumerRow], reaper_id: int, max_deaths: int
) -> Reaped:
    """Return what the dead held: unit of work, and nothing for those another reaper was at first.

    What they had acknowledged early and started is lost: it passes into the reaper's hands, marked
    so, until it has reported and settled it. Should the reaper die too, the next one finds it.
    """
    reaped = Reaped()
    for row in dead:
        found = transaction.first("SELECT lease_until FROM consumer WHERE id=?", row.consumer_id)
        # Renewed since it was judged: it lives (it was stopped, or its bell's file is gone).
        if found is not None and found[0] > row.lease_until:
            continue
        _give_back_one(transaction, row, reaper_id, max_deaths, reaped)
    if reaped.dead_lettered:
        letters.trim(transaction)
    return reaped


def remove(transaction: Transaction, consumer_id: int) -> None:
    """Delete a consumer, and the auto-delete queues that it was the last one of."""
    queue_ids = [
        row[0]
        for row in transaction.rows(
            "SELECT queue_id FROM subscription WHERE consumer=?", consumer_id
        )
    ]
    transaction.run("DELETE FROM subscription WHERE consumer=?", consumer_id)
    transaction.run("DELETE FROM consumer WHERE id=?", consumer_id)
    leave_queues(transaction, queue_ids)


def leave_queues(transaction: Transaction, queue_ids: Sequence[int]) -> None:
    """Note that queues lost a consumer; auto-delete ones without any other go."""
    for queue_id in queue_ids:
        transaction.run("UPDATE queue SET used_at=? WHERE id=?", transaction.now_at, queue_id)
        unused = transaction.first(
            "SELECT 1 FROM queue WHERE id=? AND is_auto_delete AND id NOT IN"
            " (SELECT queue_id FROM subscription)",
            queue_id,
        )
        if unused is not None:
            bindings.remove(transaction, [queue_id])


def clear_bells(addresses: Sequence[str]) -> None:
    """Delete the files of bells whose process is gone."""
    for address in addresses:
        kind, _, place = address.partition(":")
        if kind == "unix" and liveness_of(address) is Liveness.DEAD:
            with contextlib.suppress(OSError):
                Path(place).unlink()


def _give_back_one(
    transaction: Transaction, row: ConsumerRow, reaper_id: int, max_deaths: int, reaped: Reaped
) -> None:
    held = transaction.rows(
        f"SELECT acked_early, started_at, queue_id, {DELIVERY_COLUMNS} FROM held"  # noqa: S608 - constants
        " JOIN message ON message.id=held.id JOIN queue ON queue.id=message.queue_id"
        " WHERE consumer=? ORDER BY held.id",
        row.consumer_id,
    )
    cause = letters.Cause(_WORKER_LOST, "", row.worker_name)
    queue_ids = set()
    for acked_early, started_at, queue_id, *delivery in held:
        message_id, deaths = delivery[0], delivery[5]
        if acked_early:
            transaction.run(
                "UPDATE held SET consumer=?, acked_early=? WHERE id=?",
                reaper_id, REPORTED_LOST, message_id,
            )  # fmt: skip
            reaped.lost.append(delivery)
            continue
        death_count = 0 if started_at is None else 1
        if death_count and deaths + 1 >= max_deaths:
            delivery[5] = deaths + 1
            letters.bury(transaction, message_id, row.consumer_id, _counted(cause, deaths + 1))
            reaped.dead_lettered.append(delivery)
            continue
        places.release(transaction, [(row.consumer_id, message_id)], death_count=death_count)
        queue_ids.add(queue_id)
        reaped.returned_count += 1
    remove(transaction, row.consumer_id)
    bindings.ring_for(transaction, queue_ids)
    if row.worker_name:
        reaped.worker_names.append(row.worker_name)
    reaped.bells.append(row.bell)


def _counted(cause: letters.Cause, death_count: int) -> letters.Cause:
    detail = f"the process that ran it died {death_count} times"
    return letters.Cause(cause.reason, detail, cause.worker_name)

"""Result records and keyed values. A stored SUCCESS is never overwritten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from tqconsole.engine.embedded.bell import reply_address
from tqconsole.engine.embedded.reader import first, rows
from tqconsole.engine.embedded.writer import Transaction
from tqconsole.engine.protocol.transfer import ResultWrite
from tqconsole.engine.states import SUCCESS

#: Values in one IN list: SQLite before 3.32 takes 999.
_MOST_VALUES = 500


#: Seconds that turns are remembered after the last of them.
_TURNS_KEPT_S = 60.0


def write(transaction: Transaction, writes: Sequence[ResultWrite], bells: str) -> None:
    """Store records in order, and note whose bell to ring. A unit of work."""
    now_at = transaction.now_at
    transaction.run_many(
        "INSERT INTO result (task_id, state, content_type, stored_at, expires_at, record)"  # noqa: S608 - a constant
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (task_id) DO UPDATE SET state=excluded.state,"
        " content_type=excluded.content_type, stored_at=excluded.stored_at,"
        " expires_at=excluded.expires_at, record=excluded.record"
        f" WHERE result.state<>'{SUCCESS}' OR result.expires_at<=excluded.stored_at",
        [
            (
                one.task_id,
                one.state,
                one.content_type,
                now_at,
                None if one.expires_s is None else now_at + one.expires_s,
                one.record,
            )
            for one in writes
        ],
    )
    callers = {one.reply_to for one in writes if one.reply_to}
    transaction.rings.update(reply_address(bells, caller) for caller in callers)


def fetched(
    connection: sqlite3.Connection, task_ids: Sequence[str], now_at: float
) -> dict[str, bytes]:
    """Return task_id -> record for those that exist and have not expired. A read."""
    found: dict[str, bytes] = {}
    for part in _parts(task_ids):
        found.update(
            rows(
                connection,
                f"SELECT task_id, record FROM result WHERE task_id IN ({_marks(part)})"  # noqa: S608 - marks
                " AND (expires_at IS NULL OR expires_at>?)",
                *part,
                now_at,
            )
        )
    return found


def stamps(connection: sqlite3.Connection, task_ids: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Return task_id -> (state, stored_at): what differs when a record was written. A read."""
    found: dict[str, tuple[str, float]] = {}
    for part in _parts(task_ids):
        for task_id, state, stored_at in rows(
            connection,
            f"SELECT task_id, state, stored_at FROM result WHERE task_id IN ({_marks(part)})",  # noqa: S608 - marks
            *part,
        ):
            found[task_id] = (state, stored_at)
    return found


def forget(transaction: Transaction, task_ids: Sequence[str]) -> None:
    """Delete records. A unit of work."""
    transaction.run_many("DELETE FROM result WHERE task_id=?", [(it,) for it in task_ids])


def put(transaction: Transaction, key: str, value: bytes, expires_s: float | None) -> None:
    """Store a value under a key. A unit of work."""
    transaction.run(
        "INSERT INTO entry (key, expires_at, value) VALUES (?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET expires_at=excluded.expires_at, value=excluded.value",
        key,
        None if expires_s is None else transaction.now_at + expires_s,
        value,
    )


def value_of(connection: sqlite3.Connection, key: str, now_at: float) -> bytes | None:
    """Return the value of a key, None when it is absent or has expired. A read."""
    row = first(
        connection,
        "SELECT value FROM entry WHERE key=? AND (expires_at IS NULL OR expires_at>?)",
        key,
        now_at,
    )
    return None if row is None else bytes(row[0])


def claim(transaction: Transaction, key: str, value: bytes, expires_s: float) -> bytes:
    """Give the key this value unless it has one; return the one it has then. A unit of work."""
    held = value_of(transaction.connection, key, transaction.now_at)
    if held is not None:
        return held
    put(transaction, key, value, expires_s)
    return value


def release(transaction: Transaction, key: str, value: bytes) -> bool:
    """Take the key's value away if it is this one. A unit of work."""
    if value_of(transaction.connection, key, transaction.now_at) != value:
        return False
    delete(transaction, [key])
    return True


def take_turns(transaction: Transaction, key: str, count: int, step_s: float) -> float:
    """Take turns, `step_s` apart; return in how many seconds the first is. A unit of work."""
    now_at = transaction.now_at
    first_at = max(now_at, float(value_of(transaction.connection, key, now_at) or 0))
    next_at = first_at + count * step_s
    put(transaction, key, repr(next_at).encode(), next_at - now_at + _TURNS_KEPT_S)
    return first_at - now_at


def delete(transaction: Transaction, keys: Sequence[str]) -> None:
    """Delete keys. A unit of work."""
    transaction.run_many("DELETE FROM entry WHERE key=?", [(key,) for key in keys])


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _MOST_VALUES):
        yield values[start : start + _MOST_VALUES]


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))

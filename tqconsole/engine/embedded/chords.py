"""Chords as entries of the embedded store: each part one row, the count in one of its own.

The suffixes are Celery's where they mean the same; `.n` is how many parts came, so that none counts
them. All functions are units of work.
"""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.engine.embedded import results
from tqconsole.engine.embedded.writer import Transaction
from tqconsole.engine.protocol.chord import ChordPart, group_key
from tqconsole.engine.protocol.transfer import ChordEnd, ResultWrite

#: Seconds for which a chord is known to be done.
_DONE_S = 300.0
_DONE = b"done"
#: Digits of a part's place in its key: keys sort as the places do. One without a place is last.
_PLACE_DIGITS, _NO_PLACE = 10, "9" * 10

_COUNT = (
    "INSERT INTO entry (key, expires_at, value) VALUES (?, ?, '1') ON CONFLICT (key) DO UPDATE SET"
    " value=CAST(value AS INTEGER)+1, expires_at=excluded.expires_at RETURNING value"
)


def open_chord(transaction: Transaction, group_id: str, size: int, expires_s: float | None) -> None:
    """Expect `size` parts."""
    results.put(transaction, group_key(group_id, ".s"), b"%d" % size, expires_s)


def grow_chord(
    transaction: Transaction, group_id: str, task_id: str, expires_s: float | None
) -> None:
    """Expect the part of a task besides, if it is not expected yet."""
    expires_at = _expires_at(transaction, expires_s)
    is_new = transaction.run(
        "INSERT INTO entry (key, expires_at, value) VALUES (?, ?, '') ON CONFLICT DO NOTHING",
        f"{group_key(group_id, '.x:')}{task_id}",
        expires_at,
    )
    if is_new:
        transaction.first(_COUNT, group_key(group_id, ".t"), expires_at)


def add_part(
    transaction: Transaction,
    part: ChordPart,
    writes: Sequence[ResultWrite],
    expires_s: float | None,
    bells: str,
) -> bool:
    """Write the records, add the part, and tell whether its task holds the complete chord."""
    results.write(transaction, writes, bells)
    holder_key = group_key(part.group_id, ".c")
    holder = _value(transaction, holder_key)
    if holder == _DONE:
        return False
    count_key, expires_at = group_key(part.group_id, ".n"), _expires_at(transaction, expires_s)
    key = f"{group_key(part.group_id, '.j:')}{_place(part.score)}:{part.task_id}"
    is_new = transaction.run(
        "INSERT INTO entry (key, expires_at, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        key,
        expires_at,
        part.packed,
    )
    if is_new:
        count = int(transaction.first(_COUNT, count_key, expires_at)[0])
    else:
        count = int(_value(transaction, count_key) or 0)
    size = _value(transaction, group_key(part.group_id, ".s"))
    added = _value(transaction, group_key(part.group_id, ".t"))
    if size is None or count < int(size) + int(added or 0):
        return False
    if holder is None:
        results.put(transaction, holder_key, part.task_id.encode(), expires_s)
        return True
    return holder == part.task_id.encode()


def parts(transaction: Transaction, group_id: str) -> list[bytes]:
    """Return the packed parts in order."""
    return [
        bytes(row[0])
        for row in transaction.rows(
            "SELECT value FROM entry WHERE key>=? AND key<? ORDER BY key", *_range(group_id, ".j:")
        )
    ]


def is_held(transaction: Transaction, end: ChordEnd) -> bool:
    """Tell whether the task still holds the chord."""
    return _value(transaction, group_key(end.group_id, ".c")) == end.task_id.encode()


def close_chord(transaction: Transaction, group_id: str) -> None:
    """Forget the parts; that it is done is known for a while."""
    for suffix in (".j:", ".x:"):
        transaction.run("DELETE FROM entry WHERE key>=? AND key<?", *_range(group_id, suffix))
    results.delete(transaction, [group_key(group_id, it) for it in (".s", ".n", ".t")])
    results.put(transaction, group_key(group_id, ".c"), _DONE, _DONE_S)


def may_begin(transaction: Transaction, key: str, mark: str, expires_s: float | None) -> bool:
    """Note the first mark of a key; tell whether it is this one."""
    held = _value(transaction, key)
    if held is None:
        results.put(transaction, key, mark.encode(), expires_s)
        return True
    return held == mark.encode()


def _value(transaction: Transaction, key: str) -> bytes | None:
    row = transaction.first(
        "SELECT value FROM entry WHERE key=? AND (expires_at IS NULL OR expires_at>?)",
        key,
        transaction.now_at,
    )
    if row is None:
        return None
    # A count is a number for SQLite, what we put is bytes.
    return row[0] if isinstance(row[0], bytes) else str(row[0]).encode()


def _place(score: str) -> str:
    return f"{int(score):0{_PLACE_DIGITS}}" if score.isdecimal() else _NO_PLACE


def _range(group_id: str, suffix: str) -> tuple[str, str]:
    """Return the first key that begins so, and the first behind those."""
    prefix = group_key(group_id, suffix)
    return prefix, f"{prefix[:-1]};"


def _expires_at(transaction: Transaction, expires_s: float | None) -> float | None:
    return None if expires_s is None else transaction.now_at + expires_s

"""Where a message is: `ready` in its queue, `held` by a consumer, or parked until it is `due`.

Its content is written once and stays as it is until it goes. What changes with each step of a
task are rows of a few bytes in two narrow tables: a page of them serves hundreds of messages, and
a page is what a commit writes. Neighbours go through each step together: a run of numbers without
a gap is one statement. Every statement on what is held asks for its consumer, so a late settlement
of somebody who lost his lease changes nothing. All are units of work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tqconsole.engine.embedded.writer import Transaction

#: The numbers of a run, of those that a consumer holds: (consumer, first, last).
_HELD = "consumer=? AND id BETWEEN ? AND ?"
_HELD_IDS = f"SELECT id FROM held WHERE {_HELD}"  # noqa: S608 - constants
_DROP_READY = "DELETE FROM ready WHERE queue_id=? AND rank=? AND id BETWEEN ? AND ?"

#: One message that a consumer holds: (consumer, message).
Owned = tuple[int, int]
#: Neighbours that a consumer holds: (consumer, first message, last message).
Run = tuple[int, int, int]


def runs_of(owned: Iterable[Owned]) -> list[Run]:
    """Return messages as runs of numbers without a gap, in their order: pairs of (key, number)."""
    runs: list[Run] = []
    key, begin, end = 0, 0, -1
    for one_key, number in owned:
        if number == end + 1 and one_key == key and end >= begin:
            end = number
            continue
        if end >= begin:
            runs.append((key, begin, end))
        key, begin, end = one_key, number, number
    if end >= begin:
        runs.append((key, begin, end))
    return runs


def make_ready(transaction: Transaction, inserted_count: int) -> None:
    """Put the messages that this transaction inserted last into their queues."""
    transaction.run(
        "INSERT INTO ready (queue_id, rank, id) SELECT queue_id, rank, id FROM message"
        " WHERE id>last_insert_rowid()-?",
        inserted_count,
    )


def wake(transaction: Transaction, queue_id: int, most_count: int) -> None:
    """Make parked messages of a queue ready that are due, at most so many."""
    due = transaction.rows(
        "SELECT id FROM message INDEXED BY message_due WHERE queue_id=? AND due<=?"
        " ORDER BY due LIMIT ?",
        queue_id,
        transaction.now_at,
        most_count,
    )
    if due:
        transaction.run_many("UPDATE message SET due=NULL WHERE id=?", due)
        transaction.run_many(
            "INSERT INTO ready (queue_id, rank, id) SELECT queue_id, rank, id FROM message"
            " WHERE id=?",
            due,
        )


def hold(
    transaction: Transaction, consumer_id: int, queue_id: int, ranked: Iterable[tuple[int, int]]
) -> None:
    """Give ready messages of a queue, pairs of (rank, id), into a consumer's hands."""
    runs = [(queue_id, *run) for run in runs_of(ranked)]
    transaction.run_many(
        "INSERT INTO held (id, consumer) SELECT id, ? FROM ready"
        " WHERE queue_id=? AND rank=? AND id BETWEEN ? AND ?",
        [(consumer_id, *run) for run in runs],
    )
    transaction.run_many(_DROP_READY, runs)


def begin(transaction: Transaction, started: Iterable[tuple[int, int, int]]) -> None:
    """Note what starts: (consumer, message, how it is acknowledged)."""
    by_ack: dict[int, list[Owned]] = {}
    for consumer_id, message_id, acked_early in started:
        by_ack.setdefault(acked_early, []).append((consumer_id, message_id))
    transaction.run_many(
        f"UPDATE held SET started_at=?, acked_early=? WHERE {_HELD}",  # noqa: S608 - constants
        [
            (transaction.now_at, acked_early, *run)
            for acked_early, owned in by_ack.items()
            for run in runs_of(owned)
        ],
    )


def end(transaction: Transaction, owned: Iterable[Owned]) -> None:
    """Delete messages that a consumer is done with."""
    runs = runs_of(owned)
    transaction.run_many(f"DELETE FROM message WHERE id IN ({_HELD_IDS})", runs)  # noqa: S608 - constants
    _let_go(transaction, runs)


def release(transaction: Transaction, owned: Sequence[Owned], *, death_count: int) -> None:
    """Put messages back into their queues, marked so. Their ids keep their age: they come before
    what was sent later.
    """
    runs = runs_of(owned)
    transaction.run_many(
        "UPDATE message SET is_redelivered=1, deaths=deaths+?"  # noqa: S608 - constants
        f" WHERE id IN ({_HELD_IDS})",
        [(death_count, *run) for run in runs],
    )
    transaction.run_many(
        "INSERT INTO ready (queue_id, rank, id) SELECT queue_id, rank, id FROM message"  # noqa: S608 - constants
        f" WHERE id IN ({_HELD_IDS})",
        runs,
    )
    _let_go(transaction, runs)


def park(transaction: Transaction, due: Iterable[tuple[float, int, int]]) -> None:
    """Let go of messages until they are due: (due_at, consumer, message)."""
    rows = list(due)
    transaction.run_many(
        "UPDATE message SET due=? WHERE id IN (SELECT id FROM held WHERE consumer=? AND id=?)", rows
    )
    _let_go(transaction, [(consumer_id, it, it) for _, consumer_id, it in rows])


def drop_ready(transaction: Transaction, ready: Sequence[tuple[int, int, int]]) -> int:
    """Delete what nobody holds, rows of (queue, rank, message), and return how many."""
    transaction.run_many(_DROP_READY, [(*row, row[2]) for row in ready])
    transaction.run_many("DELETE FROM message WHERE id=?", [(row[2],) for row in ready])
    return len(ready)


def drop_some(transaction: Transaction, queue_id: int, last_id: int, most_count: int) -> int:
    """Delete up to so many of the ready and of the parked messages of a queue, numbered up to
    `last_id`. Returns how many.
    """
    ready = transaction.rows(
        "SELECT queue_id, rank, id FROM ready WHERE queue_id=? AND id<=? LIMIT ?",
        queue_id,
        last_id,
        most_count,
    )
    return drop_ready(transaction, ready) + transaction.run(
        "DELETE FROM message WHERE id IN (SELECT id FROM message INDEXED BY message_due"
        " WHERE queue_id=? AND due>=0 AND id<=? LIMIT ?)",
        queue_id,
        last_id,
        most_count,
    )


def drop_expired(transaction: Transaction, most_count: int) -> int:
    """Delete up to so many messages that have expired and that nobody holds."""
    expired = transaction.rows(
        "SELECT queue_id, rank, id FROM message WHERE expires_at IS NOT NULL AND expires_at<=?"
        " AND id NOT IN (SELECT id FROM held) LIMIT ?",
        transaction.now_at,
        most_count,
    )
    return drop_ready(transaction, expired)


def drop_waiting(transaction: Transaction, queue_id: int) -> int:
    """Delete all messages of a queue that nobody holds, also what is parked. Returns how many."""
    ready_count = transaction.run(
        "DELETE FROM message WHERE id IN (SELECT id FROM ready WHERE queue_id=?)", queue_id
    )
    transaction.run("DELETE FROM ready WHERE queue_id=?", queue_id)
    return ready_count + transaction.run(
        "DELETE FROM message WHERE queue_id=? AND due IS NOT NULL", queue_id
    )


def drop_queue(transaction: Transaction, queue_id: int) -> None:
    """Delete all messages of a queue, whoever holds them."""
    transaction.run(
        "DELETE FROM held WHERE (SELECT queue_id FROM message WHERE message.id=held.id)=?", queue_id
    )
    transaction.run("DELETE FROM ready WHERE queue_id=?", queue_id)
    transaction.run("DELETE FROM message WHERE queue_id=?", queue_id)


def queues_of(transaction: Transaction, owned: Iterable[Owned]) -> set[int]:
    """Return the queues of messages that a consumer holds."""
    return {
        row[0]
        for run in runs_of(owned)
        for row in transaction.rows(
            f"SELECT DISTINCT queue_id FROM message WHERE id IN ({_HELD_IDS})",  # noqa: S608 - constants
            *run,
        )
    }


def _let_go(transaction: Transaction, runs: list[Run]) -> None:
    transaction.run_many(f"DELETE FROM held WHERE {_HELD}", runs)  # noqa: S608 - constants

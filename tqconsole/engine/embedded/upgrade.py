"""Files of earlier versions of ours, and the steps that lead to the tables of today.

A step is one transaction under the writers' lock: a process that is killed in it leaves the file as
it was. It keeps each message, where it stands, and the numbers that were given out.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping

import msgspec

from tqconsole.engine.clock import Clock
from tqconsole.engine.embedded import schema as tables
from tqconsole.engine.embedded.schema import MAIN, Schema
from tqconsole.engine.exceptions import OperationalError

logger = logging.getLogger(__name__)

_KEPT = (
    "id, queue_id, rank, due, deaths, is_redelivered, task_id, task_name, exchange, routing_key,"
    " expires_at, head, body"
)


class Step(msgspec.Struct, frozen=True):
    """The way from one version to the next.

    `earlier`: what that version makes otherwise than the next one: a name and its statement, empty
    where it had none. `before` and `after` stand around the making of what is new.
    """

    earlier: Mapping[str, str]
    before: tuple[str, ...]
    after: tuple[str, ...]


#: Format 1 had whose a message is in the message's own row, and wrote that anew at each step. A
#: client of that version which still has the file open must not publish what is in no queue: it
#: fails, since a column that it writes has another name now.
_FROM_1 = Step(
    earlier={
        "message": """CREATE TABLE message (
            id INTEGER PRIMARY KEY AUTOINCREMENT, queue_id INTEGER NOT NULL,
            rank INTEGER NOT NULL, due REAL, consumer INTEGER, started_at REAL,
            acked_early INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0,
            is_redelivered INTEGER NOT NULL DEFAULT 0, task_id TEXT, task_name TEXT,
            exchange TEXT NOT NULL, routing_key TEXT NOT NULL, enqueued_at REAL NOT NULL,
            expires_at REAL, head BLOB NOT NULL, body BLOB NOT NULL)""",
        "message_ready": """CREATE INDEX message_ready ON message (queue_id, rank, id)
            WHERE consumer IS NULL AND due IS NULL""",
        "message_due": tables.named(MAIN)["message_due"],
        "message_claimed": (
            "CREATE INDEX message_claimed ON message (consumer, id) WHERE consumer IS NOT NULL"
        ),
        "message_expiry": tables.named(MAIN)["message_expiry"],
        "ready": "",
        "held": "",
    },
    before=(
        "ALTER TABLE message RENAME TO message_1",
        "DROP INDEX message_ready",
        "DROP INDEX message_due",
        "DROP INDEX message_claimed",
        "DROP INDEX message_expiry",
    ),
    after=(
        f"INSERT INTO message ({_KEPT}, published_at)"  # noqa: S608 - constants
        f" SELECT {_KEPT}, enqueued_at FROM message_1 ORDER BY id",
        "INSERT INTO ready (queue_id, rank, id) SELECT queue_id, rank, id FROM message_1"
        " WHERE consumer IS NULL AND due IS NULL ORDER BY queue_id, rank, id",
        "INSERT INTO held (id, consumer, started_at, acked_early)"
        " SELECT id, consumer, started_at, acked_early FROM message_1"
        " WHERE consumer IS NOT NULL ORDER BY id",
        # The number given out last, also of messages that are gone.
        "DELETE FROM sqlite_sequence WHERE name='message'",
        "UPDATE sqlite_sequence SET name='message' WHERE name='message_1'",
        "DROP TABLE message_1",
    ),
)

#: Version -> the step that leads from it to the next.
_STEPS: dict[int, dict[int, Step]] = {MAIN.application_id: {1: _FROM_1}}


def check(connection: sqlite3.Connection, schema: Schema, path: str) -> None:
    """Raise unless the file is as we make it, or made it in a version that we can take on.

    Raises: ForeignFileError; ImproperlyConfigured when a newer version of ours made it.
    """
    tables.check_owner(connection, schema, path)
    version = tables.version_of(connection)
    steps = _STEPS.get(schema.application_id, {})
    if version != schema.version and version not in steps:
        tables.refuse_version(version, schema, path)
    expected = tables.named(schema)
    for number in range(schema.version - 1, version - 1, -1):
        expected |= steps[number].earlier
    tables.check_made(connection, {k: v for k, v in expected.items() if v}, path)


def upgrade(connection: sqlite3.Connection, schema: Schema, path: str, clock: Clock) -> None:
    """Take a checked file to the version of today. The caller holds the writers' lock.

    Raises: OperationalError while a worker of the earlier version may still be at work on it.
    """
    version = tables.version_of(connection)
    if version == schema.version:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _refuse_workers(connection, path, clock.now())
        for number in range(version, schema.version):
            _take(connection, schema, _STEPS[schema.application_id][number])
        connection.execute(f"PRAGMA user_version={schema.version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    logger.warning("%s is now of format %d (it was %d)", path, schema.version, version)


def _take(connection: sqlite3.Connection, schema: Schema, step: Step) -> None:
    made = tables.named(schema)
    for statement in step.before:
        connection.execute(statement)
    for name in step.earlier:
        if name in made:
            connection.execute(made[name])
    for statement in step.after:
        connection.execute(statement)


def _refuse_workers(connection: sqlite3.Connection, path: str, now_at: float) -> None:
    row = connection.execute(
        "SELECT worker_name, pid, lease_until FROM consumer WHERE lease_until>?", (now_at,)
    ).fetchone()
    if row is not None:
        raise OperationalError(
            f"{path} is of an earlier version of tqconsole, whose worker {row[0] or row[1]!r}"
            " cannot go on once it is changed: stop it, or, if it was killed, wait"
            f" {row[2] - now_at:.0f} s for the end of its lease"
        )

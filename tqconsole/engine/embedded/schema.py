"""The tables of the two files, and the check that a file is one of ours.

A message is a row of `message` and, while it waits, one of `ready`, while a consumer has it, one of
`held` (`places.py`). `rank` is 9 - priority, so that one ascending key serves "high number first,
then age". The keys and partial indexes make each question a range scan however deep the queue is.
Ids are never used twice (AUTOINCREMENT): a late settlement can hit nobody else's message.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from typing import NoReturn

import msgspec

from tqconsole.engine.exceptions import ForeignFileError, ImproperlyConfigured

#: "tqc1" and "tqe1", in the header of the file.
_MAIN_ID = 0x74716331
_LOG_ID = 0x74716531
#: Raise it with every change of a table, and write the step that leads there (`upgrade.py`).
_MAIN_VERSION, _LOG_VERSION = 2, 1


class Schema(msgspec.Struct, frozen=True):
    """One file's tables. `is_precious`: a damaged file is moved aside, not thrown away."""

    application_id: int
    version: int
    statements: tuple[str, ...]
    is_precious: bool


MAIN = Schema(
    application_id=_MAIN_ID,
    version=_MAIN_VERSION,
    is_precious=True,
    statements=(
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE queue (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
            is_auto_delete INTEGER NOT NULL, expires_s REAL, message_ttl_s REAL,
            dead_exchange TEXT, dead_routing_key TEXT, used_at REAL NOT NULL)""",
        """CREATE TABLE binding (
            exchange TEXT NOT NULL, kind TEXT NOT NULL, routing_key TEXT NOT NULL,
            queue_id INTEGER NOT NULL,
            PRIMARY KEY (exchange, kind, routing_key, queue_id)) WITHOUT ROWID""",
        """CREATE TABLE message (
            id INTEGER PRIMARY KEY AUTOINCREMENT, queue_id INTEGER NOT NULL,
            rank INTEGER NOT NULL, due REAL, deaths INTEGER NOT NULL DEFAULT 0,
            is_redelivered INTEGER NOT NULL DEFAULT 0, task_id TEXT, task_name TEXT,
            exchange TEXT NOT NULL, routing_key TEXT NOT NULL, published_at REAL NOT NULL,
            expires_at REAL, head BLOB NOT NULL, body BLOB NOT NULL)""",
        "CREATE INDEX message_due ON message (queue_id, due) WHERE due IS NOT NULL",
        "CREATE INDEX message_expiry ON message (expires_at) WHERE expires_at IS NOT NULL",
        """CREATE TABLE ready (
            queue_id INTEGER NOT NULL, rank INTEGER NOT NULL, id INTEGER NOT NULL,
            PRIMARY KEY (queue_id, rank, id)) WITHOUT ROWID""",
        """CREATE TABLE held (
            id INTEGER PRIMARY KEY, consumer INTEGER NOT NULL, started_at REAL,
            acked_early INTEGER NOT NULL DEFAULT 0)""",
        """CREATE TABLE consumer (
            id INTEGER PRIMARY KEY AUTOINCREMENT, worker_name TEXT NOT NULL, pid INTEGER NOT NULL,
            host TEXT NOT NULL, boot_id TEXT NOT NULL, bell TEXT NOT NULL,
            lease_until REAL NOT NULL)""",
        """CREATE TABLE subscription (
            queue_id INTEGER NOT NULL, consumer INTEGER NOT NULL,
            PRIMARY KEY (queue_id, consumer)) WITHOUT ROWID""",
        """CREATE TABLE result (
            task_id TEXT PRIMARY KEY, state TEXT NOT NULL, content_type TEXT NOT NULL,
            stored_at REAL NOT NULL, expires_at REAL, record BLOB NOT NULL)""",
        "CREATE INDEX result_expiry ON result (expires_at) WHERE expires_at IS NOT NULL",
        """CREATE TABLE entry (
            key TEXT PRIMARY KEY, expires_at REAL, value BLOB NOT NULL)""",
        "CREATE INDEX entry_expiry ON entry (expires_at) WHERE expires_at IS NOT NULL",
        """CREATE TABLE letter (
            id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, size_bytes INTEGER NOT NULL,
            reason TEXT NOT NULL, detail TEXT NOT NULL, worker_name TEXT NOT NULL,
            died_at REAL NOT NULL, rank INTEGER NOT NULL, task_id TEXT, task_name TEXT,
            exchange TEXT NOT NULL, routing_key TEXT NOT NULL,
            head BLOB NOT NULL, body BLOB NOT NULL)""",
        "CREATE INDEX letter_queue ON letter (queue, id)",
        "CREATE INDEX letter_size ON letter (id, size_bytes)",
    ),
)

LOG = Schema(
    application_id=_LOG_ID,
    version=_LOG_VERSION,
    is_precious=False,
    statements=(
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE event (
            id INTEGER PRIMARY KEY AUTOINCREMENT, exchange TEXT NOT NULL, seq INTEGER NOT NULL,
            routing_key TEXT NOT NULL, at REAL NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL)""",
        "CREATE TABLE channel (exchange TEXT PRIMARY KEY, last_seq INTEGER NOT NULL) WITHOUT ROWID",
        """CREATE TABLE listener (
            id INTEGER PRIMARY KEY AUTOINCREMENT, exchange TEXT NOT NULL, kind TEXT NOT NULL,
            patterns TEXT NOT NULL, bell TEXT NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL,
            boot_id TEXT NOT NULL, lease_until REAL NOT NULL)""",
        "CREATE INDEX listener_exchange ON listener (exchange)",
    ),
)


def is_blank(connection: sqlite3.Connection) -> bool:
    """Return whether the file holds nothing yet (also: was empty before SQLite made it)."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    entry_count = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return not application_id and not entry_count


def create(connection: sqlite3.Connection, schema: Schema) -> None:
    """Make the tables, within the caller's transaction."""
    for statement in schema.statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={schema.application_id}")
    connection.execute(f"PRAGMA user_version={schema.version}")


def check_owner(connection: sqlite3.Connection, schema: Schema, path: str) -> None:
    """Raise ForeignFileError for the database of another program."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.application_id:
        raise ForeignFileError(
            f"{path} is a SQLite database, but not a queue of tqconsole; name another file"
        )


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version that the file says it has."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def named(schema: Schema) -> dict[str, str]:
    """Return the statements that make the tables and indexes, by name."""
    return dict(_named(statement) for statement in schema.statements)


def refuse_version(version: int, schema: Schema, path: str) -> NoReturn:
    """Raise ImproperlyConfigured for a version that is not ours to read."""
    raise ImproperlyConfigured(
        f"{path} has format {version}, this tqconsole reads format {schema.version};"
        " use the version that made it, or another file"
    )


def check_made(connection: sqlite3.Connection, expected: Mapping[str, str], path: str) -> None:
    """Compare the file with what we make: name -> statement.

    A trigger or view of somebody else's would run with our rights, so anything unknown is refused.
    Raises: ForeignFileError.
    """
    rows = connection.execute(
        "SELECT name, coalesce(sql, '') FROM sqlite_master"
        " WHERE name NOT LIKE 'sqlite@_%' ESCAPE '@'"
    ).fetchall()
    found = {str(name): str(sql) for name, sql in rows}
    unknown = sorted(
        name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    )
    if unknown:
        raise ForeignFileError(
            f"{path} is not as tqconsole makes it ({', '.join(unknown[:5])}); name another file"
        )


def _named(statement: str) -> tuple[str, str]:
    match = re.match(r"CREATE (?:TABLE|INDEX) (\w+)", statement)
    return (match[1] if match else "", statement)

"""Files of earlier formats: taken on with all that is in them, or left as they were."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from embedded_values import fetch, names, task, waiting

from tqconsole.engine.backends.sqlite import SqliteBackend
from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.embedded import upgrade as upgrading
from tqconsole.engine.exceptions import BrokerUnreachableError, ForeignFileError
from tqconsole.engine.protocol.transfer import Settlement, Verdict

Consume = Callable[..., Consumer]

#: When the file of format 1 was written, and when the lease of its worker ends.
WRITTEN_AT, LEASE_END_AT = 1_790_000_000.0, 1_790_000_015.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(LEASE_END_AT + 1)


@pytest.fixture
def earlier(path: str) -> Iterator[sqlite3.Connection]:
    """A file as format 1 left it, with a message in every place, and somebody who has it open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(Path(__file__).with_name("format_1.sql").read_text())
        connection.execute("PRAGMA application_id=1953588017")
        connection.execute("PRAGMA user_version=1")
        yield connection


def version_of(path: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.usefixtures("earlier")
def test_messages_keep_their_place_and_order(
    broker: SqliteBroker, consume: Consume, clock: ManualClock
) -> None:
    assert waiting(broker) == ["urgent", "again", "low"]
    assert [it.due_at for it in broker.parked(["celery"])] == [WRITTEN_AT + 3600]
    depth = broker.depth("celery")
    # "late" and "waiting"; what is acknowledged early is no longer counted.
    assert (depth.ready_count, depth.unacked_count, depth.dead_count) == (3, 2, 1)

    consumer = consume("new@host")
    held = fetch(consumer)
    clock.advance(3600)

    assert [(it.message.headers["id"], it.deaths, it.is_redelivered) for it in held] == [
        ("urgent", 0, True),
        ("again", 1, True),
        ("low", 0, False),
    ]
    assert names(fetch(consumer)) == ["parked"]


@pytest.mark.usefixtures("earlier")
def test_what_its_dead_worker_held_is_given_back(broker: SqliteBroker, consume: Consume) -> None:
    consumer = consume("new@host")
    consumer.exchange([Settlement(it.tag, Verdict.ACK) for it in fetch(consumer)])

    given = consumer.give_back(5)

    assert (names(given.lost), given.returned_count) == (["early"], 2)
    assert [(it.message.headers["id"], it.deaths) for it in fetch(consumer)] == [
        ("late", 1),
        ("waiting", 0),
    ]


@pytest.mark.usefixtures("earlier")
def test_no_number_is_given_out_twice(broker: SqliteBroker, consume: Consume) -> None:
    """The file's last message has gone: a late settlement of it must hit nobody else's."""
    broker.publish([task("new", priority=9)])

    tags = {it.message.headers["id"]: it.tag for it in fetch(consume("new@host"))}

    assert tags["new"].partition(".")[2] == "11"


@pytest.mark.usefixtures("earlier")
def test_results_and_letters_stay(broker: SqliteBroker, url: str, clock: ManualClock) -> None:
    assert [it.reason for it in broker.dead_letters()] == ["refused"]
    assert SqliteBackend(url, clock=clock).fetch(["done"]) == {"done": b"7"}


@pytest.mark.usefixtures("earlier")
def test_it_is_of_todays_format_then(broker: SqliteBroker, url: str, path: str) -> None:
    broker.publish([task("new")])
    broker.close()

    with SqliteBroker(url) as again:
        assert waiting(again) == ["urgent", "again", "low", "new"]
    assert version_of(path) == 2


def test_client_that_has_it_open_publishes_nothing_unseen(
    broker: SqliteBroker, earlier: sqlite3.Connection
) -> None:
    broker.connect()

    with pytest.raises(sqlite3.OperationalError, match="no column named enqueued_at"):
        earlier.execute(
            "INSERT INTO message (queue_id, rank, task_id, task_name, exchange, routing_key,"
            " enqueued_at, expires_at, head, body) VALUES (1, 9, 'x', 'x', '', '', 0, 0, '', '')"
        )


@pytest.mark.usefixtures("earlier")
def test_file_of_a_worker_that_may_live_is_left_as_it_is(url: str, path: str) -> None:
    with (
        SqliteBroker(url, clock=ManualClock(LEASE_END_AT - 5)) as broker,
        pytest.raises(BrokerUnreachableError, match=r"'old@host'.*stop it.*wait 5 s"),
    ):
        broker.connect()

    assert version_of(path) == 1


@pytest.mark.usefixtures("earlier")
@pytest.mark.parametrize("last_count", range(1, 17))
def test_failure_on_the_way_leaves_it_as_it_is(
    url: str, path: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, last_count: int
) -> None:
    made: list[str] = []
    real_take = upgrading._take

    class Failing:
        """Lets the statement of that number fail."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def execute(self, statement: str) -> object:
            made.append(statement)
            if len(made) == last_count:
                raise sqlite3.OperationalError("disk I/O error")
            return self._connection.execute(statement)

    monkeypatch.setattr(
        upgrading, "_take", lambda it, schema, step: real_take(Failing(it), schema, step)
    )
    with SqliteBroker(url, clock=clock) as broker, pytest.raises(BrokerUnreachableError):
        broker.connect()
    monkeypatch.undo()
    assert (len(made), version_of(path)) == (last_count, 1)

    with SqliteBroker(url, clock=clock) as broker:
        assert waiting(broker) == ["urgent", "again", "low"]


def test_changed_file_of_an_earlier_format_is_refused(
    broker: SqliteBroker, path: str, earlier: sqlite3.Connection
) -> None:
    earlier.execute("CREATE VIEW evil AS SELECT 1")

    with pytest.raises(ForeignFileError, match="not as tqconsole makes it"):
        broker.connect()

    assert version_of(path) == 1

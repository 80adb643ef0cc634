"""Whose file it is, what is done when it is not ours, damaged, or gone."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from embedded_values import task, waiting

from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.exceptions import (
    BrokerUnreachableError,
    ForeignFileError,
    ImproperlyConfigured,
    OperationalError,
)


def shell(path: str, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def made(url: str) -> None:
    with SqliteBroker(url) as broker:
        broker.publish([task("a")])


def test_file_and_journals_are_private(url: str, path: str) -> None:
    with SqliteBroker(url) as broker:
        broker.publish([task("a")])
        for suffix in ("", "-wal", "-shm", "-wlock"):
            assert stat.S_IMODE(Path(path + suffix).stat().st_mode) == 0o600, suffix


def test_file_that_is_no_database_is_left_alone(url: str, path: str) -> None:
    Path(path).write_text("my precious notes, long enough to be taken for a header of SQLite " * 3)

    with pytest.raises(ForeignFileError, match=r"not a database of tqconsole.*another file"):
        SqliteBroker(url).connect()

    assert Path(path).read_text().startswith("my precious notes")
    assert [entry.name for entry in Path(path).parent.iterdir()] == [Path(path).name]


def test_database_of_somebody_else_is_left_alone(url: str, path: str) -> None:
    shell(path, "CREATE TABLE customer (name TEXT)")

    with pytest.raises(ForeignFileError, match="not a queue of tqconsole"):
        SqliteBroker(url).connect()

    assert [entry.name for entry in Path(path).parent.iterdir()] == [Path(path).name]


def test_empty_file_is_taken(url: str, path: str) -> None:
    Path(path).touch()

    with SqliteBroker(url) as broker:
        broker.connect()
        assert broker.queue_names() == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER evil AFTER INSERT ON message BEGIN DELETE FROM result; END",
        "CREATE VIEW evil AS SELECT 1",
        "CREATE TABLE more (x)",
        "DROP INDEX message_due",
        "DROP TABLE ready",
        "ALTER TABLE message ADD COLUMN evil TEXT DEFAULT 'x'",
    ],
)
def test_changed_schema_is_refused(url: str, path: str, statement: str) -> None:
    made(url)
    shell(path, statement)

    with pytest.raises(ForeignFileError, match="not as tqconsole makes it"):
        SqliteBroker(url).connect()


def test_newer_format_is_refused(url: str, path: str) -> None:
    made(url)
    shell(path, "PRAGMA user_version=99")

    with pytest.raises(ImproperlyConfigured, match="format 99"):
        SqliteBroker(url).connect()


def test_damaged_file_is_moved_aside_and_said(
    url: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with SqliteBroker(url) as broker:
        broker.publish([task(str(number), body=b"x" * 5000) for number in range(50)])
    content = bytearray(Path(path).read_bytes())
    content[4096 * 3 : 4096 * 40] = b"\xa5" * (4096 * 37)
    Path(path).write_bytes(content)

    with SqliteBroker(url) as broker:
        with pytest.raises(OperationalError, match="damaged"):
            waiting(broker)
        broker.close()
        broker.publish([task("new")])
        assert waiting(broker) == ["new"]

    aside = [it for it in Path(path).parent.iterdir() if ".corrupt-" in it.name]
    assert [it.read_bytes() for it in aside if it.name[-1].isdigit()] == [bytes(content)]
    assert "starting with an empty one" in caplog.text


def test_sound_file_under_suspicion_is_kept(url: str, path: str) -> None:
    made(url)
    Path(path + "-suspect").touch()

    with SqliteBroker(url) as broker:
        assert waiting(broker) == ["a"]

    assert not Path(path + "-suspect").exists()


def test_file_of_an_earlier_boot_is_checked_and_kept(url: str, path: str) -> None:
    with SqliteBroker(url) as broker:
        broker.publish([task("a")])
        # A copy as a power failure leaves it: with a journal, and of another start of the kernel.
        for suffix in ("", "-wal"):
            Path(path + suffix).with_name(f"copy.db{suffix}").write_bytes(
                Path(path + suffix).read_bytes()
            )
    copy = str(Path(path).with_name("copy.db"))
    keeper = sqlite3.connect(copy, isolation_level=None)
    keeper.execute("UPDATE meta SET value='earlier' WHERE key='boot_id'")

    with SqliteBroker(f"sqlite://{copy}") as broker:
        assert waiting(broker) == ["a"]

    assert keeper.execute("SELECT value FROM meta WHERE key='boot_id'").fetchone() != ("earlier",)
    keeper.close()


def test_deleted_file_is_made_anew(url: str, path: str) -> None:
    with SqliteBroker(url) as broker:
        broker.publish([task("a")])
        for it in Path(path).parent.glob("queue.db*"):
            if it.is_file():
                it.unlink()

        broker.publish([task("b")])

        assert waiting(broker) == ["b"]


def test_folder_without_permission_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ImproperlyConfigured, match=str(tmp_path / "file")):
        SqliteBroker(f"sqlite://{tmp_path}/file/queue.db").connect()


def test_unusable_file_is_unreachable_to_connect(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = SqliteBroker(url)

    def fail() -> None:
        raise OperationalError("the disk is gone")

    monkeypatch.setattr(broker.store.main, "open", fail)
    with pytest.raises(BrokerUnreachableError, match="the disk is gone"):
        broker.connect()

"""What the console keeps over its restarts, and what happens when the file does not work."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from event_builders import NOW, life, task_event
from fakes import DictBackend, ListBroker, TableControl

from tqconsole.core.history import History
from tqconsole.core.history_file import HistoryFile, files_of, history_path, values_of
from tqconsole.core.session import Session, SessionOptions
from tqconsole.core.store import Store
from tqconsole.core.views import PAST, TaskRow
from tqconsole.engine.protocol.result import ResultRecord, encode_record

DEADLINE_S = 10.0


class Run:
    """One run of the console, pumped by hand."""

    def __init__(self, path: Path, replies=None, records=None, rows_limit: int = 100_000) -> None:
        self.broker = ListBroker()
        self.history = History(path, rows_limit=rows_limit)
        self.session = Session(
            self.broker,
            DictBackend(records or {}),
            TableControl(replies),
            options=SessionOptions(tunes_gc=False, history=self.history, rows_limit=rows_limit),
        )
        self.session.start()
        assert self.broker.subscribed.acquire(timeout=DEADLINE_S)
        self.subscription = self.broker.subscriptions[-1]

    def until(self, condition: Callable[[], object]) -> None:
        pause = threading.Event()
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            self.session.drain()
            pause.wait(0.005)

    def sees(self, task_id: str, state: str) -> None:
        def is_so() -> bool:
            row = self.session.task(task_id)
            return row is not None and row.state == state

        self.until(is_so)

    @property
    def note(self) -> str:
        return self.session.snapshot().file_note


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history" / "test.db"


@pytest.fixture
def run(path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(**facts) -> Run:
        runs.append(Run(path, **facts))
        return runs[-1]

    yield begin
    for each in runs:
        each.session.stop()


def failed(task_id: str, at: float = NOW, text: str = "OSError('no')"):
    return task_event("failed", task_id, at, exception=text, traceback="Traceback\nOSError: no")


def values(task_id: str, state: str = "SUCCESS", result: str = "4"):
    row = TaskRow(task_id, 1)
    row.state, row.result, row.text_bytes, row.updated_at = state, result, len(result), NOW
    return values_of(row)


def ids(file: HistoryFile) -> list[str]:
    return [row.task_id for row in file.load()][::-1]


def test_rows_of_the_last_run_come_back_as_past(run) -> None:
    first = run()
    first.subscription.put(*life("t1", time.time()), failed("t2"))
    first.sees("t1", "SUCCESS")
    first.session.stop()

    second = run()
    view = second.session.tasks("is:past")
    second.until(lambda: len(view) == 2)

    assert [row.task_id for row in view] == ["t2", "t1"]
    row = second.session.task("t1")
    assert (row.name, row.args, row.result, row.runtime_s) == ("proj.add", "(2, 2)", "4", 0.1)
    assert row.source == PAST
    assert [row.task_id for row in second.session.snapshot().failures] == ["t2"]


def test_live_rows_stay_the_newer_ones(run) -> None:
    first = run()
    first.subscription.put(*life("old", time.time()))
    first.sees("old", "SUCCESS")
    first.session.stop()

    second = run()
    second.subscription.put(*life("new", time.time()))
    second.sees("new", "SUCCESS")
    second.sees("old", "SUCCESS")

    assert [row.task_id for row in second.session.tasks()] == ["new", "old"]


def test_live_events_go_on_with_a_row_of_the_past(run) -> None:
    at = time.time()
    first = run()
    first.subscription.put(*life("t1", at)[:2])
    first.sees("t1", "STARTED")
    first.session.stop()

    second = run()
    second.sees("t1", "STARTED")
    second.subscription.put(life("t1", at)[2])
    second.sees("t1", "SUCCESS")

    row = second.session.task("t1")
    assert (row.name, row.source) == ("proj.add", "events")


def test_an_event_before_the_past_is_there_completes_it() -> None:
    past, store = TaskRow("t1", 0), Store()
    past.name, past.args, past.state = "proj.add", "(2, 2)", "STARTED"
    store.apply(task_event("succeeded", "t1", result="4", runtime=0.1), NOW, "w1@h")

    store.add_past([past])

    row = store.get("t1")
    assert (row.state, row.name, row.args) == ("SUCCESS", "proj.add", "(2, 2)")
    assert len(store) == 1


def test_what_ran_and_nobody_has_any_more_is_lost(run) -> None:
    first = run()
    first.subscription.put(*life("t1", time.time())[:2], *life("t2", time.time())[:2])
    first.sees("t2", "STARTED")
    first.session.stop()

    second = run(replies={"active": {"w1@h": [{"id": "t2", "name": "proj.add"}]}})
    second.until(lambda: (row := second.session.task("t1")) is not None and row.is_lost)

    assert not second.session.task("t2").is_lost
    assert second.session.task("t2").source == "inspect"


def test_a_record_tells_how_a_row_of_the_past_ended(run) -> None:
    first = run()
    first.subscription.put(*life("t1", time.time() - 60)[:2])
    first.sees("t1", "STARTED")
    first.session.stop()

    record = encode_record(ResultRecord("t1", "SUCCESS", 42, None))
    second = run(records={"t1": record})
    second.sees("t1", "SUCCESS")

    assert second.session.task("t1").result == "42"
    assert not second.session.task("t1").is_lost


def test_failures_stay_longer_than_successes(path: Path) -> None:
    file = HistoryFile(path, rows_limit=100)
    file.save([values(f"bad{number}", "FAILURE") for number in range(10)])
    for start in range(0, 400, 40):
        file.save([values(f"good{number}") for number in range(start, start + 40)])
    file.trim()

    kept = ids(file)
    file.close()
    assert kept[:10] == [f"bad{number}" for number in range(10)]
    assert len(kept) == 10 + 95
    assert kept[-1] == "good399"


def test_failures_have_their_own_bound(path: Path) -> None:
    file = HistoryFile(path, rows_limit=100)
    file.save([values(f"bad{number}", "FAILURE") for number in range(200)])
    file.trim()

    assert ids(file) == [f"bad{number}" for number in range(176, 200)]
    file.close()


def test_bytes_have_a_bound(path: Path) -> None:
    file = HistoryFile(path, bytes_limit=1_000_000)
    file.save([values(f"t{number}", result="x" * 10_000) for number in range(300)])
    file.trim()

    assert 50 < len(ids(file)) < 80
    file.close()


def test_the_file_is_its_owners_alone(path: Path) -> None:
    file = HistoryFile(path)
    file.save([values("t1")])

    modes = {each.stat().st_mode & 0o777 for each in files_of(path)}
    file.close()
    assert modes == {0o600}


def test_a_damaged_file_is_told_and_the_console_goes_on(run, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 1000)

    console = run()
    console.until(lambda: console.note.startswith(f"history is off: {path}: "))
    console.subscription.put(*life("t1", time.time()))
    console.sees("t1", "SUCCESS")

    assert "tqconsole history clear" in console.note
    assert path.read_bytes().startswith(b"this is no database")


def test_a_locked_file_is_told_and_written_later(run, path: Path) -> None:
    HistoryFile(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    console = run()
    console.subscription.put(*life("t1", time.time()))
    console.until(lambda: "history waits (1 rows)" in console.note and "locked" in console.note)
    other.execute("COMMIT")
    other.close()
    console.until(lambda: not console.note)
    console.session.stop()

    file = HistoryFile(path)
    assert ids(file) == ["t1"]
    file.close()


def test_a_file_of_a_newer_version_is_left_alone(run, path: Path) -> None:
    HistoryFile(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()

    console = run()
    console.until(lambda: "a newer version" in console.note)


def test_a_killed_console_loses_no_row_it_had_written(path: Path) -> None:
    killed = HistoryFile(path)
    killed.save([values("t1")])

    file = HistoryFile(path)
    assert ids(file) == ["t1"]
    file.close()
    killed.close()


def test_each_cluster_has_a_file_of_its_own() -> None:
    paths = {
        history_path("prod", "redis://a/0"),
        history_path("", "redis://a/0"),
        history_path("", "redis://a/1"),
        history_path("../../etc", "redis://a/0"),
    }

    assert len(paths) == 4
    assert {path.parent for path in paths} == {history_path("x", "").parent}


def test_nothing_is_collected_where_nobody_keeps_it() -> None:
    store = Store()
    store.apply(task_event("succeeded"), NOW, "w1@h")

    assert store.take_ended(10) == []


def test_the_past_goes_first_when_room_is_short() -> None:
    store = Store(rows_limit=100)
    for number in range(60):
        store.apply(task_event("succeeded", f"new{number}"), NOW, "w1@h")

    store.add_past([_ended(f"old{number}") for number in range(60)])

    names = [row.task_id for row in store.rows()]
    assert len(names) <= 100
    assert names[-60:] == [f"new{number}" for number in range(60)]


def _ended(task_id: str) -> TaskRow:
    row = TaskRow(task_id, 0)
    row.state = "SUCCESS"
    return row

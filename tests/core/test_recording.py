"""What is recorded comes back the same, at another time and speed, and reaches nobody."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from event_builders import NOW, heartbeat, life, task_event
from fakes import ListBroker, TableControl

from tqconsole.core.actions import ACTIONS, ActionRequest
from tqconsole.core.errors import ConsoleError
from tqconsole.core.facts import KINDS, Told
from tqconsole.core.ingest import Arrived
from tqconsole.core.port import ConsoleSession
from tqconsole.core.reconcile import Ended
from tqconsole.core.recording import Recorder, Recording, RecordingError
from tqconsole.core.replay import NOBODY, ReplaySession
from tqconsole.core.session import Session, SessionOptions
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.protocol.transfer import LiveWorker, QueueDepth

DEADLINE_S = 10.0
#: A value of each kind of fact.
FACTS = {
    "depths": {"celery": QueueDepth(12, 3, by_priority=((0, 12),))},
    "heads": {"mail": "t1"},
    "letters": {"celery": 2},
    "live": ["w1@h"],
    "stats": (0.1, {"w1@h": {"pool": {"implementation": "x:Solo", "max-concurrency": 3}}}),
    "queues": (0.1, {"w1@h": [{"name": "celery"}]}),
    "in_hand": ("STARTED", {"w1@h": [{"id": "t9", "name": "proj.slow"}]}),
    "in_hand_told": True,
    "unacked": 12,
    "whereabouts": (["t9"], {"w1@h": {"t9": ["active", {"id": "t9", "name": "proj.slow"}]}}),
    "registered": {"w1@h": ["proj.add"]},
    "ends": [Ended("t1", "SUCCESS", "4", "", "", NOW, "proj.add", "w1@h")],
}


def record(path: Path, *, seconds: int = 10) -> Path:
    """Record a task a second, its worker and its queue."""
    recorder = Recorder(path, broker_url="redis://h/0", context="prod")
    recorder.start(NOW)
    for second in range(seconds):
        at = NOW + second
        recorder.note_events(Arrived(at, [heartbeat(at=at), *life(f"t{second}", at)]))
    recorder.note_fact(Told("depths", {"celery": QueueDepth(12)}), NOW + seconds - 1)
    recorder.stop()
    return path


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "prod.tqrec")


@pytest.fixture
def replay(path: Path, clock: ManualClock) -> Iterator[ReplaySession]:
    session = ReplaySession(path, clock=clock)
    session.start()
    session.drain()
    yield session
    session.stop()


def seen(session: ReplaySession) -> int:
    return len(session.tasks())


def entries(path: Path) -> list:
    recording, found = Recording(path), []
    while (entry := recording.take(float("inf"))) is not None:
        found.append(entry)
    recording.close()
    return found


def test_time_goes_by_as_it_did(replay: ReplaySession, clock: ManualClock) -> None:
    assert seen(replay) == 1

    clock.advance(4.5)
    replay.drain()

    assert seen(replay) == 5
    snapshot = replay.snapshot()
    assert (snapshot.link, snapshot.now_at) == ("replay", NOW + 4.5)
    assert (snapshot.context, snapshot.broker_url) == ("prod", "redis://h/0")
    assert [worker.status for worker in snapshot.workers] == ["online"]


def test_the_end_is_told_and_time_stops_there(replay: ReplaySession, clock: ManualClock) -> None:
    clock.advance(3600)
    replay.drain()
    replay.drain()

    snapshot = replay.snapshot()
    assert seen(replay) == 10
    assert snapshot.now_at == NOW + 9
    assert snapshot.link_detail == "the recording ends here"
    assert [worker.status for worker in snapshot.workers] == ["online"]
    assert [(queue.name, queue.ready_count) for queue in snapshot.queues] == [("celery", 12)]


@pytest.mark.parametrize("is_paused", [False, True])
def test_what_came_last_is_shown_at_the_end(
    tmp_path: Path, clock: ManualClock, is_paused: bool
) -> None:
    recorder = Recorder(tmp_path / "short.tqrec")
    recorder.start(NOW)
    for number in range(5):
        at = NOW + number / 10
        recorder.note_events(Arrived(at, [heartbeat(f"w{number}@h", at)]))
    recorder.stop()
    session = ReplaySession(tmp_path / "short.tqrec", clock=clock)
    session.start()
    session.drain()
    assert len(session.snapshot().workers) == 1

    session.wind("+1s")
    if is_paused:
        session.pause()
        session.drain()
        assert len(session.snapshot().workers) == 1
        session.resume()
    changes = session.drain()

    assert len(session.snapshot().workers) == 5
    assert changes.workers
    assert changes.queues
    assert changes.stats
    assert not session.drain().stats
    session.stop()


def test_it_goes_faster(replay: ReplaySession, clock: ManualClock) -> None:
    assert replay.set_speed("4x") == 4.0

    clock.advance(1)
    replay.drain()

    assert seen(replay) == 5


@pytest.mark.parametrize("text", ["fast", "0", "-1", "nan", "1e9"])
def test_a_speed_that_is_none_is_refused(replay: ReplaySession, text: str) -> None:
    with pytest.raises(ConsoleError, match="speed"):
        replay.set_speed(text)


def test_a_pause_stops_the_time(replay: ReplaySession, clock: ManualClock) -> None:
    replay.pause()
    clock.advance(5)
    replay.drain()
    assert replay.snapshot().link == "paused"

    replay.resume()
    clock.advance(1)
    replay.drain()

    assert seen(replay) == 2


def test_winding_forward_takes_in_what_lies_between(replay: ReplaySession) -> None:
    assert replay.wind("+7s") is None
    replay.drain()

    assert seen(replay) == 8
    assert replay.snapshot().now_at == NOW + 7


def test_winding_back_begins_anew(replay: ReplaySession, clock: ManualClock) -> None:
    replay.set_speed("2")
    replay.wind("+7s")
    replay.drain()

    earlier = replay.wind("-4s")
    earlier.start()
    earlier.drain()

    assert seen(earlier) == 4
    clock.advance(1)
    earlier.drain()
    assert earlier.snapshot().now_at == NOW + 5
    earlier.stop()


def test_a_time_that_is_none_is_refused(replay: ReplaySession) -> None:
    with pytest.raises(ConsoleError, match="14:00"):
        replay.wind("later")


def test_a_replay_reaches_nobody(replay: ReplaySession) -> None:
    session: ConsoleSession = replay

    for action_id in ACTIONS:
        assert session.perform(ActionRequest(action_id, ("t0",), {})).result().error == NOBODY
    assert session.inspect("w1@h", "stats").result().error == NOBODY
    assert session.peek("celery").result().error == NOBODY
    with pytest.raises(ConsoleError):
        session.dead_letters().result()
    assert session.fetch_task("t0").result().args_json == "[2, 2]"
    assert session.is_read_only


@pytest.mark.parametrize("name", ["a.tqrec", "a.tqrec.gz"])
def test_what_a_console_hears_is_recorded(tmp_path: Path, name: str) -> None:
    broker = ListBroker()
    broker.depths["celery"] = QueueDepth(12, consumer_count=1)
    broker.live = [LiveWorker("w1@h", 1, "h")]
    recorder = Recorder(tmp_path / name)
    options = SessionOptions(tunes_gc=False, recorder=recorder)
    session = Session(broker, None, TableControl(), options=options)
    session.start()
    assert broker.subscribed.acquire(timeout=DEADLINE_S)
    broker.subscriptions[-1].put(*life("t1", time.time()))
    pause, deadline = threading.Event(), time.monotonic() + DEADLINE_S
    while session.task("t1") is None or not session.snapshot().queues:
        assert time.monotonic() < deadline
        session.drain()
        pause.wait(0.005)
    session.stop()

    replayed = ReplaySession(tmp_path / name)
    replayed.play_out()

    assert replayed.task("t1").state == "SUCCESS"
    assert replayed.snapshot().queues[0].ready_count == 12
    assert recorder.note == ""
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", KINDS)
def test_every_fact_comes_back_the_same(tmp_path: Path, kind: str) -> None:
    recorder = Recorder(tmp_path / "one.tqrec")
    recorder.start(NOW)
    recorder.note_fact(Told(kind, FACTS[kind]), NOW)
    recorder.stop()

    assert [entry.fact for entry in entries(tmp_path / "one.tqrec")[1:]] == [
        Told(kind, FACTS[kind])
    ]


def test_what_json_can_hardly_carry_is_recorded(tmp_path: Path) -> None:
    hostile = task_event("received", "t1", name="\ud800\x1b[31m", args=10**400, kwargs="\x00")
    recorder = Recorder(tmp_path / "hostile.tqrec")
    recorder.start(NOW)
    recorder.note_events(Arrived(NOW, [hostile]))
    recorder.note_events(Arrived(NOW, [task_event("started", "t2", other=object())]))
    recorder.stop()

    first, second = entries(tmp_path / "hostile.tqrec")[1:]
    assert first.events[0]["name"] == "\ud800\x1b[31m"
    assert second.events[0]["uuid"] == "t2"


def test_a_file_that_is_there_is_not_overwritten(path: Path) -> None:
    with pytest.raises(RecordingError, match="is there already"):
        Recorder(path)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be written"):
        Recorder(tmp_path / "no" / "folder.tqrec")


def test_a_full_disk_ends_the_recording_only(tmp_path: Path, monkeypatch) -> None:
    recorder = Recorder(tmp_path / "full.tqrec")

    def fail(data: bytes) -> int:
        raise OSError(28, "No space left on device")

    class Full:
        write = staticmethod(fail)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    recorder._file = Full()
    recorder.start(NOW)
    recorder.stop()

    assert "the recording has ended" in recorder.note
    assert "No space left" in recorder.note


def test_a_recording_cut_in_a_line_is_shown_up_to_there(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    session = ReplaySession(path)
    session.play_out()

    assert 3 <= seen(session) <= 6
    assert "damaged behind line" in session.snapshot().link_detail


def test_a_packed_recording_of_a_killed_console_is_shown_up_to_there(tmp_path: Path) -> None:
    path = record(tmp_path / "killed.tqrec.gz", seconds=200)
    path.write_bytes(path.read_bytes()[:-20])

    session = ReplaySession(path)
    session.play_out()

    assert seen(session) > 0
    assert "damaged" in session.snapshot().link_detail


@pytest.mark.parametrize("content", [b"", b"hello\n", b"[1]\n", b'{"a": 1}\n', b"\x00\xff" * 99])
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.txt").write_bytes(content)
    (tmp_path / "no.gz").write_bytes(content)

    for name in ("no.txt", "no.gz", "missing.tqrec"):
        with pytest.raises(RecordingError, match=name):
            Recording(tmp_path / name)


def test_a_newer_recording_is_refused(tmp_path: Path) -> None:
    head = {"tqconsole": "recording", "version": 99, "at": NOW}
    (tmp_path / "newer.tqrec").write_text(json.dumps(head) + "\n")

    with pytest.raises(RecordingError, match="another version"):
        Recording(tmp_path / "newer.tqrec")


def test_the_lines_of_the_events_verb_are_replayed(tmp_path: Path) -> None:
    events = [*life("t1", NOW + 1), *life("t2", NOW)]
    (tmp_path / "events.ndjson").write_text("".join(json.dumps(it) + "\n" for it in events))

    session = ReplaySession(tmp_path / "events.ndjson")
    session.play_out()

    assert {row.state for row in session.tasks()} == {"SUCCESS"}
    assert seen(session) == 2


def test_lines_of_other_kinds_are_passed_over(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"at": 1800000010, "told": "weather", "value": "rain"}\n{"at": "now"}\n')
        file.write('{"at": 1800000010, "told": "depths", "value": 7}\n')

    assert len(entries(path)) == 12


def test_it_is_packed_where_the_name_says_so(tmp_path: Path) -> None:
    path = record(tmp_path / "a.tqrec.gz")

    with gzip.open(path, "rt") as file:
        assert json.loads(file.readline())["tqconsole"] == "recording"

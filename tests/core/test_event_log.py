import pytest
from event_builders import NOW, heartbeat, task_event

from tqconsole.core.errors import FilterError
from tqconsole.core.event_filter import compile_event_filter
from tqconsole.core.event_log import EventLog
from tqconsole.core.ingest import BACKLOG_LIMIT, Arrived, Ingest
from tqconsole.core.views import TaskRow
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.protocol.event import encode_events
from tqconsole.engine.protocol.transfer import Broadcasted


def no_row(_task_id):
    return None


def known_row(task_id):
    row = TaskRow(task_id, 1)
    row.name, row.state, row.queue = "known", "FAILURE", "mail"
    return row


def test_newest_lines_come_first():
    log = EventLog()
    log.add([task_event("started", "a"), heartbeat()], NOW, 300)

    kinds = [line.kind for line in log.lines(compile_event_filter(""), 10, no_row)]

    assert kinds == ["worker-heartbeat", "task-started"]


def test_without_a_filter_a_line_is_made_when_it_is_asked_for():
    log = EventLog()
    log.add([task_event("started", f"id-{number}") for number in range(50)], NOW, 300)
    asked = []

    def row_of(task_id):
        asked.append(task_id)

    lines = log.lines(compile_event_filter(""), 20, row_of)

    assert len(lines) == 20
    assert asked == []
    assert lines[3] is lines[3]
    assert [lines[3].task_id, *(line.task_id for line in lines[18:])] == ["id-46", "id-31", "id-30"]
    assert asked == ["id-46", "id-31", "id-30"]


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("type:task-*", 2),
        ("worker:w2", 1),
        ("-type:worker-*", 2),
        ("id:a", 1),
        ("name:known", 2),
        ("state:FAILURE", 2),
        ("queue:mail type:task-failed", 1),
        ("is:running", 0),
        ("oops OR type:worker-heartbeat", 2),
        ("type=task-failed worker~^w1", 1),
    ],
)
def test_lines_are_filtered(expression, count):
    log = EventLog()
    log.add(
        [
            task_event("started", "a", worker="w2@h"),
            task_event("failed", "b", exception="E('oops')"),
            heartbeat(),
        ],
        NOW,
        300,
    )

    assert len(log.lines(compile_event_filter(expression), 10, known_row)) == count


class Watched(dict):
    """An event that tells what it was asked for."""

    def __init__(self, event, asked):
        super().__init__(event)
        self.asked = asked

    def get(self, key, default=None):
        self.asked.append(key)
        return super().get(key, default)


@pytest.mark.parametrize(
    ("expression", "asked_for"),
    [("type:task-failed", {"type"}), ("worker:w9", {"hostname"}), ("queue:none", {"uuid"})],
)
def test_nothing_is_made_of_an_event_that_its_filter_does_not_ask_for(expression, asked_for):
    log, asked = EventLog(), []
    log.add([Watched(task_event("started", "a"), asked)], NOW, 300)

    assert log.lines(compile_event_filter(expression), 10, known_row) == ()
    assert set(asked) == asked_for


def test_an_unknown_field_is_refused():
    with pytest.raises(FilterError, match="did you mean type"):
        compile_event_filter("tipe:x")


def test_old_lines_go_and_are_counted():
    log = EventLog(line_limit=10)
    for _ in range(5):
        log.add([heartbeat()] * 4, NOW, 300)

    assert (len(log), log.dropped_count) == (10, 10)


def test_big_lines_go_by_their_bytes():
    log = EventLog(bytes_limit=1000)
    for _ in range(5):
        log.add([heartbeat()], NOW, 400)

    assert len(log) == 2


def test_a_hostile_event_is_shown_clean():
    log = EventLog()
    log.add([{"type": "task-\x1b]0;x\x07", "uuid": ["\x1b"], "x": "\u202e", "n": 10**9999}], NOW, 9)

    line = log.lines(compile_event_filter(""), 1, no_row)[0]

    assert not any(ord(character) < 32 for character in repr(line) + line.raw + line.kind)
    assert "\u202e" not in line.raw


class Feed:
    """A subscription on which each look takes its time and brings the next of `looks`."""

    def __init__(self, clock, *looks):
        self.clock, self.looks = clock, list(looks)
        self.missed_count = 0
        self.waits = []

    def receive(self, timeout_s):
        self.waits.append(timeout_s)
        took_s, events = self.looks.pop(0) if self.looks else (0.0, [])
        self.clock.advance(took_s)
        return [Broadcasted("task.multi", encode_events([event])) for event in events]


def batches_of(feed, clock):
    ingest = Ingest(None, clock)
    while feed.looks:
        ingest.look(feed)
    found = []
    while (batch := ingest.take()) is not None:
        found.append([event["uuid"] for event in batch.events])
    return found


def test_what_follows_at_once_is_taken_together():
    clock = ManualClock(NOW)
    a, b, c = (task_event("started", name) for name in "abc")

    feed = Feed(clock, (0.01, [a]), (0.0, [b]), (0.0, [c]), (0.0, []))

    assert batches_of(feed, clock) == [["a", "b", "c"]]


def test_what_comes_alone_does_not_wait_for_more():
    clock = ManualClock(NOW)
    a, b = (task_event("started", name) for name in "ab")

    feed = Feed(clock, (0.1, [a]), (0.1, [b]), (0.25, []))

    assert batches_of(feed, clock) == [["a"], ["b"]]
    assert 0.0 not in feed.waits


def test_a_backlog_that_nobody_takes_is_bounded():
    ingest = Ingest(None, ManualClock(NOW))
    batch = [heartbeat()] * 1000

    for _ in range(BACKLOG_LIMIT // 1000 + 5):
        ingest.put(Arrived(NOW, batch))

    assert ingest.dropped_count == 5000

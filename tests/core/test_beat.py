"""The watch on a schedule: runs that were seen, that are due, that did not come."""

from __future__ import annotations

from typing import Any

from event_builders import NOW, task_event

from tqconsole.core.attention import find_attention
from tqconsole.core.beat import LATE_S
from tqconsole.core.beat_views import BeatView
from tqconsole.core.cluster import Cluster
from tqconsole.core.schedules import Scheduled
from tqconsole.core.views import Attention, TaskRow
from tqconsole.engine.clock import ManualClock

MINUTE_S = 60.0


def every(interval_s: float, name: str = "entry", **more: Any) -> Scheduled:
    return Scheduled(
        name, "proj.add", "every", lambda at: at + interval_s, interval_s=interval_s, **more
    )


def by_the_clock(name: str = "entry", **more: Any) -> Scheduled:
    """Due at each full minute."""

    def next_after(at: float) -> float:
        return (at // MINUTE_S + 1) * MINUTE_S

    return Scheduled(name, "proj.add", "* * * * *", next_after, is_anchored=True, **more)


class Bench:
    def __init__(self, *scheduled: Scheduled) -> None:
        self.clock = ManualClock(NOW)
        self.cluster = Cluster(self.clock)
        self.cluster.beat.note_link(NOW, is_live=True)
        self.cluster.beat.take_entries(scheduled, (), NOW)

    def sees(self, kind: str, task_id: str, **fields: Any) -> None:
        now_at = self.clock.now()
        fields = {"name": "proj.add", "args": "()", "kwargs": "{}", **fields}
        self.cluster.apply([task_event(kind, task_id, now_at, **fields)], now_at)

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            self.cluster.tick()

    def findings(self) -> list[Attention]:
        found = find_attention(self.cluster, (), self.clock.now())
        return [finding for finding in found if finding.kind == "beat"]

    def entry(self, name: str = "entry") -> BeatView:
        views = self.cluster.beat.picture(self.cluster.store.get).entries
        return next(view for view in views if view.name == name)


def test_an_interval_is_due_after_the_first_run_that_is_seen() -> None:
    bench = Bench(every(30.0))
    assert (bench.entry().next_at, bench.entry().last_at) == (None, None)

    bench.sees("received", "t1")

    assert bench.entry().last_at == NOW
    assert bench.entry().next_at == NOW + 30.0


def test_one_run_that_is_sent_and_received_counts_once() -> None:
    bench = Bench(every(30.0))

    bench.sees("sent", "t1", queue="celery")
    bench.sees("received", "t1")
    bench.sees("succeeded", "t1", result="4", runtime=0.5)

    (run,) = bench.entry().runs
    assert (bench.entry().run_count, run.state, run.runtime_s) == (1, "SUCCESS", 0.5)


def test_runs_that_do_not_come_are_missed_and_attended_to() -> None:
    bench = Bench(every(30.0))
    bench.sees("received", "t1")

    bench.wait(30 + LATE_S - 1)
    assert bench.entry().missed_count == 0
    bench.wait(31)

    assert bench.entry().missed_count == 2
    assert bench.entry().missed_at == NOW + 60.0
    (finding,) = bench.findings()
    assert (finding.subject, finding.screen) == ("entry", "beat")
    assert finding.text == "2 runs missed, the last was due 30s ago"


def test_a_run_after_missed_ones_ends_the_attention() -> None:
    bench = Bench(every(30.0))
    bench.sees("received", "t1")
    bench.wait(70)

    bench.sees("received", "t2")

    assert bench.entry().missed_count == 1
    assert bench.findings() == []


def test_what_is_due_by_the_clock_needs_no_run_before() -> None:
    bench = Bench(by_the_clock())
    due_at = bench.entry().next_at
    assert due_at is not None
    assert 0 < due_at - NOW <= MINUTE_S

    bench.wait(due_at - NOW + LATE_S)

    assert (bench.entry().missed_count, bench.entry().missed_at) == (1, due_at)
    assert bench.entry().next_at == due_at + MINUTE_S


def test_a_run_in_time_is_not_missed_also_when_clocks_differ() -> None:
    bench = Bench(by_the_clock())
    due_at = bench.entry().next_at
    assert due_at is not None

    bench.wait(due_at - NOW - 1)
    bench.sees("received", "t1")
    bench.wait(LATE_S + 2)

    assert (bench.entry().missed_count, bench.entry().next_at) == (0, due_at + MINUTE_S)


def test_a_call_by_hand_does_not_stand_for_what_is_due_by_the_clock() -> None:
    bench = Bench(by_the_clock())
    due_at = bench.entry().next_at

    bench.sees("received", "t1")

    assert (bench.entry().next_at, bench.entry().run_count) == (due_at, 1)


def test_nothing_is_missed_while_nobody_listens() -> None:
    bench = Bench(every(30.0, "interval"), by_the_clock("clock"))
    bench.sees("received", "t1")
    bench.cluster.beat.note_link(NOW, is_live=False)

    bench.wait(300)

    assert [bench.entry(name).missed_count for name in ("interval", "clock")] == [0, 0]
    assert bench.entry("interval").next_at is None


def test_what_was_due_before_the_link_came_back_is_not_missed() -> None:
    bench = Bench(by_the_clock())
    bench.cluster.beat.note_link(NOW, is_live=False)
    bench.wait(70)

    bench.cluster.beat.note_link(bench.clock.now(), is_live=True)
    bench.wait(10)

    assert bench.entry().missed_count == 0


def test_a_disabled_entry_misses_nothing() -> None:
    bench = Bench(by_the_clock(is_enabled=False))

    bench.wait(300)

    assert bench.entry().missed_count == 0


def test_entries_of_one_task_are_told_apart_by_their_arguments() -> None:
    bench = Bench(every(30.0, "one", args=(1, "a")), every(30.0, "two", args=(2, "a")))

    bench.sees("received", "t1", args="[2, 'a']")
    bench.sees("received", "t2", args="(3, 'a')")

    assert [bench.entry(name).run_count for name in ("one", "two")] == [0, 1]


def test_what_a_task_calls_itself_is_no_run_of_an_entry() -> None:
    bench = Bench(every(30.0))

    bench.sees("received", "t1", parent_id="t0")

    assert bench.entry().run_count == 0


def test_rows_that_are_there_already_are_looked_through() -> None:
    bench = Bench()
    bench.sees("received", "t1")

    bench.cluster.beat.take_entries([every(30.0)], bench.cluster.store, bench.clock.now())

    assert bench.entry().next_at == NOW + 30.0


def past_row(task_id: str, sent_at: float) -> TaskRow:
    row = TaskRow(task_id, 0)
    row.name, row.state = "proj.add", "SUCCESS"
    row.sent_at = row.updated_at = sent_at
    return row


def test_runs_of_earlier_times_come_before_those_that_were_heard() -> None:
    bench = Bench(every(30.0))
    bench.sees("received", "now")

    bench.cluster.add_past([past_row("old", NOW - 60.0), past_row("older", NOW - 90.0)])

    assert [run.task_id for run in bench.entry().runs] == ["older", "old", "now"]
    assert bench.entry().next_at == NOW + 30.0


def test_runs_of_earlier_times_alone_let_nothing_be_missed() -> None:
    bench = Bench(every(30.0))
    bench.cluster.add_past([past_row("old", NOW - 3600.0)])

    bench.wait(60)

    assert bench.entry().last_at == NOW - 3600.0
    assert (bench.entry().missed_count, bench.entry().next_at) == (0, None)


def test_reading_anew_keeps_what_was_seen_of_entries_that_stay() -> None:
    bench = Bench(every(30.0))
    bench.sees("received", "t1")

    bench.cluster.beat.take_entries([every(30.0), every(9.0, "new")], (), bench.clock.now())

    assert [bench.entry(name).run_count for name in ("entry", "new")] == [1, 0]


def test_a_scheduler_says_when_it_ran_last() -> None:
    bench = Bench(every(30.0, last_run_at=NOW - 10.0, total_run_count=41))

    assert bench.entry().last_at == NOW - 10.0
    assert bench.entry().next_at == NOW + 20.0
    assert bench.entry().run_count == 41


def test_why_there_is_nothing_is_told() -> None:
    cluster = Cluster(ManualClock(NOW))
    states = [cluster.beat.picture(cluster.store.get).state]

    cluster.beat.await_entries()
    states.append(cluster.beat.picture(cluster.store.get).state)
    cluster.beat.take_entries([], (), NOW)
    states.append(cluster.beat.picture(cluster.store.get).state)
    cluster.beat.fail("ImportError: no proj")
    picture = cluster.beat.picture(cluster.store.get)

    assert states == ["no app", "reading", "empty"]
    assert (picture.state, picture.detail) == ("failed", "ImportError: no proj")

import pytest
from event_builders import NOW, heartbeat, life, task_event
from fakes import DictBackend

from tqconsole.core.attention import find_attention
from tqconsole.core.cluster import Cluster
from tqconsole.core.picture import Picture, Surroundings
from tqconsole.core.reconcile import read_ends
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.protocol.result import ResultRecord, encode_record
from tqconsole.engine.protocol.transfer import QueueDepth


class Fixture:
    """A model with a clock of its own."""

    def __init__(self):
        self.clock = ManualClock(NOW)
        self.cluster = Cluster(self.clock)

    def say(self, *events):
        self.cluster.apply(list(events), self.clock.now())

    def wait(self, seconds, *alive):
        """Let seconds go by; workers in `alive` beat every second."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            self.say(*(heartbeat(name, self.clock.now()) for name in alive))
            self.cluster.tick()

    def snapshot(self):
        picture = Picture(self.cluster, Surroundings("prod", "url", "why"))
        picture.renew(self.clock.now())
        return picture.frame(self.clock.now(), "live", "")

    def attention(self):
        found = find_attention(self.cluster, self.snapshot().queues, self.clock.now())
        return {finding.kind: finding for finding in found}

    def status(self, name):
        return self.cluster.nodes.get(name).status(self.clock.now())


@pytest.fixture
def model():
    return Fixture()


def test_a_worker_is_silent_after_two_intervals(model):
    model.say(heartbeat("w1@h"))
    assert model.status("w1@h") == "online"

    model.wait(6)

    assert model.status("w1@h") == "silent"


def test_a_worker_that_says_goodbye_is_gone(model):
    model.say(heartbeat("w1@h"), heartbeat("w1@h", kind="offline"))

    assert model.status("w1@h") == "gone"


def test_a_worker_the_broker_calls_dead_is_lost_at_once(model):
    model.say(heartbeat("w1@h"), heartbeat("w2@h"))
    model.cluster.nodes.note_live({"w1@h", "w2@h"}, NOW)

    model.cluster.nodes.note_live({"w2@h"}, NOW)

    assert (model.status("w1@h"), model.status("w2@h")) == ("lost", "online")


def test_tasks_of_a_dead_worker_are_lost_and_move_on(model):
    model.say(heartbeat("w1@h"), heartbeat("w2@h"), task_event("started", "t1", worker="w1@h"))
    model.cluster.nodes.note_live({"w1@h", "w2@h"}, NOW)
    model.cluster.nodes.note_live({"w2@h"}, NOW)

    model.wait(4, "w2@h")
    row = model.cluster.store.get("t1")
    assert (row.state, row.is_lost) == ("STARTED", True)
    assert "LOST?" in model.attention()["worker"].text

    model.say(task_event("received", "t1", model.clock.now(), "w2@h", name="n"))
    assert (row.state, row.worker, row.is_lost) == ("RECEIVED", "w2@h", False)
    assert row.lost_by == "w1@h"


def test_a_retry_elsewhere_is_nothing_that_was_handed_on(model):
    model.say(
        task_event("started", "t1", NOW, "w1@h"),
        task_event("retried", "t1", NOW + 1, "w1@h", exception="E()"),
        task_event("received", "t1", NOW + 2, "w2@h", name="n"),
        task_event("started", "t1", NOW + 3, "w2@h"),
    )

    assert model.cluster.store.get("t1").lost_by == ""


def test_a_worker_that_comes_back_gets_its_tasks_back(model):
    model.say(heartbeat("w1@h"), task_event("started", "t1", worker="w1@h"))
    model.wait(70)
    assert model.cluster.store.get("t1").is_lost

    model.wait(2, "w1@h")

    assert not model.cluster.store.get("t1").is_lost


def test_a_clock_that_is_an_hour_off_changes_no_times(model):
    model.say(heartbeat("w1@h", NOW - 3600))

    model.say(*life("t1", NOW - 3600, "w1@h"))

    row = model.cluster.store.get("t1")
    assert abs(row.received_at - NOW) < 1
    assert row.state == "SUCCESS"


def test_two_skewed_workers_do_not_confuse_a_task(model):
    model.say(heartbeat("w1@h", NOW + 3600), heartbeat("w2@h", NOW - 3600))
    model.say(task_event("started", "t1", NOW + 3600, "w1@h"))
    model.clock.advance(20)

    model.say(task_event("received", "t1", NOW + 20 - 3600, "w2@h", name="n"))

    assert model.cluster.store.get("t1").worker == "w2@h"


@pytest.mark.parametrize(
    "stamp", [NOW + 3e8, NOW - 3e8, float("nan"), "x", None, -1, 1e300, 10**400]
)
def test_forged_time_stamps_stay_near_now(model, stamp):
    model.say(task_event("received", "t1", stamp, "w1@h", name="n"))

    assert abs(model.cluster.store.get("t1").received_at - NOW) < 1


def beats(model, *processed):
    for count in processed:
        model.say(heartbeat("w1@h", processed=count))


def test_missed_events_are_counted_from_what_workers_processed(model):
    model.say(heartbeat("w1@h", processed=100), *life("t1"))
    beats(model, 101, 101, 101, 101, 101)

    beats(model, 104, 104, 104, 104, 104)

    assert model.cluster.nodes.missed_count() == 3


def test_nothing_is_missed_when_all_is_seen(model):
    model.say(heartbeat("w1@h", processed=0), *life("t0"), heartbeat("w1@h", processed=1))
    for number in range(1, 12):
        model.say(*life(f"t{number}"), heartbeat("w1@h", processed=number + 1))

    assert model.cluster.nodes.missed_count() == 0


def test_what_is_in_hand_is_not_missed(model):
    model.say(*life("t0"))
    for number in range(1, 12):
        swing = number % 3
        model.say(*life(f"t{number}"), heartbeat("w1@h", processed=number + 1 - swing))

    assert model.cluster.nodes.missed_count() == 0


def test_an_end_that_was_not_heard_is_read_from_its_record(model):
    records = {
        "t1": encode_record(ResultRecord("t1", "SUCCESS", 4, date_done_at=NOW + 1)),
        "t2": encode_record(ResultRecord("t2", "FAILURE", ValueError("no"), "trace")),
        "t3": encode_record(ResultRecord("t3", "STARTED")),
        "t4": b"junk",
    }
    for task_id in records:
        model.say(task_event("started", task_id))
    assert model.cluster.doubted_ids() == ()
    model.wait(6, "w1@h")

    doubted = model.cluster.doubted_ids()
    model.cluster.note_ends(read_ends(DictBackend(records), doubted), model.clock.now())

    rows = {task_id: model.cluster.store.get(task_id) for task_id in records}
    assert doubted == tuple(records)
    assert [row.state for row in rows.values()] == ["SUCCESS", "FAILURE", "STARTED", "STARTED"]
    assert (rows["t1"].result, rows["t1"].source, rows["t1"].runtime_s) == ("4", "results", 1.0)
    assert rows["t2"].exception == "ValueError: no"
    assert model.cluster.doubted_ids() == ("t3", "t4")


def test_doubts_take_turns_over_a_long_backlog(model):
    for number in range(1000):
        model.say(task_event("sent", f"t{number}", worker="web", name="n"))
    model.wait(6)

    asked = {task_id for _ in range(8) for task_id in model.cluster.doubted_ids()}

    assert len(asked) == 1000


def test_ends_are_counted_once(model):
    for _ in range(3):
        model.say(*life("t1"))

    assert model.cluster.stats.types["proj.add"].count == 1


def test_rates_are_means_over_seconds(model):
    for number in range(20):
        model.say(*life(f"t{number}", model.clock.now()))
        model.wait(1, "w1@h")

    totals = model.snapshot().totals
    assert totals.done_per_s == pytest.approx(1.0)
    assert totals.workers_online == 1
    assert model.snapshot().charts.done_per_s[-5:] == (1.0,) * 5


def test_a_second_with_events_in_it_is_told_too(model):
    model.say(*life("t1", model.clock.now()))
    model.clock.advance(1)
    model.say(*life("t2", model.clock.now()))

    assert model.cluster.tick()
    assert not model.cluster.tick()


def test_slots_are_not_known_while_one_worker_has_not_told_its_own(model):
    model.say(heartbeat("w1@h", model.clock.now()), heartbeat("w2@h", model.clock.now()))
    stats = {"pool": {"implementation": "x:TaskPool", "max-concurrency": 3}}
    model.cluster.nodes.note_stats(model.cluster.nodes.get("w1@h"), stats)
    model.wait(1, "w1@h", "w2@h")
    assert model.snapshot().totals.slot_count is None

    model.cluster.nodes.note_stats(model.cluster.nodes.get("w2@h"), stats)
    model.wait(1, "w1@h", "w2@h")
    assert model.snapshot().totals.slot_count == 6


def test_a_failing_type_wants_attention(model):
    for number in range(10):
        model.say(
            task_event("received", f"t{number}", name="img.resize"),
            task_event("failed", f"t{number}", exception="OSError('x')"),
        )

    finding = model.attention()["type"]
    assert finding.subject == "img.resize"
    assert "OSError" in finding.text
    assert finding.target == "state:FAILURE name=img.resize"


def test_a_failure_that_came_right_is_none_any_more(model):
    model.say(
        task_event("received", "t1", name="mail.send"),
        task_event("retried", "t1", exception="ConnectionError('x')"),
    )
    assert [row.task_id for row in model.snapshot().failures] == ["t1"]

    model.say(task_event("succeeded", "t1", NOW + 1, result="1", runtime=0.1))

    assert model.snapshot().failures == ()


def test_a_growing_queue_wants_attention_and_never_drains(model):
    for second in range(10):
        depth = QueueDepth(1000 + 50 * second, consumer_count=2)
        model.cluster.queues.queue("mail").note_depth(depth, model.clock.now())
        model.wait(1)

    assert "+50/s" in model.attention()["queue"].text
    assert model.snapshot().queues[0].drains_in_s == float("inf")


def test_a_shrinking_queue_says_when_it_is_empty(model):
    for second in range(10):
        model.cluster.queues.queue("q").note_depth(QueueDepth(100 - second), model.clock.now())
        model.wait(1)

    assert model.snapshot().queues[0].drains_in_s == pytest.approx(91, abs=2)


def test_a_queue_without_consumer_wants_attention(model):
    model.cluster.queues.queue("old").note_depth(QueueDepth(4, consumer_count=0), NOW)

    assert model.attention()["queue"].text == "4 waiting, no consumer"


def test_unknown_depths_stay_unknown(model):
    model.cluster.queues.queue("q").note_depth(QueueDepth(None), NOW)

    view = model.snapshot().queues[0]
    assert (view.ready_count, view.drains_in_s, view.in_per_s) == (None, None, None)
    assert model.snapshot().totals.queued_count is None


def test_dead_letters_want_attention(model):
    model.cluster.queues.queue("q").note_depth(QueueDepth(0, dead_count=3), NOW)

    assert model.attention()["dead"].text == "3 dead letters"


def test_a_long_run_wants_attention(model):
    for number in range(30):
        model.say(*life(f"t{number}", name="report.build"))
    model.say(task_event("received", "long", name="report.build"), task_event("started", "long"))

    model.wait(120, "w1@h")

    assert model.attention()["task"].target == "long"


def test_events_that_are_off_are_noticed(model):
    model.wait(20, "w1@h")

    assert model.cluster.has_task_events(model.clock.now()) is False
    assert model.attention()["events"].key_id == "dashboard.events"


def test_a_worker_that_tells_nothing_beside_one_that_does_is_noticed(model):
    model.say(*life("t1", worker="w1@h"))
    for processed in (5, 6, 8):
        model.clock.advance(1.0)
        model.say(heartbeat("w1@h", model.clock.now(), processed=1))
        model.say(heartbeat("w2@h", model.clock.now(), processed=processed))
    model.cluster.tick()

    finding = model.attention()["events"]
    assert (finding.subject, finding.target) == ("w2@h", "w2@h")
    assert "ran 3 tasks and told of none" in finding.text


def test_a_worker_that_is_idle_or_tells_is_not_accused(model):
    model.say(*life("t1", worker="w1@h"))
    for processed in (5, 6, 8):
        model.clock.advance(1.0)
        model.say(heartbeat("w1@h", model.clock.now(), processed=processed))
        model.say(heartbeat("w2@h", model.clock.now(), processed=7))
    model.cluster.tick()

    assert "events" not in model.attention()


def test_a_broker_without_events_is_told_of_instead_of_its_workers(model):
    model.cluster.deaf_because = "sqs:// cannot send one message to many"
    model.wait(20, "w1@h")

    assert model.attention()["events"].subject == "broker"


def test_inspect_fills_in_what_ran_before(model):
    request = {
        "id": "t1",
        "name": "proj.add",
        "args": [2, 2],
        "kwargs": {},
        "time_start": NOW - 60,
        "delivery_info": {"routing_key": "celery"},
    }

    model.cluster.note_backfill("w1@h", [request, "junk", {"id": 7}], "STARTED", NOW)

    row = model.cluster.store.get("t1")
    assert (row.state, row.source, row.args, row.queue) == (
        "STARTED",
        "inspect",
        "[2, 2]",
        "celery",
    )
    assert row.started_at == NOW - 60


def test_an_event_on_its_way_wins_over_inspect(model):
    model.cluster.note_backfill("w1@h", [{"id": "t1", "time_start": NOW - 1}], "STARTED", NOW)

    model.say(task_event("failed", "t1", NOW - 0.5, exception="E()"))

    assert model.cluster.store.get("t1").state == "FAILURE"


def test_inspect_does_not_take_back_an_end(model):
    model.say(*life("t1"))

    model.cluster.note_backfill("w1@h", [{"id": "t1", "time_start": NOW}], "STARTED", NOW)

    assert model.cluster.store.get("t1").state == "SUCCESS"


def test_a_flood_of_forged_names_stays_bounded(model):
    for number in range(6_000):
        model.say(
            heartbeat(f"fake{number}@h"),
            task_event("sent", f"t{number}", name=f"n{number}", queue=f"q{number}"),
            task_event("received", f"t{number}", worker=f"fake{number}@h", name=f"n{number}"),
            task_event("succeeded", f"t{number}", worker=f"fake{number}@h", runtime=-5),
        )

    assert len(list(model.cluster.nodes)) <= 5000
    assert len(model.cluster.queues.names()) <= 2000
    assert len(model.cluster.stats.types) <= 2000


def test_a_call_sent_from_here_is_a_row_at_once(model):
    model.cluster.note_call("t1", {"name": "proj.add", "args": "(1,)", "queue": "q"}, NOW)

    row = model.cluster.store.get("t1")
    assert (row.state, row.name, row.queue, row.sent_at) == ("PENDING", "proj.add", "q", NOW)
    assert model.cluster.queue_of("proj.add") == "q"


def test_a_queue_known_by_looking_only_has_no_rate(model):
    model.cluster.queues.queue("q").note_depth(QueueDepth(5), NOW)
    # As a peek into the queue of a Celery cluster tells, whose events name no queue.
    model.cluster.note_call("t1", {"name": "n", "queue": "q"}, NOW)

    model.say(task_event("received", "t1", name="n"))

    (view,) = model.snapshot().queues
    assert (view.in_per_s, view.out_per_s) == (None, None)

import json
import threading
import time

import pytest
from event_builders import life, task_event
from fakes import DictBackend, ListBroker, TableControl

from tqconsole.core.actions import ACTIONS, ActionRequest, actions_for
from tqconsole.core.errors import FilterError
from tqconsole.core.port import ConsoleSession
from tqconsole.core.schedules import Scheduled
from tqconsole.core.session import Session, SessionOptions
from tqconsole.engine.exceptions import NotSupportedError, OperationalError
from tqconsole.engine.protocol.result import ResultRecord, encode_record
from tqconsole.engine.protocol.task import TaskCall, decode_body, encode_task, read_header
from tqconsole.engine.protocol.transfer import DeadLetter, LiveWorker, QueueDepth

DEADLINE_S = 10.0
JSON = frozenset({"application/json"})


class Bench:
    """A session on fakes, pumped by hand as the frame clock would."""

    def __init__(
        self, *, replies=None, records=None, is_read_only=False, reached_by=(), schedule=None
    ):
        self.broker = ListBroker()
        self.control = TableControl(replies)
        self.session = Session(
            self.broker,
            DictBackend(records or {}),
            self.control,
            context="test",
            is_read_only=is_read_only,
            options=SessionOptions(tunes_gc=False, reached_by=reached_by, schedule=schedule),
        )

    def start(self):
        self.session.start()
        assert self.broker.subscribed.acquire(timeout=DEADLINE_S)
        return self.broker.subscriptions[-1]

    def until(self, condition):
        pause = threading.Event()
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            self.session.drain()
            pause.wait(0.005)

    def perform(self, action_id, *targets, **arguments):
        done = self.session.perform(ActionRequest(action_id, targets, arguments))
        return done.result(DEADLINE_S)

    def call(self):
        message = self.broker.published[-1].message
        return read_header(message), decode_body(message, JSON)


@pytest.fixture
def make():
    benches = []

    def build(**facts):
        benches.append(Bench(**facts))
        return benches[-1]

    yield build
    for bench in benches:
        bench.session.stop()


def test_events_become_rows(make):
    bench = make()
    subscription = bench.start()
    view = bench.session.tasks("name:add")

    subscription.put(*life("t1", time.time()), *life("t2", time.time(), name="proj.mul"))
    bench.until(lambda: len(view) == 1)

    assert view.row(0).state == "SUCCESS"
    assert bench.session.task("t2").name == "proj.mul"
    assert bench.session.snapshot().link == "live"
    assert [line.kind for line in bench.session.events("name:mul", 1)] == ["task-succeeded"]


def test_a_lost_link_is_told_and_made_again(make):
    bench = make()
    bench.start().fail(OperationalError("broker is away"))

    bench.until(lambda: bench.session.snapshot().link == "reconnecting")
    assert bench.broker.subscribed.acquire(timeout=DEADLINE_S)
    bench.until(lambda: bench.session.snapshot().link == "live")

    assert bench.broker.subscriptions[0].is_closed


def test_a_broker_that_has_no_events_is_said_to_be_deaf_and_not_asked_again(make):
    bench = make()
    bench.start().fail(NotSupportedError("list:// cannot send one message to many"))

    bench.until(lambda: bench.session.snapshot().link == "deaf")

    bench.until(lambda: [found.subject for found in bench.session.snapshot().attention])
    snapshot = bench.session.snapshot()
    assert snapshot.link_detail == "list:// cannot send one message to many"
    assert snapshot.attention[0].subject == "broker"
    assert len(bench.broker.subscriptions) == 1


def test_what_the_broker_dropped_is_counted(make):
    bench = make()
    subscription = bench.start()

    subscription.missed = 5

    bench.until(lambda: bench.session.snapshot().missed_count == 5)


def test_depths_and_workers_are_asked(make):
    bench = make(
        replies={
            "stats": {"w1@h": {"pool": {"implementation": "x:Solo", "max-concurrency": 3}}},
            "active_queues": {"w1@h": [{"name": "celery"}, "junk", {"name": 7}]},
            "registered": {"w1@h": ["proj.add [rate_limit=10/m]"], "w2@h": {"error": "no"}},
            "active": {"w1@h": [{"id": "t9", "name": "proj.slow", "time_start": time.time()}]},
        }
    )
    bench.broker.depths["celery"] = QueueDepth(12, consumer_count=1)
    bench.broker.live = [LiveWorker("w1@h", 1, "h")]
    bench.start()

    bench.until(lambda: bench.session.snapshot().task_names == ("proj.add",))
    bench.until(lambda: bench.session.snapshot().totals.slot_count == 3)

    snapshot = bench.session.snapshot()
    assert snapshot.workers[0].queues == ("celery",)
    assert snapshot.queues[0].ready_count == 12
    assert bench.session.task("t9").source == "inspect"


def test_pausing_freezes_what_is_shown(make):
    bench = make()
    subscription = bench.start()
    view = bench.session.tasks()
    bench.until(lambda: bench.session.snapshot().link == "live")

    bench.session.pause()
    subscription.put(*life("t1", time.time()))
    bench.until(lambda: bench.session.task("t1") is not None)
    assert len(view) == 0
    assert bench.session.snapshot().link == "paused"

    bench.session.resume()
    bench.until(lambda: len(view) == 1)


def test_the_snapshot_is_made_once_a_frame(make):
    bench = make()
    bench.session.drain()

    assert bench.session.snapshot() is bench.session.snapshot()


def test_a_call_is_published_and_shown(make):
    bench = make()

    done = bench.perform("task.call", task_name="proj.add", args="[2, 3]", priority="4")

    header, body = bench.call()
    assert (header.task_name, header.priority, body.args) == ("proj.add", 4, [2, 3])
    assert bench.broker.published[0].routing_key == "celery"
    assert done.task_id == header.task_id
    assert done.equivalent == "tqconsole call proj.add -a '[2, 3]' -k '{}' --priority 4"
    bench.session.drain()
    assert bench.session.task(done.task_id).args == "(2, 3)"


class Schedule:
    def __init__(self, *entries):
        self.found = entries

    def entries(self):
        if not self.found:
            raise ImportError("no module named proj")
        return self.found


def test_a_schedule_is_read_and_one_of_it_run_now(make):
    entry = Scheduled("nightly", "proj.add", "daily", lambda at: at + 9.0, args=(2, 3))
    bench = make(schedule=Schedule(entry))
    bench.start()
    bench.until(lambda: bench.session.snapshot().beat.state == "read")

    done = bench.perform("beat.run", "nightly", task_name="proj.add", args="[2, 3]", queue="q")

    header, body = bench.call()
    assert (header.task_name, body.args) == ("proj.add", [2, 3])
    assert bench.broker.published[0].routing_key == "q"
    assert done.title == "Run now: nightly"
    assert done.equivalent == "tqconsole call proj.add -a '[2, 3]' -k '{}' --queue q"
    bench.session.drain()
    assert [line.action_id for line in bench.session.audit()] == ["beat.run"]


def test_a_schedule_that_cannot_be_read_says_why_and_is_tried_again(make):
    schedule = Schedule()
    bench = make(schedule=schedule)
    bench.start()
    bench.until(lambda: bench.session.snapshot().beat.state == "failed")
    assert bench.session.snapshot().beat.detail == "ImportError: no module named proj"

    schedule.found = (Scheduled("nightly", "proj.add", "daily", lambda at: at + 9.0),)
    bench.session.refresh()

    bench.until(lambda: bench.session.snapshot().beat.state == "read")


def test_a_read_only_session_runs_no_entry(make):
    bench = make(is_read_only=True)

    done = bench.perform("beat.run", "nightly", task_name="proj.add")

    assert "read-only" in done.error
    assert bench.broker.writes == 0


def test_a_call_with_times_carries_them(make):
    bench = make()

    bench.perform("task.call", task_name="proj.add", countdown="60", expires="5")

    message = bench.broker.published[0].message
    header, _ = bench.call()
    assert header.eta_at == pytest.approx(time.time() + 60, abs=5)
    assert header.expires_at == pytest.approx(time.time() + 5, abs=5)
    assert message.properties["expiration"] == "5000"


def test_a_call_goes_where_its_type_went_before(make):
    bench = make()
    subscription = bench.start()
    subscription.put(task_event("sent", "t1", time.time(), "web", name="proj.add", queue="img"))
    bench.until(lambda: bench.session.task("t1") is not None)

    bench.perform("task.call", task_name="proj.add")

    assert bench.broker.published[0].routing_key == "img"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "Task is missing"),
        ({"task_name": "a", "args": "{}"}, "must be a JSON list"),
        ({"task_name": "a", "args": "[1,"}, "is no JSON"),
        ({"task_name": "a", "kwargs": "[]"}, "must be a JSON object"),
        ({"task_name": "a", "countdown": "soon"}, "is no number"),
        ({"task_name": "a", "eta": "later"}, "not a time"),
        ({"task_name": "a", "priority": "-1"}, "out of range"),
        ({"task_name": "a", "colour": "red"}, "no field 'colour'"),
    ],
)
def test_a_bad_call_is_refused_before_it_is_sent(make, arguments, words):
    bench = make()

    assert words in bench.perform("task.call", **arguments).error
    assert bench.broker.published == []


def test_a_rerun_takes_the_arguments_of_the_result_store(make):
    record = ResultRecord("t1", "FAILURE", extended={"name": "proj.add", "args": [1, "x" * 2000]})
    record.extended["kwargs"] = {}
    bench = make(records={"t1": encode_record(record)})

    done = bench.perform("task.rerun", "t1")

    header, body = bench.call()
    assert body.args == [1, "x" * 2000]
    assert bench.broker.published[0].message.headers["tq_rerun_of"] == "t1"
    assert done.error == ""
    assert done.task_id == header.task_id != "t1"


def test_a_rerun_takes_the_arguments_of_the_waiting_message(make):
    bench = make()
    call = TaskCall(task_id="t1", task_name="proj.add", args=[object.__name__], kwargs={"k": 1})
    bench.broker.peeked = [encode_task(call)]
    subscription = bench.start()
    subscription.put(task_event("sent", "t1", time.time(), "web", name="proj.add", queue="celery"))
    bench.until(lambda: bench.session.task("t1") is not None)

    bench.perform("task.rerun", "t1")

    assert bench.call()[1].kwargs == {"k": 1}


def test_a_rerun_takes_the_arguments_of_the_worker(make):
    info = {"id": "t1", "args": [5], "kwargs": {"deep": [1]}}
    bench = make(replies={"query_task": {"w1@h": {"t1": ["active", info]}}})
    subscription = bench.start()
    subscription.put(task_event("received", "t1", time.time(), name="proj.add", args="(5..."))
    bench.until(lambda: bench.session.task("t1") is not None)

    bench.perform("task.rerun", "t1")

    assert bench.call()[1].args == [5]


def test_a_rerun_reads_the_text_of_the_event_as_a_literal(make):
    bench = make()
    subscription = bench.start()
    subscription.put(*life("t1", time.time()))
    bench.until(lambda: bench.session.task("t1") is not None)

    bench.perform("task.rerun", "t1")

    assert bench.call()[1].args == [2, 2]


@pytest.mark.parametrize("text", ["(1, 'abc...')", "(<Thing at 0x1>,)", "__import__('os')"])
def test_a_rerun_without_whole_arguments_is_refused(make, text):
    bench = make()
    subscription = bench.start()
    subscription.put(task_event("failed", "t1", time.time()))
    subscription.put(task_event("received", "t1", time.time(), name="proj.add", args=text))
    bench.until(lambda: getattr(bench.session.task("t1"), "args", ""))

    done = bench.perform("task.rerun", "t1")

    assert "not known whole" in done.answers[0].error
    assert bench.broker.published == []


def test_many_reruns_say_which_failed(make):
    bench = make()
    subscription = bench.start()
    subscription.put(*life("t1", time.time()), *life("t2", time.time()))
    bench.until(lambda: bench.session.task("t2") is not None)

    done = bench.perform("task.rerun", "t1", "t2", "unknown")

    assert [bool(answer.error) for answer in done.answers] == [False, False, True]
    assert done.error == "1 of 3 could not be sent"


def test_a_revoke_reports_who_answered(make):
    bench = make(replies={"revoke": {"w1@h": {"ok": "flagged"}, "w2@h": {"error": "no\x1b"}}})

    done = bench.perform("task.revoke", "t1", "t2")

    assert [(a.worker, a.text, a.error) for a in done.answers] == [
        ("w1@h", "flagged", ""),
        ("w2@h", "", "no␛"),
    ]
    assert bench.control.asked[-1][1]["task_id"] == ["t1", "t2"]
    assert done.equivalent == "tqconsole control revoke t1 t2"


def test_silence_is_an_error(make):
    assert make().perform("worker.ping").error == "no worker answered"


@pytest.mark.parametrize("targets", [("c1@h",), ()])
def test_celerys_worker_stops_without_an_answer(make, targets):
    done = make().perform("worker.shutdown", *targets)

    assert (done.error, done.missing) == ("", ())
    assert [answer.text for answer in done.answers] == ["asked; Celery's stop without an answer"]


def test_a_purge_and_letters_go_to_the_broker(make):
    bench = make()

    assert bench.perform("queue.purge", "mail").answers[0].text == "7 messages deleted"
    assert bench.perform("dead.replay", "a", "b").answers[0].text.startswith("2 of 2")
    assert bench.perform("dead.drop", "a").answers[0].text == "1 of 1 deleted"
    assert bench.broker.purged == ["mail"]


def test_a_dead_letter_goes_back_with_other_arguments(make):
    bench = make()
    message = encode_task(TaskCall(task_id="t1", task_name="name", args=[1], kwargs={"a": 1}))
    bench.broker.letters = [DeadLetter("l1", message, "q", "rejected", "", "w1@h", 5.0)]

    done = bench.perform("dead.edit", "l1", args="[2]")

    header, body = bench.call()
    assert (done.error, done.answers[0].text) == ("", "put back with these arguments")
    assert (header.task_id, body.args, body.kwargs) == ("t1", [2], {"a": 1})
    assert bench.broker.published[-1].routing_key == "q"
    assert done.equivalent == "tqconsole dead replay l1 -a '[2]'"
    assert "not there any more" in bench.perform("dead.edit", "l9", args="[2]").error


FILLED = {
    "task_name": "proj.add",
    "queue": "q",
    "count": "1",
    "max": "3",
    "min": "1",
    "rate_limit": "10/m",
    "signal": "SIGTERM",
    "what": "stats",
    "hard": "60",
    "soft": "50",
    "stamps": "batch=7",
}


def filled(action):
    names = {field.name for field in action.fields}
    return {name: value for name, value in FILLED.items() if name in names}


@pytest.mark.parametrize("action", [a for a in ACTIONS.values() if a.does_change])
def test_read_only_sends_nothing(make, action):
    bench = make(is_read_only=True)

    done = bench.perform(action.action_id, "t1", **filled(action))

    assert "read-only" in done.error
    assert (bench.control.asked, bench.broker.writes) == ([], 0)


@pytest.mark.parametrize("action", [a for a in ACTIONS.values() if a.target_kind != "dead"])
def test_every_action_can_be_carried_out(make, action):
    command = action.action_id.partition(".")[2]
    method = {"enable": "enable_events", "disable": "disable_events", "inspect": "stats"}
    bench = make(replies={method.get(command, command): {"w1@h": {"ok": "fine"}}})
    arguments = filled(action)
    if action.action_id == "task.rerun":
        arguments = {"args": "[]", "kwargs": "{}"}

    done = bench.perform(action.action_id, "t1", **arguments)

    assert not done.error or action.action_id == "task.rerun"
    assert done.title
    assert done.equivalent or action.action_id == "task.rerun"


def test_a_rerun_has_its_command_before_it_is_sent_and_after(make):
    bench = make()
    subscription = bench.start()
    subscription.put(*life("t1", time.time(), queue="img"))
    bench.until(lambda: bench.session.task("t1") is not None)

    as_it_was = bench.session.equivalent(ActionRequest("task.rerun", ("t1",)))
    edited = ActionRequest("task.rerun", ("t1",), {"args": "[5]", "kwargs": "{}", "queue": "b"})

    assert as_it_was.startswith("tqconsole call proj.add -a '[2, 2]' -k '{}'")
    command = "tqconsole call proj.add -a '[5]' -k '{}' --queue b"
    assert bench.session.equivalent(edited) == command
    done = bench.perform("task.rerun", "t1", args="[5]", kwargs="{}", queue="b")
    assert done.equivalent == command


def test_a_rerun_of_what_is_not_known_has_no_command_yet(make):
    assert make().session.equivalent(ActionRequest("task.rerun", ("t1",))) == ""


def test_the_audit_tells_how_it_ended(make):
    bench = make(replies={"ping": {"w1@h": {"ok": "pong"}}})
    bench.perform("worker.ping", "w1@h")
    bench.until(lambda: bench.session.audit()[0].outcome)

    line = bench.session.audit()[0]
    assert (line.outcome, line.is_error) == ("pong", False)
    assert line.equivalent == "tqconsole inspect ping --destination w1@h"


def test_the_commands_shown_reach_the_cluster_that_is_shown(make):
    bench = make(reached_by=("-b", "sqlite:///a b.db"))
    command = "tqconsole -b 'sqlite:///a b.db' control revoke t1"

    assert bench.session.equivalent(ActionRequest("task.revoke", ("t1",))) == command
    assert bench.perform("task.revoke", "t1").equivalent == command


def test_what_has_no_command_gets_none(make):
    bench = make(reached_by=("-b", "memory://x"))

    assert bench.session.equivalent(ActionRequest("task.rerun", ("t1",))) == ""


def test_an_unknown_action_is_an_error(make):
    assert make().perform("task.explode", "t1").error == "no such action"


def test_an_inspect_becomes_a_table(make):
    info = {"id": "t1", "name": "n", "args": ["\x1b"], "kwargs": {}, "time_start": time.time() - 5}
    bench = make(replies={"active": {"w1@h": [info]}})

    shown = bench.session.inspect("w1@h", "active").result(DEADLINE_S)

    assert shown.columns[:4] == ("ID", "NAME", "RUNNING", "ARGS")
    assert (*shown.rows[0][:2], shown.rows[0][3]) == ("t1", "n", "['\\x1b']")


def test_secrets_in_settings_are_masked(make):
    conf = {
        "broker_url": "redis://u:hunter2@h/0",
        "broker_transport_options": {"auth": "hunter2"},
        "redis_password": "hunter2",
        "timezone": "UTC",
    }
    bench = make(replies={"conf": {"w1@h": conf}})

    shown = bench.session.inspect("w1@h", "conf").result(DEADLINE_S)

    assert "hunter2" not in repr(shown)
    assert ("timezone", "UTC") in shown.rows


def test_a_silent_worker_says_so(make):
    assert "no reply" in make().session.inspect("w9@h", "stats").result(DEADLINE_S).error


def test_a_queue_is_peeked_by_type(make):
    bench = make()
    call = TaskCall(task_id="t1", task_name="proj.add", args=[1], kwargs={})
    bench.broker.peeked = [encode_task(call), encode_task(call)]

    peek = bench.session.peek("celery").result(DEADLINE_S)

    assert peek.by_type == (("proj.add", 2),)
    assert peek.messages[0].args == "(1,)"


def test_dead_letters_are_shown_clean(make):
    bench = make()
    message = encode_task(TaskCall(task_id="t1", task_name="name", args=[], kwargs={}))
    message.headers["task"] = "bad\x1bname"
    bench.broker.letters = [DeadLetter("l1", message, "q", "worker-lost", "x\x07", "w1@h", 5.0)]

    letter = bench.session.dead_letters().result(DEADLINE_S)[0]

    assert (letter.reason, letter.detail) == ("worker-lost", "x␇")
    assert "\x1b" not in repr(letter)


def test_a_task_is_looked_up_in_the_result_store(make):
    record = ResultRecord("t1", "SUCCESS", {"rows": [1, 2]}, date_done_at=5.0)
    bench = make(records={"t1": encode_record(record)})

    facts = bench.session.fetch_task("t1").result(DEADLINE_S)

    assert (facts.state, facts.has_result) == ("SUCCESS", True)
    assert json.loads(facts.result) == {"rows": [1, 2]}


def test_a_cut_text_is_said_to_be_cut(make):
    bench = make()
    subscription = bench.start()
    subscription.put(task_event("received", "t1", time.time(), name="n", args="(1, 'abc...')"))
    bench.until(lambda: bench.session.task("t1") is not None)

    facts = bench.session.fetch_task("t1").result(DEADLINE_S)

    assert not facts.is_args_complete
    assert "cut by the client" in facts.note


def test_a_filter_saved_by_name_is_used_at_once_and_forgotten(make):
    bench = make()
    subscription = bench.start()
    subscription.put(*life("t1", time.time(), queue="img"))
    bench.until(lambda: len(bench.session.tasks()))

    bench.session.save_filter("mine", "queue:img")
    assert len(bench.session.tasks("@mine")) == 1
    with pytest.raises(FilterError):
        bench.session.save_filter("mine", "@mine -state:SUCCESS")

    bench.session.save_filter("mine", "")
    with pytest.raises(FilterError, match="mine"):
        bench.session.tasks("@mine")


def test_the_session_fits_the_port(make):
    session: ConsoleSession = make().session

    assert session.suggest("state:F", 7) == ("state:FAILURE",)
    assert session.family("nobody") == ()
    assert actions_for("worker")

"""`purge`, `dead`, `report`, `events --dump`: what is in the broker, and what happens there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest
from stub_cluster import Done, StubApp

from tqconsole.cli.event_dump import TaskNames, line_of
from tqconsole.engine.protocol.event import EVENTS, encode_events
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Handover,
    Publication,
    QueueSpec,
    Settlement,
    Verdict,
)

Run = Callable[..., Done]
CALL = Message(
    b'[[1, "x"], {"y": 2}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]',
    headers={"task": "proj.tasks.add", "id": "id-77", "argsrepr": "(1, 'x')", "kwargsrepr": "{}"},
)


def _send(app: StubApp, *queues: str) -> None:
    app.broker.publish([Publication(CALL, queue) for queue in queues])


def _kill(app: StubApp, *messages: Message) -> None:
    """Make dead letters of messages, as a worker does."""
    app.broker.publish([Publication(message, "celery") for message in messages])
    consumer = app.broker.consumer([QueueSpec("celery")], "w1@lab")
    deliveries = consumer.exchange(wanted=len(messages))
    consumer.exchange(started=[Handover(one.tag, is_acked=False) for one in deliveries])
    dead = [Settlement(one.tag, Verdict.DEAD, "bad-body", "not a list") for one in deliveries]
    consumer.exchange(settled=dead)
    consumer.close()


def test_purge_needs_force_without_a_terminal(app: StubApp, run: Run) -> None:
    _send(app, "celery")

    done = run("purge")

    assert "say -f" in done.err
    assert done.code == 2
    assert app.broker.depth("celery").ready_count == 1


def test_purge_empties_the_apps_queues(app: StubApp, run: Run) -> None:
    _send(app, "celery", "video", "other")

    done = run("purge", "-f")

    assert done.out == "Purged 2 messages from 2 known task queues.\n"
    assert app.broker.depth("other").ready_count == 1


def test_purge_of_nothing_says_so(run: Run) -> None:
    assert run("purge", "-f", "-Q", "celery").out == "No messages purged from 1 queue.\n"


def test_purge_leaves_out_what_is_excluded(app: StubApp, run: Run) -> None:
    _send(app, "celery", "video")

    assert run("purge", "-f", "-X", "video", "--json").json == {
        "purged": 1,
        "queues": {"celery": 1},
    }
    assert run("purge", "-f", "-X", "celery,video").code == 2


def test_report_prints_versions(run: Run) -> None:
    assert run("report").out == "software -> tqconsole\n"
    assert "software" in run("report", "--json").json["report"]


def test_dead_letters_are_listed(app: StubApp, run: Run) -> None:
    _kill(app, CALL)

    done = run("dead", "list")

    head, row = done.out.splitlines()
    assert head.split() == ["LETTER", "DIED", "QUEUE", "REASON", "TASK", "DETAIL"]
    assert "celery  bad-body  proj.tasks.add(id-77)  not a list" in row


def test_no_dead_letters_is_no_error(run: Run) -> None:
    done = run("dead", "list")

    assert (done.out, done.code) == ("", 0)
    assert "No dead letters." in done.err


def test_a_dead_letter_is_shown_by_its_tasks_id(app: StubApp, run: Run) -> None:
    _kill(app, CALL)

    shown = run("dead", "show", "id-7", "--json").json

    assert shown["task"] == "proj.tasks.add"
    assert shown["args"] == "[1, 'x']"
    assert shown["kwargs"] == "{'y': 2}"
    assert shown["reason"] == "bad-body"
    assert shown["body"].startswith('[[1, "x"]')


def test_a_hostile_letter_is_shown_all_the_same(app: StubApp, run: Run) -> None:
    _kill(app, Message(b"\xff\x1b[2J", headers={"task": "\x1b[2Jx", "id": 7}))
    letter_id = app.broker.dead_letters()[0].letter_id

    done = run("dead", "show", letter_id)

    assert done.code == 0
    assert "base64:" in done.out
    assert "\x1b" not in done.out
    assert "\x1b" not in run("dead", "list").out


def test_replay_puts_letters_back(app: StubApp, run: Run) -> None:
    _kill(app, CALL, CALL)
    first, _ = app.broker.dead_letters()

    assert run("dead", "replay", first.letter_id).out == "Replayed 1 dead letter.\n"
    assert run("dead", "replay", "--all", "--json").json == {"replayed": 1}
    assert app.broker.depth("celery").ready_count == 2


def test_replay_with_other_arguments(app: StubApp, run: Run) -> None:
    _kill(app, CALL)

    run("dead", "replay", "id-77", "-a", "[5]")

    message = app.broker.peek("celery", 1)[0]
    assert json.loads(message.body)[:2] == [[5], {"y": 2}]
    assert message.headers["argsrepr"] == "(5,)"
    assert message.headers["id"] == "id-77"
    assert app.broker.dead_letters() == []


def test_a_letter_with_a_ruined_body_is_replayed_with_arguments_of_its_own(
    app: StubApp, run: Run
) -> None:
    _kill(app, Message(b"{ruined", headers={"task": "proj.tasks.add", "id": "id-78"}))

    refused = run("dead", "replay", "id-78", "-a", "[5]")
    done = run("dead", "replay", "id-78", "-a", "[5]", "-k", "{}")

    assert (refused.code, done.code) == (2, 0)
    assert "give both -a and -k" in refused.err
    assert "links cannot be read" in done.err
    assert json.loads(app.broker.peek("celery", 1)[0].body)[:2] == [[5], {}]
    assert app.broker.dead_letters() == []


def test_a_name_cannot_write_a_line_of_its_own(app: StubApp, run: Run) -> None:
    _kill(app, Message(b"[]", headers={"task": "x\nreason  fine", "id": "id-79"}))

    lines = run("dead", "show", "id-79").out.splitlines()

    assert [line.split()[1] for line in lines if line.startswith("reason")] == ["bad-body"]


def test_a_long_name_leaves_the_list_readable(app: StubApp, run: Run) -> None:
    _kill(app, Message(b"[]", headers={"task": "x" * 100_000, "id": "id-80"}))

    assert len(run("dead", "list").out) < 2_000


def test_drop_deletes(app: StubApp, run: Run) -> None:
    _kill(app, CALL)

    assert run("dead", "drop", "id-77").code == 2
    assert run("dead", "drop", "id-77", "-f").out == "Dropped 1 dead letter.\n"
    assert app.broker.dead_letters() == []


@pytest.mark.parametrize(
    ("words", "text", "code"),
    [
        (("dead", "show", "nosuch"), "no dead letter's id begins with 'nosuch'", 1),
        (("dead", "drop"), "Name letters by their ids, or say --all", 2),
        (("dead", "replay", "--all", "-a", "[1]"), "of one letter", 2),
        (("dead",), "Say one of list, show, replay, drop.", 2),
        (("dead", "lst"), "Did you mean list?", 2),
    ],
)
def test_a_mistake_is_one_line(run: Run, words: tuple[str, ...], text: str, code: int) -> None:
    done = run("-q", *words)

    assert text in done.err
    assert done.err.count("\n") == 1
    assert done.code == code


def _dump(app: StubApp, run: Run, *words: str) -> Done:
    """Run a dump and send two events as soon as it listens."""
    events = [
        {
            "type": "task-received",
            "uuid": "id-1",
            "name": "proj.tasks.add",
            "args": "(2, 2)",
            "kwargs": "{}",
            "hostname": "w1@lab",
            "timestamp": 1_800_000_000.0,
            "clock": 3,
        },
        {
            "type": "task-succeeded",
            "uuid": "id-1",
            "result": "4",
            "hostname": "w1@lab",
            "timestamp": 1_800_000_001.5,
            "clock": 4,
        },
    ]
    is_over = threading.Event()

    def send_when_heard() -> None:
        while not is_over.wait(0.01):
            if app.broker.listener_count(EVENTS, "task.multi"):
                batch = Publication(encode_events(events), "task.multi", EVENTS.name)
                app.broker.broadcast(EVENTS, [batch])
                return

    sender = threading.Thread(target=send_when_heard)
    sender.start()
    try:
        return run("events", "--dump", "--limit", "2", *words)
    finally:
        is_over.set()
        sender.join()


def test_a_dump_writes_celerys_lines(app: StubApp, run: Run) -> None:
    assert _dump(app, run).out.splitlines() == [
        "-> evdump: starting capture...",
        "w1@lab [2027-01-15 08:00:00+00:00] task received: "
        "proj.tasks.add(id-1) args=(2, 2) kwargs={} clock=3",
        "w1@lab [2027-01-15 08:00:01.500000+00:00] task succeeded: "
        "proj.tasks.add(id-1) args=(2, 2) kwargs={} clock=4, result=4",
    ]


def test_a_dump_as_json_is_an_event_a_line(app: StubApp, run: Run) -> None:
    lines = _dump(app, run, "--json").out.splitlines()

    assert [json.loads(line)["type"] for line in lines] == ["task-received", "task-succeeded"]


def test_a_heartbeat_is_one_line() -> None:
    event = {"type": "worker-heartbeat", "hostname": "w1@lab", "timestamp": 0, "freq": 2.0}

    line = line_of(event, TaskNames())

    assert line == "w1@lab [1970-01-01 00:00:00+00:00] heartbeat: freq=2.0"


def test_an_event_without_a_time_is_still_a_line() -> None:
    assert "[None] shutdown" in line_of({"type": "worker-offline"}, TaskNames())
    assert "[inf]" in line_of({"type": "x", "timestamp": float("inf")}, TaskNames())

"""`status`, `inspect`, `control`: Celery's text, Celery's JSON, Celery's exit codes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stub_cluster import ACTIVE, PONG, Done, StubApp

Run = Callable[..., Done]


def test_status_lists_who_is_online(app: StubApp, run: Run) -> None:
    app.node("w1@lab")
    app.node("w2@lab")

    done = run("status")

    assert done.out == "->  w1@lab: OK\n->  w2@lab: OK\n\n2 nodes online.\n"
    assert done.err == f"broker: {app.broker.url} (a test)\n"
    assert done.code == 0


def test_status_counts_one_node(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    assert run("status").out.endswith("\n1 node online.\n")


def test_quiet_says_nothing_beside_the_data(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    done = run("-q", "status")

    assert (done.out, done.err) == (" w1@lab: OK\n", "")


def test_status_as_json_is_a_map(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    assert run("status", "--json").json == {"w1@lab": PONG}


def test_nobody_online_is_69(run: Run) -> None:
    done = run("status")

    assert done.code == 69
    assert done.out == ""
    assert "Error: No nodes replied within time constraint" in done.err


def test_a_node_that_is_not_there_is_told_with_those_that_are(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    done = run("inspect", "active", "--destination", "w9")

    assert done.code == 69
    assert "No nodes replied within time constraint (w9); online: w1@lab\n" in done.err


def test_inspect_prints_celerys_shape(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    done = run("inspect", "active", "--destination", "w1")

    assert done.out == f"->  w1@lab: OK\n    * {ACTIVE[0]}\n\n1 node online.\n"
    assert done.code == 0


def test_inspect_prints_an_empty_list(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    assert "->  w1@lab: OK\n    - empty -\n" in run("inspect", "reserved").out


def test_inspect_as_json_is_a_map(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    assert run("inspect", "-j", "active").json == {"w1@lab": ACTIVE}


def test_control_prints_the_reply_indented(app: StubApp, run: Run) -> None:
    node = app.node("w1@lab")

    done = run("control", "pool_grow", "3", "-d", "w1@lab")

    assert done.out == "->  w1@lab: OK\n        pool will grow\n"
    assert node.requests == [("pool_grow", {"n": 3})]


def test_control_as_json_is_a_list(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    assert run("--json", "control", "shutdown").json == [{"w1@lab": {"ok": "shutting down"}}]


def test_a_refusal_is_1(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    done = run("control", "rate_limit", "nosuch", "1/s")

    assert done.out == "->  w1@lab: ERROR\n        unknown task\n"
    assert done.code == 1


def test_an_unknown_destination_is_named(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    done = run("inspect", "ping", "-d", "w1,w7")

    assert "No answer from w7." in done.err
    assert done.code == 0


def test_only_unknown_destinations_are_69(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    done = run("inspect", "ping", "-d", "w7@lab")

    assert done.code == 69
    assert "(w7@lab)" in done.err


def test_words_become_the_commands_arguments(app: StubApp, run: Run) -> None:
    node = app.node("w1@lab")

    run("control", "time_limit", "proj.tasks.add", "60", "120")
    run("control", "terminate", "KILL", "id-1", "id-2")
    run("inspect", "registered", "rate_limit")

    assert node.requests == [
        ("time_limit", {"task_name": "proj.tasks.add", "soft": 60.0, "hard": 120.0}),
        ("terminate", {"signal": "KILL", "task_id": ["id-1", "id-2"]}),
        ("registered", {"taskinfoitems": ["rate_limit"]}),
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("inspect", "atcive"), "Command atcive not recognized. Did you mean active?"),
        (("inspect", "shutdown"), "tqconsole control shutdown"),
        (("control", "stats"), "tqconsole inspect stats"),
        (("control", "pool_grow", "many"), "n cannot be 'many': it is a whole number"),
        (("control", "revoke"), "revoke needs task_id"),
        (("inspect", "ping", "extra"), "'extra' is too much"),
        (("inspect",), "tqconsole inspect --list"),
        (("inspect", "ping", "-t", "0"), "--timeout"),
        (("inspect", "ping", "-d", ","), "a comma separated list of names is wanted"),
    ],
)
def test_a_mistake_is_one_line_and_2(
    app: StubApp, run: Run, words: tuple[str, ...], text: str
) -> None:
    node = app.node("w1@lab")

    done = run(*words)

    assert text in done.err
    assert done.err.count("\n") == 1
    assert done.code == 2
    assert node.requests == []


def test_the_list_shows_arguments_and_help(run: Run) -> None:
    done = run("control", "--list")

    assert done.out.startswith("Control Commands:\n")
    assert "rate_limit <task_name> <rate_limit" in done.out
    assert "hello" not in run("inspect", "--list").out


def test_the_list_as_json_tells_the_danger(run: Run) -> None:
    listed = {row["name"]: row["danger"] for row in run("control", "--list", "--json").json}

    assert listed["shutdown"] == "ends"
    assert listed["pool_grow"] == "changes"


def test_a_command_has_help_of_its_own(app: StubApp, run: Run) -> None:
    done = run("control", "shutdown", "--help")

    assert done.out.startswith("Usage: tqconsole control shutdown\n")
    assert "Ends runs, children or workers." in done.out


def test_hostile_text_cannot_steer_the_terminal(app: StubApp, run: Run) -> None:
    app.node("w1@lab", report={"ok": "\x1b[2Jgone"})

    assert "\x1b" not in run("inspect", "report").out


def test_the_page_shows_workers_and_queues(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    done = run("--plain")

    assert done.out.splitlines()[0].split() == ["WORKER", "PID", "POOL", "SLOTS", "ACTIVE", "DONE"]
    assert done.out.splitlines()[1].split() == ["w1@lab", "77", "prefork", "2", "1", "5"]
    assert "celery" in done.out
    assert "video" in done.out


def test_without_a_terminal_the_page_is_printed(run: Run) -> None:
    done = run()

    assert "No worker is online" in done.out
    assert done.code == 0


def test_the_page_as_json(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    page = run("--json").json

    assert page["workers"][0]["name"] == "w1@lab"
    assert page["queues"]["celery"]["ready_count"] == 0
    assert page["reason"] == "a test"

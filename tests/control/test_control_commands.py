"""Every command's reply has the shape that Celery's workers send (wire.md §6.3)."""

from __future__ import annotations

from typing import Any

import pytest
from stub_panel import INFO, StubPanel

from tqconsole.engine.control import Panel
from tqconsole.engine.control.panel import Panel as PanelProtocol
from tqconsole.engine.control.table import CommandTable, Danger, Kind, run_command


@pytest.fixture
def panel() -> StubPanel:
    return StubPanel()


REPLIES: list[tuple[str, dict[str, Any], Any]] = [
    ("ping", {}, {"ok": "pong"}),
    ("clock", {}, {"clock": 41}),
    ("report", {}, {"ok": "software -> tqconsole"}),
    ("stats", {}, {"pid": 7, "clock": "41"}),
    ("active", {}, [INFO]),
    ("dump_active", {}, [INFO]),
    ("active", {"safe": True}, [INFO | {"args": "[2, 2]", "kwargs": "{}"}]),
    ("reserved", {}, []),
    ("scheduled", {}, [{"eta": None, "priority": 6, "request": INFO}]),
    ("revoked", {}, ["old"]),
    ("registered", {}, ["proj.tasks.add", "proj.tasks.slow [rate_limit=10/m]"]),
    (
        "registered",
        {"taskinfoitems": ["rate_limit", "priority"]},
        ["proj.tasks.add", "proj.tasks.slow [rate_limit=10/m priority=3]"],
    ),
    (
        "registered",
        {"taskinfoitems": [], "builtins": True},
        ["celery.chain", "proj.tasks.add", "proj.tasks.slow [rate_limit=10/m]"],
    ),
    ("query_task", {"ids": ["id-1", "id-2"]}, {"id-1": ["active", INFO]}),
    ("active_queues", {}, [{"name": "celery"}]),
    ("conf", {}, {"broker_url": "sqlite:////q.db", "result_expires": "<class 'set'>"}),
    ("revoke", {"task_id": "id-9"}, {"ok": "tasks {'id-9'} flagged as revoked"}),
    ("revoke", {"task_id": ["id-1"], "terminate": True}, {"ok": "terminate: id-1"}),
    ("revoke", {"task_id": ["id-9"], "terminate": True}, {"ok": "terminate: tasks unknown"}),
    ("terminate", {"task_id": ["id-1"], "signal": "SIGKILL"}, {"ok": "terminate: id-1"}),
    (
        "revoke_by_stamped_headers",
        {"headers": {"batch": ["7"]}},
        {"ok": "headers {'batch': ['7']} flagged as revoked, but not terminated"},
    ),
    (
        "revoke_by_stamped_headers",
        {"headers": ["batch=7"], "terminate": True},
        {"ok": "headers {'batch': '7'} revoked"},
    ),
    (
        "rate_limit",
        {"task_name": "proj.tasks.add", "rate_limit": "10/m"},
        {"ok": "new rate limit set successfully"},
    ),
    (
        "rate_limit",
        {"task_name": "proj.tasks.add", "rate_limit": 0},
        {"ok": "rate limit disabled successfully"},
    ),
    ("rate_limit", {"task_name": "nosuch", "rate_limit": "1/s"}, {"error": "unknown task"}),
    (
        "rate_limit",
        {"task_name": "proj.tasks.add", "rate_limit": "often"},
        {"error": "Invalid rate limit string: ValueError('cannot read often')"},
    ),
    (
        "time_limit",
        {"task_name": "proj.tasks.add", "soft": 1.0, "hard": 2.0},
        {"ok": "time limits set successfully"},
    ),
    ("time_limit", {"task_name": "nosuch", "soft": 1.0}, {"error": "unknown task"}),
    ("enable_events", {}, {"ok": "task events enabled"}),
    ("disable_events", {}, {"ok": "task events already disabled"}),
    ("heartbeat", {}, None),
    ("pool_grow", {"n": 2}, {"ok": "pool will grow"}),
    ("pool_shrink", {}, {"error": "NotSupportedError('a solo pool has one slot')"}),
    ("pool_restart", {}, {"error": "ValueError('Pool restarts not enabled')"}),
    ("autoscale", {"max": 5, "min": 2}, {"ok": "autoscale now max=5 min=2"}),
    ("add_consumer", {"queue": "foo"}, {"ok": "add consumer foo"}),
    ("cancel_consumer", {"queue": "foo"}, {"ok": "no longer consuming from foo"}),
    ("shutdown", {}, {"ok": "shutting down"}),
    ("hello", {"from_node": "w1@lab", "revoked": {}}, None),
    ("nosuch", {}, {"error": "KeyError('nosuch')"}),
]


@pytest.mark.parametrize(
    ("method", "arguments", "reply"), REPLIES, ids=[f"{row[0]}-{row[1]}" for row in REPLIES]
)
def test_a_command_replies_in_celerys_shape(
    panel: StubPanel, method: str, arguments: dict[str, Any], reply: Any
) -> None:
    assert run_command(panel, method, arguments) == reply


def test_every_command_of_celery_is_there() -> None:
    names = set(Panel)

    assert names == {
        "active", "active_queues", "add_consumer", "autoscale", "cancel_consumer", "clock", "conf",
        "disable_events", "enable_events", "heartbeat", "hello", "memdump", "memsample",
        "objgraph", "ping", "pool_grow", "pool_restart", "pool_shrink", "query_task",
        "rate_limit", "registered", "report", "reserved", "revoke", "revoke_by_stamped_headers",
        "revoked", "scheduled", "shutdown", "stats", "terminate", "time_limit",
    }  # fmt: skip


def test_every_command_has_a_help_line() -> None:
    assert [name for name in Panel if not Panel[name].help] == []


def test_hello_merges_what_an_older_node_sends(panel: StubPanel) -> None:
    reply = run_command(panel, "hello", {"from_node": "w2@lab", "revoked": {"id-5": 1.0}})

    assert reply == {"revoked": ["old", "id-5"], "clock": 42}


def test_arguments_of_a_newer_client_are_let_pass(panel: StubPanel) -> None:
    assert run_command(panel, "ping", {"colour": "red"}) == {"ok": "pong"}


def test_options_of_a_new_queue_reach_the_worker(panel: StubPanel) -> None:
    run_command(panel, "add_consumer", {"queue": "q", "exchange_type": "topic", "max_priority": 9})

    assert panel.calls == [("add_consumer", "q", None, "topic", None, {"max_priority": 9})]


def test_growing_by_nothing_is_refused(panel: StubPanel) -> None:
    assert "must be 1 or more" in run_command(panel, "pool_grow", {"n": 0})["error"]


@pytest.mark.parametrize("n", [1.5, float("nan"), float("inf"), "many", [], {}])
@pytest.mark.parametrize("command", ["pool_grow", "pool_shrink"])
def test_half_a_slot_does_not_reach_the_pool(panel: StubPanel, command: str, n: Any) -> None:
    reply = run_command(panel, command, {"n": n})

    assert "n cannot be" in reply["error"]
    assert panel.calls == []


@pytest.mark.parametrize("limit_s", [-1, -0.5, 1e300, float("nan"), float("inf"), "x", []])
@pytest.mark.parametrize("which", ["soft", "hard"])
def test_a_time_limit_that_no_timer_takes_is_refused(
    panel: StubPanel, which: str, limit_s: Any
) -> None:
    reply = run_command(panel, "time_limit", {"task_name": "proj.tasks.slow", which: limit_s})

    assert "ValueError" in reply["error"]
    assert panel.calls == []


@pytest.mark.parametrize(
    ("command", "arguments", "what"),
    [
        ("query_task", {"ids": 7}, "ids cannot be 7: it is a name or a list of names"),
        ("query_task", {"ids": ["a", 7]}, "ids cannot be ['a', 7]"),
        ("revoke", {"task_id": 7}, "task_id cannot be 7"),
        ("revoke", {"task_id": {"a": 1}.values(), "terminate": True}, "task_id cannot be"),
        ("terminate", {"task_id": 7, "signal": None}, "task_id cannot be 7"),
        ("revoke_by_stamped_headers", {"headers": 7}, "headers cannot be 7"),
        ("registered", {"taskinfoitems": 7}, "taskinfoitems cannot be 7"),
        ("registered", {"taskinfoitems": [7]}, "taskinfoitems cannot be [7]"),
        ("add_consumer", {"queue": 7}, "queue cannot be 7: it is a name"),
        ("cancel_consumer", {"queue": ""}, "queue cannot be ''"),
        ("rate_limit", {"task_name": [], "rate_limit": "1/s"}, "task_name cannot be []"),
        ("time_limit", {"task_name": 7, "soft": 1}, "task_name cannot be 7"),
        ("hello", {"from_node": "w2@lab", "revoked": 7}, "revoked cannot be 7"),
    ],
)
def test_what_is_no_name_is_refused_in_a_sentence(
    panel: StubPanel, command: str, arguments: dict[str, Any], what: str
) -> None:
    reply = run_command(panel, command, arguments)

    assert reply["error"].startswith("ValueError(")
    assert what in reply["error"]
    assert panel.calls == []


def test_a_request_cannot_bring_its_own_panel(panel: StubPanel) -> None:
    assert run_command(panel, "ping", {"panel": 1}) == {"ok": "pong"}


def test_an_unknown_signal_is_an_answer(panel: StubPanel) -> None:
    reply = run_command(panel, "terminate", {"task_id": "id-1", "signal": "HUGO"})

    assert reply == {"error": "ValueError('unknown signal HUGO')"}


def test_memory_is_read_without_psutil(panel: StubPanel) -> None:
    reading = run_command(panel, "memsample", {})
    dump = run_command(panel, "memdump", {"samples": 5})

    assert reading.endswith("MB")
    assert f"-    > {reading}," in dump
    assert "- rss (end): " in dump


def test_a_missing_package_is_named(panel: StubPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "objgraph", None)

    reply = run_command(panel, "objgraph", {})

    assert "Requires the objgraph library" in reply["error"]


def test_users_add_commands_with_celerys_decorators(panel: StubPanel) -> None:
    table = CommandTable()

    @table.register(type="inspect", args=[("n", int)], signature="[N=1]", alias="twice")
    def double(state: PanelProtocol, n: int = 1, **kwargs: Any) -> dict[str, int]:
        """Twice as much."""
        return {"ok": 2 * n}

    assert run_command(panel, "double", {"n": 4}, table=table) == {"ok": 8}
    assert run_command(panel, "twice", {}, table=table) == {"ok": 2}
    assert table["double"].kind is Kind.INSPECT
    assert table["twice"].help == "Twice as much."
    assert list(table) == ["double"]


def test_an_exception_in_a_command_is_its_reply(panel: StubPanel) -> None:
    table = CommandTable()

    @table.register
    def burst(state: PanelProtocol) -> None:
        raise RuntimeError("no")

    assert run_command(panel, "burst", {}, table=table) == {"error": "RuntimeError('no')"}


def test_words_become_arguments() -> None:
    assert Panel["time_limit"].arguments_from(["t", "60", "120"]) == {
        "task_name": "t",
        "soft": 60.0,
        "hard": 120.0,
    }
    assert Panel["terminate"].arguments_from(["KILL", "a", "b"]) == {
        "signal": "KILL",
        "task_id": ["a", "b"],
    }


def test_a_word_of_the_wrong_type_is_named() -> None:
    with pytest.raises(ValueError, match="pool_grow: n cannot be 'many'"):
        Panel["pool_grow"].arguments_from(["many"])


def test_a_word_too_much_is_named() -> None:
    with pytest.raises(ValueError, match="'extra' is too much"):
        Panel["ping"].arguments_from(["extra"])


def test_missing_arguments_are_found() -> None:
    assert Panel["rate_limit"].missing_from({"task_name": "t"}) == ["rate_limit"]
    assert Panel["revoke"].missing_from({"task_id": []}) == ["task_id"]
    assert Panel["add_consumer"].missing_from({"queue": "q"}) == []


def test_whatever_ends_something_is_marked() -> None:
    ending = {name for name in Panel if Panel[name].danger is Danger.ENDS}

    assert ending == {
        "pool_restart",
        "revoke",
        "revoke_by_stamped_headers",
        "shutdown",
        "terminate",
    }

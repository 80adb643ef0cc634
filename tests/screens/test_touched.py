"""Dialogs say what will be touched; calls are recalled; a dead letter is edited before it goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import press, settle, shown_text, type_text
from fake import NOW_AT, FakeSession
from textual.widgets import Button, Input

from tqconsole.console import Console
from tqconsole.core.views import WorkerView
from tqconsole.screens.call import CallDialog
from tqconsole.screens.control import GroupDialog
from tqconsole.widgets.touched import touched
from tqconsole.widgets.worker_columns import why_silent

SIZE = (120, 36)


def notes(group: str, kind: str, *targets: str) -> dict[str, str]:
    session = FakeSession()
    return dict(touched(session, session.snapshot(), kind, group, targets))


def test_a_purge_says_how_many_messages_go() -> None:
    said = notes("purge", "queue", "mail")

    assert said["deletes"] == "10,902 messages that wait there now, for good"
    assert said["not touched"] == "16 that workers have in hand"
    assert "not known" in notes("purge", "queue", "elsewhere")["deletes"]


def test_a_shutdown_says_what_runs_there() -> None:
    said = notes("shutdown", "worker", "w1@ip-10-1-0", "w2@ip-10-1-1")

    assert said["now"] == "12 tasks running there, which will be finished"
    assert said["silent"] == "w2@ip-10-1-1: may not answer"


def test_a_task_that_was_never_seen_is_not_said_to_wait() -> None:
    assert notes("revoke", "task", "no-such-id")["now"] == "1 never seen here"


def test_a_change_of_the_pool_says_what_runs_there_and_ends_none_of_it() -> None:
    assert notes("pool", "worker", "w1@ip-10-1-0")["now"] == "12 tasks running there"


def test_terminate_says_where_it_does_nothing() -> None:
    session = FakeSession()
    row = next(row for row in session.rows if row.state == "STARTED")
    row.worker = "w3@ip-10-1-2"

    said = dict(touched(session, session.snapshot(), "task", "revoke", (row.task_id,)))

    assert said["now"] == "1 running"
    assert said["terminate"] == (
        "does nothing to 1 in a pool of threads: only prefork can kill a task"
    )
    assert "--statedb" in said["kept"]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "heartbeats come in time, and it answers"),
        ({"last_reply_at": NOW_AT - 99}, "heartbeats come, but no reply"),
        ({"last_reply_at": None, "pool": "solo"}, "a solo pool answers between two tasks only"),
        ({"status": "silent"}, "no heartbeat, yet it answers"),
        ({"status": "silent", "last_reply_at": None}, "neither heartbeat nor reply"),
        ({"status": "gone"}, "said goodbye"),
    ],
)
def test_two_facts_of_a_worker_are_told_apart(facts: dict[str, object], said: str) -> None:
    view = WorkerView("w@h", "online", pool="prefork", last_reply_at=NOW_AT)

    assert said in why_silent(replace(view, **facts), NOW_AT)  # type: ignore[arg-type]


async def test_earlier_calls_are_recalled_without_their_ids() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        for number in (1, 2):
            await press(pilot, "N")
            await type_text(pilot, "mail.send")
            app.screen.query_one("#field-args", Input).value = f"[{number}]"
            app.screen.query_one("#field-task-id", Input).value = f"id-{number}"
            await press(pilot, "ctrl+s", "escape")

        await press(pilot, "N", "ctrl+up")
        assert app.screen.query_one("#field-args", Input).value == "[2]"
        await press(pilot, "ctrl+up")

        assert app.screen.query_one("#field-args", Input).value == "[1]"
        assert app.screen.query_one("#field-task-id", Input).value == ""
        await press(pilot, "ctrl+s")
    assert [request.arguments["args"] for request in session.requests] == ["[1]", "[2]", "[1]"]


async def test_without_an_earlier_call_nothing_is_offered() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "N")

        assert isinstance(app.screen, CallDialog)
        assert not app.screen.query("#earlier")


async def test_one_dead_letter_may_be_edited_and_two_may_not() -> None:
    session = FakeSession()
    app = Console(session, screen="queues")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "down", "down", "down", "end", "home", "down", "enter", "tab", "R")
        dialog = app.screen
        assert isinstance(dialog, GroupDialog)
        assert "Edit and replay" in shown_text(app)
        dialog.query_one("#which").focus()
        await press(pilot, "down")
        field = dialog.query_one("#box-dead-edit #field-args", Input)
        assert field.value == '[0, "thumb"]'
        field.value = '[0, "full"]'
        await settle(pilot)
        dialog.query_one("#go", Button).press()
        await settle(pilot)
        await press(pilot, "escape", "space", "space", "R")

        assert "Edit and replay" not in shown_text(app)

    assert session.requests[0].action_id == "dead.edit"
    assert session.requests[0].arguments["args"] == '[0, "full"]'

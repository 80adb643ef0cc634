"""The call dialog and names: the only one that fits is taken, one that nobody knows is doubted."""

from __future__ import annotations

from driving import press, settle, shown_text, type_text
from fake import FakeSession
from textual import events
from textual.widgets import Input

from tqconsole.console import Console
from tqconsole.screens.call import CallDialog

SIZE = (80, 24)


async def test_tab_takes_the_only_name_that_goes_on() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "N")
        await type_text(pilot, "img.res")
        await press(pilot, "tab")

        assert app.screen.query_one("#field-task-name", Input).value == "img.resize"
        assert app.focused is not None
        assert app.focused.id == "field-args"


async def test_tab_takes_no_name_for_one_that_is_still_being_typed() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "N")
        field = app.screen.query_one("#field-task-name", Input)
        await type_text(pilot, "img.res")
        for key in "ize":
            field.post_message(events.Key(key, key))
        dialog = app.screen
        assert isinstance(dialog, CallDialog)

        dialog.action_complete()
        await settle(pilot)

        assert field.value == "img.resize"
        assert app.focused is not None
        assert app.focused.id == "field-args"


async def test_a_name_that_no_worker_knows_is_sent_only_when_asked_for_twice() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "N")
        await type_text(pilot, "img.resise")
        await press(pilot, "ctrl+s")
        assert isinstance(app.screen, CallDialog)
        assert "Send again sends it: no worker told of this name; img.resize?" in shown_text(app)
        assert session.requests == []

        await press(pilot, "ctrl+s")

    assert [request.arguments["task_name"] for request in session.requests] == ["img.resise"]

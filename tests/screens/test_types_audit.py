"""The screens of task types and of what was asked for."""

from __future__ import annotations

from driving import press, settle, shown_text, type_text
from fake import NOW_AT, FakeSession

from tqconsole.console import Console
from tqconsole.core.actions import ActionRequest
from tqconsole.core.views import ActionDone, AuditLine, NodeAnswer
from tqconsole.screens.audit import UndoDialog
from tqconsole.screens.call import CallDialog
from tqconsole.screens.replies import RepliesDialog
from tqconsole.screens.tasks import TasksScreen
from tqconsole.screens.types import TypesScreen

SIZE = (120, 36)
LINE = AuditLine(
    NOW_AT,
    "events.enable",
    (),
    "tqconsole control enable_events",
    "2 answered",
    done=ActionDone("Enable task events", (NodeAnswer("w1@h", "task events enabled"),)),
    undo=ActionRequest("events.disable", ("w1@h",)),
)


async def test_errors_of_the_type_under_the_cursor_are_grouped() -> None:
    app = Console(FakeSession(), screen="types")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert "No failure and no retry was seen" in shown_text(app)

        await press(pilot, "down")

        assert "412 x" in shown_text(app)
        assert "img.resize" in shown_text(app)


async def test_an_error_leads_to_the_tasks_that_failed_with_it() -> None:
    app = Console(FakeSession(), screen="types")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "down", "tab", "enter")

        shown = app.shown_screen()
        assert isinstance(shown, TasksScreen)
        assert shown._bar.text == "name:img.resize exc:OSError"


async def test_types_are_filtered_and_sorted() -> None:
    app = Console(FakeSession(), screen="types")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        screen = app.shown_screen()
        assert isinstance(screen, TypesScreen)
        assert next(row.name for row in screen.types.first_rows(9)) == "mail.send"

        await press(pilot, "s", "f")
        assert next(row.name for row in screen.types.first_rows(9)) == "img.resize"

        await press(pilot, "slash")
        await type_text(pilot, "report")
        assert [row.name for row in screen.types.first_rows(9)] == ["report.build"]


async def test_only_failing_types_on_request() -> None:
    app = Console(FakeSession(), screen="types")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "exclamation_mark")
        screen = app.shown_screen()
        assert isinstance(screen, TypesScreen)

        assert [row.name for row in screen.types.first_rows(9)] == ["img.resize"]
        assert "only failing types" in shown_text(app)


async def test_a_new_call_begins_with_the_type_under_the_cursor() -> None:
    app = Console(FakeSession(), screen="types")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "N")

        assert isinstance(app.screen, CallDialog)
        assert "mail.send" in shown_text(app)


async def test_the_audit_shows_answers_again_and_takes_back_after_asking() -> None:
    session = FakeSession()
    session.audit_lines = (LINE,)
    app = Console(session, screen="audit")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert "same as:  tqconsole control enable_events" in shown_text(app)
        await press(pilot, "enter")
        assert isinstance(app.screen, RepliesDialog)
        await press(pilot, "escape", "U")
        assert isinstance(app.screen, UndoDialog)
        assert session.requests == []
        await press(pilot, "right", "enter")

    assert session.requests == [LINE.undo]


async def test_what_nothing_takes_back_opens_no_dialog() -> None:
    session = FakeSession()
    session.audit_lines = (AuditLine(NOW_AT, "queue.purge", ("mail",), "", "9 deleted"),)
    app = Console(session, screen="audit")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        shown = app.shown_screen()
        await press(pilot, "U")

        assert app.screen is shown

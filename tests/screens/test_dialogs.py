"""Dialogs ask before anything is sent, with Cancel focused, and tell what came of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import press, settle, shown_text, type_text
from fake import FakeSession
from rich.color import Color
from rich.style import Style
from textual.widgets import Button, Input

from tqconsole.console import Console
from tqconsole.core.views import ActionDone
from tqconsole.screens.call import CallDialog
from tqconsole.screens.control import GroupDialog
from tqconsole.screens.queue import QueueScreen
from tqconsole.screens.replies import RepliesDialog
from tqconsole.screens.task import TaskScreen
from tqconsole.screens.worker import WorkerScreen
from tqconsole.widgets.look import DARK, LIGHT

SIZE = (120, 36)


def focused_id(app: Console) -> str | None:
    return app.focused.id if app.focused is not None else None


async def test_cancel_has_the_focus_and_enter_sends_nothing() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "X")
        assert isinstance(app.screen, GroupDialog)
        assert focused_id(app) == "cancel"

        await press(pilot, "enter")

        assert not isinstance(app.screen, GroupDialog)
    assert session.requests == []


async def test_a_single_revoke_goes_out_and_shows_every_reply() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "X", "right", "enter")

        assert [r.action_id for r in session.requests] == ["task.revoke"]
        assert session.requests[0].targets == (session.rows[-1].task_id,)
        assert isinstance(app.screen, RepliesDialog)
        text = shown_text(app)
        assert "tasks flagged as revoked" in text
        assert "unknown task" in text
        assert "w2@ip-10-1-1" in text
        assert "no reply in 0.3 s" in text


@pytest.mark.parametrize("theme", [DARK.name, LIGHT.name])
async def test_a_button_that_is_off_can_be_read(theme: str) -> None:
    app = Console(FakeSession(), screen="queues")
    async with app.run_test(size=SIZE) as pilot:
        app.theme = theme
        await settle(pilot)
        await press(pilot, "P")
        purge = app.screen.query_one("#go", Button)
        assert purge.disabled

        styles = [
            style for text, style, _ in purge.render_lines(purge.size.region)[0] if text.strip()
        ]

        assert styles
        # What WCAG 2 asks of text (1.4.3).
        assert all(style is not None and contrast_of(style) >= 4.5 for style in styles)


def contrast_of(style: Style) -> float:
    assert style.color is not None
    assert style.bgcolor is not None
    darker, lighter = sorted(_luminance(it) for it in (style.color, style.bgcolor))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: Color) -> float:
    parts = (value / 255 for value in color.get_truecolor())
    red, green, blue = (
        it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def test_arrows_alone_lead_through_a_dialog() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "X", "up", "down")
        assert "Terminate:" in shown_text(app)

        await press(pilot, "down", "right", "down", "down", "enter")

    assert [request.action_id for request in session.requests] == ["task.terminate"]
    assert session.requests[0].arguments["signal"] == "SIGINT"


async def test_several_targets_want_their_count_typed() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "space", "space", "X")
        go = app.screen.query_one("#go", Button)
        assert go.disabled

        app.screen.query_one("#word", Input).focus()
        await type_text(pilot, "2")
        assert not go.disabled
        await press(pilot, "enter")

    assert len(session.requests[0].targets) == 2


async def test_a_shutdown_wants_the_workers_name() -> None:
    session = FakeSession()
    app = Console(session, screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "X")
        app.screen.query_one("#word", Input).focus()
        await type_text(pilot, "w1@ip")
        assert app.screen.query_one("#go", Button).disabled

        await type_text(pilot, "-10-1-0")
        await press(pilot, "enter")

    assert session.requests[0].action_id == "worker.shutdown"


async def test_the_pool_dialog_sends_the_action_chosen_with_its_fields() -> None:
    session = FakeSession()
    app = Console(session, screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "P")
        app.screen.query_one("#which").focus()
        await press(pilot, "down")
        assert "Shrink the pool: w1@ip-10-1-0 on prod?" in shown_text(app)

        app.screen.query_one("#go", Button).focus()
        await press(pilot, "enter")

    assert session.requests[0].action_id == "worker.pool_shrink"
    assert session.requests[0].arguments == {"count": "1"}


async def test_a_field_that_cannot_be_read_switches_the_button_off() -> None:
    app = Console(FakeSession(), screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "P")
        app.screen.query_one("#box-worker-pool-grow Input", Input).value = "many"
        await settle(pilot)

        assert "a whole number is wanted" in shown_text(app)
        assert app.screen.query_one("#go", Button).disabled


async def test_the_call_dialog_completes_names_and_sends() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "N")
        assert isinstance(app.screen, CallDialog)
        await type_text(pilot, "img")
        await press(pilot, "enter")
        assert app.screen.query_one("#field-task-name", Input).value == "img.resize"
        app.screen.query_one("#field-args", Input).value = '[91, "thumb"]'
        await settle(pilot)
        await press(pilot, "ctrl+s")

    request = session.requests[0]
    assert request.action_id == "task.call"
    assert request.arguments["task_name"] == "img.resize"
    assert request.arguments["args"] == '[91, "thumb"]'


async def test_bad_json_is_told_with_its_column_and_cannot_be_sent() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "N")
        await type_text(pilot, "img.resize")
        app.screen.query_one("#field-args", Input).value = "[91, thumb]"
        await settle(pilot)
        assert "Args, column 6" in shown_text(app)

        await press(pilot, "ctrl+s")
        assert isinstance(app.screen, CallDialog)
    assert session.requests == []


async def test_a_rerun_opens_with_the_arguments_the_task_had() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "R")
        assert isinstance(app.screen, CallDialog)
        assert focused_id(app) == "cancel"
        assert app.screen.query_one("#field-args", Input).value == '[91, "thumb"]'

        await press(pilot, "ctrl+s")

    assert session.requests[0].action_id == "task.rerun"
    assert session.requests[0].targets == (session.rows[-1].task_id,)


async def test_what_was_sent_can_be_opened_from_the_replies() -> None:
    session = FakeSession()
    session.answer = ActionDone("call", task_id=session.rows[3].task_id)
    app = Console(session, screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "b", "enter")

        assert isinstance(app.screen, TaskScreen)


async def test_enter_on_a_reply_opens_that_worker() -> None:
    app = Console(FakeSession(), screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "b", "down", "enter")

        assert isinstance(app.screen, WorkerScreen)


async def test_dead_letters_can_be_replayed_and_dropped_only_on_their_tab() -> None:
    session = FakeSession()
    app = Console(session, screen="queues")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "down", "enter")
        assert isinstance(app.screen, QueueScreen)
        await press(pilot, "R")
        assert isinstance(app.screen, QueueScreen)

        await press(pilot, "tab", "R")
        assert isinstance(app.screen, GroupDialog)
        await press(pilot, "right", "enter")

    assert session.requests[0].action_id == "dead.replay"
    assert session.requests[0].targets == ("letter-0",)


async def test_worker_tabs_ask_for_what_they_show() -> None:
    session = FakeSession()
    app = Console(session, screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        assert "report.build" in shown_text(app)
        await press(pilot, "tab")

        assert '"pid": 4471' in shown_text(app)
    assert ("inspect", "w1@ip-10-1-0", "active") in session.asked
    assert ("inspect", "w1@ip-10-1-0", "stats") in session.asked


@pytest.mark.parametrize("screen", ["tasks", "workers", "events"])
async def test_a_broker_without_events_is_explained(
    screen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = FakeSession(rows=[])
    monkeypatch.setattr(session, "events", lambda *_: ())
    session.view = session.view.__class__(
        now_at=session.view.now_at, link="deaf", link_detail="sqs:// cannot"
    )
    app = Console(session, screen=screen)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)

        assert "NO EVENTS" in shown_text(app)
        assert "cannot send one message to many" in shown_text(app)
        assert "Queues (4), calls (N) and dead letters work." in shown_text(app)


async def test_a_context_has_its_own_colour_in_the_title() -> None:
    session = FakeSession()
    session.view = replace(session.view, context="prod", context_color="#c4314b")
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)

        title = app.screen._compositor.render_strips()[0]
        chip = next(segment for segment in title if segment.text.strip() == "prod")

    assert chip.style is not None
    assert chip.style.bgcolor is not None
    assert chip.style.bgcolor.get_truecolor().hex == "#c4314b"


async def test_events_off_is_said_with_the_key_that_helps() -> None:
    session = FakeSession(rows=[])
    session.view = session.view.__class__(
        now_at=session.view.now_at,
        link="live",
        has_task_events=False,
        workers=session.view.workers,
        totals=session.view.totals,
    )
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)

        assert "send no task events" in shown_text(app)
        assert "press E" in shown_text(app)

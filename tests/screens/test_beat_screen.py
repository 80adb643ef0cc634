"""The Beat screen: the schedule, its next runs, and running an entry now."""

from __future__ import annotations

from dataclasses import replace

from driving import press, settle, shown_text, type_text
from fake import FakeSession

from tqconsole.console import Console
from tqconsole.core.beat_views import BeatPicture
from tqconsole.screens.beat import BeatScreen
from tqconsole.screens.call import CallDialog
from tqconsole.screens.tasks import TasksScreen

SIZE = (120, 36)


def line_of(app: Console, word: str) -> str:
    return next(line for line in shown_text(app).splitlines() if word in line)


async def test_entries_stand_in_the_order_they_are_due() -> None:
    app = Console(FakeSession(), screen="beat")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)

        text = shown_text(app)
        assert "in 18s" in line_of(app, "mail.send")

    names = ("heartbeat", "import-feeds", "gallery", "nightly-report", "cleanup")
    assert [text.index(name) for name in names] == sorted(text.index(name) for name in names)


async def test_what_is_not_known_goes_last_in_both_orders() -> None:
    app = Console(FakeSession(), screen="beat")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "equals_sign")

        text = shown_text(app)

    names = ("nightly-report", "gallery", "import-feeds", "heartbeat", "cleanup")
    assert [text.index(name) for name in names] == sorted(text.index(name) for name in names)


async def test_missed_runs_are_explained_under_the_table() -> None:
    app = Console(FakeSession(), screen="beat")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "down")

        text = shown_text(app)

    assert "2 runs missed" in text
    assert "no task-sent or task-received came" in text


async def test_an_entry_is_run_now_as_it_stands() -> None:
    session = FakeSession()
    app = Console(session, screen="beat")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "down", "B")
        dialog = app.screen
        assert isinstance(dialog, CallDialog)
        assert "Run import-feeds now" in shown_text(app)
        assert dialog.focused is not None
        assert dialog.focused.id == "cancel"

        await press(pilot, "ctrl+s")

    (request,) = session.requests
    assert (request.action_id, request.targets) == ("beat.run", ("import-feeds",))
    assert request.arguments["task_name"] == "import.batch"
    assert request.arguments["args"] == '[["eu", "us"]]'
    assert request.arguments["kwargs"] == '{"full": false}'


async def test_arguments_that_are_no_json_want_to_be_put_right_first() -> None:
    session = FakeSession()
    entry = replace(
        session.view.beat.entries[0], args="(<object>,)", args_json="", kwargs_json="{}"
    )
    session.view = replace(session.view, beat=BeatPicture((entry,), "read"))
    app = Console(session, screen="beat")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "B", "ctrl+s")

        assert isinstance(app.screen, CallDialog)
        assert app.screen.query_one("#go").disabled
        assert "(<object>,)" in shown_text(app)

    assert session.requests == []


async def test_the_next_runs_are_listed() -> None:
    app = Console(FakeSession(), screen="beat")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "v")

        text = shown_text(app)

    assert "Next runs of heartbeat" in text
    assert "in 18s" in text
    assert "in 4m48s" in text


async def test_enter_leads_to_the_tasks_of_the_entry() -> None:
    app = Console(FakeSession(), screen="beat")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter")

        screen = app.screen
        assert isinstance(screen, TasksScreen)
        assert screen._bar.text == "name:mail.send"


async def test_only_entries_with_missed_runs_on_demand_and_by_name() -> None:
    app = Console(FakeSession(), screen="beat")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        screen = app.screen
        assert isinstance(screen, BeatScreen)
        await press(pilot, "exclamation_mark")
        assert len(screen.table) == 1

        await press(pilot, "exclamation_mark", "slash")
        await type_text(pilot, "report build")
        assert len(screen.table) == 1


async def test_without_an_app_the_screen_says_what_to_do() -> None:
    session = FakeSession()
    session.view = replace(session.view, beat=BeatPicture())
    app = Console(session, screen="beat")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)

        assert "tqconsole -A proj" in shown_text(app)


async def test_a_schedule_that_cannot_be_read_says_why() -> None:
    session = FakeSession()
    failed = BeatPicture(state="failed", detail="ImportError: no module named proj")
    session.view = replace(session.view, beat=failed)
    app = Console(session, screen="beat")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)

        assert "ImportError: no module named proj" in shown_text(app)


async def test_events_that_are_off_are_told_where_runs_are_looked_for() -> None:
    session = FakeSession()
    session.view = replace(session.view, has_task_events=False)
    app = Console(session, screen="beat")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert "E turns them on" in shown_text(app)

        await press(pilot, "E", "right", "enter")

    assert [request.action_id for request in session.requests] == ["events.enable"]


async def test_the_actions_say_why_an_entry_cannot_be_switched_off() -> None:
    app = Console(FakeSession(), screen="beat")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "a", "down")

        text = shown_text(app)
        assert "Run now" in text
        assert "Disable, enable" in text
        assert "off: it stands in the app's beat_schedule, read when beat starts" in text

"""Keys of the keymap do what they say, on every screen, and not where they must not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import press, settle, shown_text, type_text
from fake import NOW_AT, FakeSession
from textual.widgets import Input

from tqconsole.console import Console
from tqconsole.core.actions import ActionRequest
from tqconsole.core.keymap import KEYMAP, case_violations
from tqconsole.core.views import AuditLine
from tqconsole.screens.command_line import CommandLine
from tqconsole.screens.control import GroupDialog
from tqconsole.screens.help import HelpScreen
from tqconsole.screens.task import TaskScreen
from tqconsole.screens.tasks import TasksScreen
from tqconsole.widgets.frame import ConsoleScreen

SIZE = (120, 36)
MAINS = ("dashboard", "tasks", "workers", "queues", "types", "beat", "flows", "events", "audit")


UNDOABLE = AuditLine(
    NOW_AT,
    "events.enable",
    (),
    "tqconsole control enable_events",
    "2 answered",
    undo=ActionRequest("events.disable", ("w1@ip-10-1-0",)),
)


def bound_ids(screen: ConsoleScreen) -> set[str]:
    return {
        active.binding.action.split("'")[1]
        for active in screen.active_bindings.values()
        if active.binding.action.startswith("screen.press")
    }


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("1", "dashboard"),
        ("2", "tasks"),
        ("3", "workers"),
        ("4", "queues"),
        ("5", "types"),
        ("6", "beat"),
        ("7", "flows"),
        ("8", "events"),
        ("9", "audit"),
    ],
)
async def test_number_keys_open_the_main_screens(key: str, name: str) -> None:
    app = Console(FakeSession(), screen="tasks" if name != "tasks" else "queues")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, key)

        assert app.current_mode == name


@pytest.mark.parametrize("name", MAINS)
async def test_read_only_has_no_key_that_changes_the_cluster(name: str) -> None:
    app = Console(FakeSession(is_read_only=True), screen=name)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)

        shown = app.shown_screen()

        assert shown is not None
        changing = {entry.binding_id for entry in KEYMAP if entry.does_change}
        assert not bound_ids(shown) & changing


@pytest.mark.parametrize("name", MAINS)
async def test_every_uppercase_key_opens_a_dialog_and_sends_nothing(name: str) -> None:
    session = FakeSession()
    session.audit_lines = (UNDOABLE,)
    app = Console(session, screen=name)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        shown = app.shown_screen()
        assert shown is not None
        keys = [
            entry.keys[0]
            for entry in KEYMAP
            if entry.does_change and entry.binding_id in bound_ids(shown)
        ]
        for key in keys:
            await press(pilot, key)

            assert app.screen is not shown, f"{key} opened no dialog"
            await press(pilot, "escape")
            assert app.screen is shown

    assert session.requests == []


@pytest.mark.parametrize("name", ["dashboard", "tasks", "workers"])
async def test_e_offers_to_switch_task_events_on(name: str) -> None:
    session = FakeSession()
    app = Console(session, screen=name)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "E", "right", "enter")

    assert [request.action_id for request in session.requests] == ["events.enable"]
    assert bool(session.requests[0].targets) == (name == "workers")


@pytest.mark.parametrize("word", ["filter", "pool", "consume", "events", "copy"])
async def test_help_shows_every_text_whole(word: str) -> None:
    app = Console(FakeSession(), screen="workers")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "question_mark")
        assert isinstance(app.screen, HelpScreen)
        await type_text(pilot, word)

        lines = [line[4:76] for line in shown_text(app).splitlines()[3:-4]]
        assert any(word in line for line in lines)
        assert not any("…" in line for line in lines)


def test_the_keymap_keeps_the_rule_of_upper_case() -> None:
    assert case_violations() == []


async def test_escape_peels_one_layer_at_a_time() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        screen = app.shown_screen()
        assert isinstance(screen, TasksScreen)
        await press(pilot, "slash")
        await type_text(pilot, "img")
        await press(pilot, "enter", "space")
        assert screen.table.marks

        await press(pilot, "escape")
        assert not screen.table.marks
        assert screen._bar.text == "img"

        await press(pilot, "escape")
        assert screen._bar.text == ""


async def test_a_wrong_filter_is_told_and_the_last_good_one_stays() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        screen = app.shown_screen()
        assert isinstance(screen, TasksScreen)
        await press(pilot, "slash")
        await type_text(pilot, "img")
        before = len(screen.table)
        await type_text(pilot, "(")

        assert "a ) is missing" in shown_text(app)
        assert len(screen.table) == before


async def test_the_footer_shows_only_keys_that_work_here() -> None:
    app = Console(FakeSession(is_read_only=True), screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)

        footer = shown_text(app).splitlines()[-1]

        assert "b ping" in footer
        assert "shut down" not in footer


async def test_the_footer_offers_nothing_more_below_a_dialog() -> None:
    app = Console(FakeSession(is_read_only=True), screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "a")

        assert "shut down" not in shown_text(app).splitlines()[-1]


async def test_q_goes_back_and_quits_only_when_pressed_twice_at_the_root() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        assert isinstance(app.screen, TaskScreen)
        await press(pilot, "q")
        assert isinstance(app.screen, TasksScreen)

        await press(pilot, "q")
        assert app.is_running
        await pilot.press("q")

    assert app.return_value == 0


async def test_history_goes_back_and_forward() -> None:
    app = Console(FakeSession(), screen="dashboard")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "3", "left_square_bracket")
        assert app.current_mode == "tasks"

        await press(pilot, "right_square_bracket")
        assert app.current_mode == "workers"


async def test_brackets_in_a_task_go_to_its_neighbours() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        screen = app.screen
        assert isinstance(screen, TaskScreen)
        first_id = screen._task_id

        await press(pilot, "right_square_bracket")
        assert screen._task_id == session.rows[-2].task_id
        await press(pilot, "left_square_bracket")
        assert screen._task_id == first_id


async def test_p_pauses_and_escape_resumes() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "p")
        assert "PAUSED" in shown_text(app)

        await press(pilot, "escape")
        assert "LIVE" in shown_text(app)


async def test_the_command_line_knows_aliases_and_filters() -> None:
    app = Console(FakeSession(), screen="dashboard")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "colon")
        assert isinstance(app.screen, CommandLine)
        await type_text(pilot, "t img")
        await press(pilot, "enter")

        screen = app.screen
        assert isinstance(screen, TasksScreen)
        assert screen._bar.text == "img"


async def test_the_command_line_recalls_what_was_typed() -> None:
    app = Console(FakeSession(), screen="dashboard")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "colon")
        await type_text(pilot, "queues")
        await press(pilot, "enter", "colon", "up")

        assert app.screen.query_one(Input).value == "queues"


async def test_help_finds_a_key_by_what_it_does() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "question_mark")
        assert isinstance(app.screen, HelpScreen)
        await type_text(pilot, "rate limit")

        assert "rate limit, time limits" in shown_text(app)
        assert "half a page" not in shown_text(app)


async def test_help_finds_a_key_of_another_screen() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "question_mark")
        await type_text(pilot, "purge")

        assert "queues" in shown_text(app).split("purge")[-1]


async def test_sort_menu_orders_by_the_column_picked() -> None:
    app = Console(FakeSession(), screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "s", "d")

        text = shown_text(app)
        assert "DONE ▼" in text
        assert text.index("w1@ip-10-1-0") < text.index("w3@ip-10-1-2")


async def test_copying_goes_to_the_clipboard() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "c", "i")

    assert app.clipboard == session.rows[-1].task_id


async def test_a_problem_of_the_dashboard_leads_to_its_cause() -> None:
    app = Console(FakeSession(), screen="dashboard")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "down", "enter")

        screen = app.screen
        assert isinstance(screen, TasksScreen)
        assert screen._bar.text == "name:img.resize state:FAILURE"


async def test_the_action_menu_opens_the_dialog_of_what_is_picked() -> None:
    app = Console(FakeSession(), screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "a")
        await type_text(pilot, "E")

        assert isinstance(app.screen, GroupDialog)


async def test_slots_that_are_not_known_are_no_total() -> None:
    session = FakeSession()
    session.view = replace(session.view, totals=replace(session.view.totals, slot_count=None))
    app = Console(session, screen="dashboard")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)

        assert "Active 142/?" in shown_text(app)


async def test_a_tiny_window_shows_a_message_and_the_numbers() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=(50, 12)) as pilot:
        await settle(pilot)

        text = shown_text(app)
        assert "too small" in text
        assert "18/20" in text


async def test_times_turn_from_age_to_clock() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "t", "t")

        assert "14:02:30" in shown_text(app)

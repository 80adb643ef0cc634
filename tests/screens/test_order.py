"""The order of a list: its menu, and where one looks after it changed."""

from __future__ import annotations

from driving import press, settle, shown_text
from fake import FakeSession, make_row

from tqconsole.console import Console
from tqconsole.widgets.requests import Goto
from tqconsole.widgets.vtable import VTable

SIZE = (80, 24)


async def test_the_sort_menu_names_a_column_whose_title_is_a_single_sign() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "s")

        assert "s  state" in shown_text(app)


async def test_another_order_is_looked_at_from_its_top() -> None:
    app = Console(FakeSession([make_row(n) for n in range(100)]), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        table = app.screen.query_one("#task-table", VTable)
        await press(pilot, "ctrl+d", "greater_than_sign")

        assert table.cursor_row is table.first_rows(1)[0]


async def test_a_filter_that_leaves_the_cursors_row_out_is_looked_at_from_its_top() -> None:
    rows = [make_row(n, name="kept" if n < 100 else "other") for n in range(300)]
    app = Console(FakeSession(rows), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        table = app.screen.query_one("#task-table", VTable)
        await press(pilot, *["ctrl+d"] * 12)
        await press(pilot, "slash", *"kept", "enter")

        assert table.cursor_row is table.first_rows(1)[0]
        assert "▸" in shown_text(app)


async def test_who_comes_for_the_tasks_of_a_type_begins_at_the_newest() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        table = app.screen.query_one("#task-table", VTable)
        await press(pilot, "ctrl+d", "ctrl+d")
        before = table.cursor_row
        assert before is not None
        app.post_message(Goto("tasks", expression=before.name))
        await settle(pilot)

        assert len(table) > 1
        assert table.cursor_row is table.first_rows(1)[0]
        assert table.cursor_row is not before

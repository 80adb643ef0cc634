"""What is painted, filtered and laid out again, and what is taken as it was."""

from __future__ import annotations

from fake import Rows
from textual.app import ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import Static

from tqconsole.core.views import TaskRow
from tqconsole.widgets.columns import Column
from tqconsole.widgets.filter_bar import FilterBar
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import LookApp
from tqconsole.widgets.vtable import VTable


class TableApp(LookApp):
    CSS = ".filter-sign { width: 8; } FilterInput { width: 1fr; } Horizontal { height: 1; }"

    def __init__(self) -> None:
        super().__init__()
        columns: list[Column[TaskRow]] = [
            Column("name", "NAME", 10, lambda row, *_: (row.name, "error"))
        ]
        self.table: VTable[TaskRow] = VTable(
            columns, id_of=lambda row: row.task_id, revision_of=lambda row: row.revision
        )
        self.clock = Static("12:00")
        self.bar = FilterBar(examples="name:img")
        self.asked: list[int] = []

    def compose(self) -> ComposeResult:
        yield self.clock
        yield self.bar
        yield self.table

    def watch_table(self) -> None:
        plain = self.table.render_line
        self.table.render_line = lambda y: (self.asked.append(y), plain(y))[1]  # type: ignore[method-assign]

    def painted(self) -> list[Strip]:
        return self.table.render_lines(Region(0, 0, *self.table.size))


async def test_an_empty_table_says_what_it_says_now() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.empty_lines = [[("asking", "")]]
        app.table.show(Rows([]), 0.0)
        await pilot.pause()
        app.watch_table()

        app.table.empty_lines = [[("no answer", "")]]
        app.table.show(Rows([]), 0.0)
        await pilot.pause()

        assert app.asked
        assert any("no answer" in strip.text for strip in app.painted())


async def test_a_note_that_loses_and_regains_a_digit_is_laid_out_once() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 12)) as pilot:
        app.bar.show_note([("10,002/s", "")])
        await pilot.pause()
        layouts: list[object] = []
        app.screen.screen_layout_refresh_signal.subscribe(app.table, layouts.append)
        note = app.bar.query(Lines).filter(".filter-note").first()

        for text in ("9,997/s", "10,001/s", "998/s"):
            app.bar.show_note([(text, "")])
            await pilot.pause()
            assert note.plain.endswith(f" {text}")
            assert note.region.right == 60

        assert layouts == []


async def test_a_note_takes_no_room_that_it_does_not_need() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 12)) as pilot:
        note = app.bar.query(Lines).filter(".filter-note").first()

        for text in ("12 of 10,000 rows", "none", "12 of 10,000 rows"):
            app.bar.show_note([(text, "")])
            await pilot.pause()
            assert note.plain.strip() == text
            assert note.region.width <= len(text) + 6

"""What is painted, filtered and laid out again, and what is taken as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from fake import Rows, make_row
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from textual.app import ComposeResult
from textual.color import Color
from textual.filter import ANSIToTruecolor, DimFilter, LineFilter, Monochrome, NoColor
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import Static

from tqconsole.core.views import TaskRow
from tqconsole.widgets.columns import Column
from tqconsole.widgets.filter_bar import FilterBar
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import DARK, LIGHT, LookApp
from tqconsole.widgets.style_filters import StyleFilters
from tqconsole.widgets.vtable import VTable

GROUND = Color.parse("#101820")
TRUE = Style(color="#aabbcc", bgcolor="#101820")
NAMED = Style(color="red", bgcolor="black")
DIM = Style(color="#aabbcc", bgcolor="#101820", dim=True)


FILTERS: list[LineFilter] = [
    ANSIToTruecolor(DEFAULT_TERMINAL_THEME),
    Monochrome(),
    NoColor(),
    DimFilter(),
]


def line(*styles: Style | None) -> Strip:
    return Strip([Segment("a word", style) for style in styles])


@pytest.mark.parametrize("line_filter", FILTERS)
@pytest.mark.parametrize("styles", [[TRUE], [NAMED], [DIM], [TRUE, DIM], [DIM, TRUE], []])
def test_lines_are_filtered_as_textual_does(line_filter: LineFilter, styles: list[Style]) -> None:
    filters = StyleFilters()

    for _ in range(2):
        strip = line(*styles)
        assert filters.filtered([strip], line_filter, GROUND) == [
            strip.apply_filter(line_filter, GROUND)
        ]


def test_a_line_of_true_colours_is_not_made_anew() -> None:
    strip = line(TRUE, None, TRUE)
    line_filter = ANSIToTruecolor(DEFAULT_TERMINAL_THEME)

    assert StyleFilters().filtered([strip], line_filter, GROUND)[0] is strip


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
        self.more_filters: list[LineFilter] = []
        self.register_theme(replace(DARK, name="other", error="#00ff00"))

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *self.more_filters]

    def compose(self) -> ComposeResult:
        yield self.clock
        yield self.bar
        yield self.table

    def watch_table(self) -> None:
        plain = self.table.render_line
        self.table.render_line = lambda y: (self.asked.append(y), plain(y))[1]  # type: ignore[method-assign]

    def painted(self) -> list[Strip]:
        return self.table.render_lines(Region(0, 0, *self.table.size))


def fifty_rows() -> Rows:
    return Rows([make_row(n, name=f"row-{n}") for n in range(50)])


async def test_a_table_that_stays_is_not_painted_with_what_moves_beside_it() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 12)) as pilot:
        rows = fifty_rows()
        app.table.show(rows, 0.0)
        await pilot.pause()
        app.watch_table()

        app.clock.update("12:01")
        await pilot.pause()
        assert app.asked == []

        rows.rows[0].name = "changed"
        rows.rows[0].revision += 1
        app.table.show(rows, 0.0)
        await pilot.pause()
        assert app.asked


CHANGES: dict[str, Callable[[TableApp], object]] = {
    "theme": lambda app: setattr(app, "theme", LIGHT.name),
    "colour of a word": lambda app: setattr(app, "theme", "other"),
    "filter": lambda app: app.more_filters.append(Monochrome()),
    "colours of the terminal": lambda app: setattr(app, "theme", "ansi-dark"),
    "ground": lambda app: setattr(app.table.styles, "background", "red"),
    "ground below": lambda app: setattr(app.screen.styles, "background", "red"),
    "border": lambda app: setattr(app.table.styles, "border", ("heavy", "red")),
    "focus": lambda app: app.bar.start(),
    "cursor": lambda app: app.table.move(1),
    "page": lambda app: app.table.page(1),
    "wheel": lambda app: app.table.scroll_to(y=3, animate=False),
    "marks": lambda app: app.table.mark_all(),
    "rows": lambda app: app.table.show(Rows([make_row(1, name="other")]), 0.0),
    "no rows": lambda app: app.table.show(Rows([]), 0.0),
    "columns": lambda app: (app.table.columns.clear(), app.table.repaint()),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_kept_lines_are_what_would_be_painted_anew(change: str) -> None:
    app = TableApp()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.focus()
        app.table.show(fifty_rows(), 0.0)
        await pilot.pause()
        before = app.painted()

        CHANGES[change](app)
        await pilot.pause()

        after = app.painted()
        app.table.repaint()
        assert after == app.painted()
        assert after != before


async def test_kept_lines_fit_a_terminal_of_another_size() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.show(fifty_rows(), 0.0)
        await pilot.resize_terminal(50, 9)

        app.clock.update("12:01")
        await pilot.pause()

        assert {strip.cell_length for strip in app.painted()} == {app.table.size.width}
        assert len(app.painted()) == app.table.size.height


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

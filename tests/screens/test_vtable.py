"""The virtual table: what is painted, and what stays in place while rows move."""

from __future__ import annotations

from fake import Rows, make_row
from rich.style import Style
from textual.app import ComposeResult

from tqconsole.core.views import TaskRow
from tqconsole.widgets.columns import GAP, Column, place
from tqconsole.widgets.look import LookApp, make_look
from tqconsole.widgets.pieces import strip_of
from tqconsole.widgets.vtable import VTable


def name_cell(row: TaskRow, *_: object) -> str:
    return row.name


COLUMNS: list[Column[TaskRow]] = [
    Column("name", "NAME", 10, name_cell, flex=1),
    Column("more", "MORE", 10, name_cell, priority=2),
    Column("most", "MOST", 10, name_cell, priority=5),
]


def newest_first(count: int) -> Rows:
    return Rows([make_row(n, name=f"row-{n}") for n in range(count, 0, -1)])


class TableApp(LookApp):
    def __init__(self) -> None:
        super().__init__()
        self.table: VTable[TaskRow] = VTable(
            COLUMNS, id_of=lambda row: row.task_id, revision_of=lambda row: row.revision
        )

    def compose(self) -> ComposeResult:
        yield self.table

    def lines(self) -> list[str]:
        return [self.table.render_line(y).text.rstrip() for y in range(self.table.size.height)]


async def test_only_visible_rows_are_asked_for() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        rows = newest_first(100_000)
        asked: list[int] = []
        plain_row = rows.row
        rows.row = lambda index: (asked.append(index), plain_row(index))[1]  # type: ignore[assignment]

        app.table.show(rows, 0.0)
        await pilot.pause()

        assert len(set(asked)) <= 12


async def test_the_cursor_stays_on_its_row_when_newer_ones_come() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(newest_first(50), 0.0)
        app.table.focus()
        await pilot.pause()
        app.table.go_to(3)
        row = app.table.cursor_row
        assert row is not None

        app.table.show(newest_first(55), 0.0)
        await pilot.pause()

        assert app.table.cursor_row is not None
        assert app.table.cursor_row.name == row.name


async def test_a_view_below_the_top_stands_still_and_counts_the_newer() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(newest_first(50), 0.0)
        await pilot.pause()
        app.table.go_to(20)
        await pilot.pause()
        before = app.lines()

        app.table.show(newest_first(57), 0.0)
        await pilot.pause()

        assert app.lines()[2:] == before[2:]
        assert "▲ 7 newer" in app.lines()[1]


class StreamApp(TableApp):
    """A list that new rows come into at its top."""

    def __init__(self) -> None:
        super().__init__()
        self.table = VTable(
            COLUMNS,
            id_of=lambda row: row.task_id,
            revision_of=lambda row: row.revision,
            is_following=True,
        )


async def test_a_stream_that_stands_keeps_the_cursors_row_where_it_is() -> None:
    app = StreamApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(newest_first(50), 0.0)
        await pilot.pause()
        app.table.move(3)
        before = app.lines()

        app.table.show(newest_first(90), 0.0)
        await pilot.pause()

        assert app.lines()[2:] == before[2:]
        assert "▲ 40 newer" in app.lines()[1]


async def test_other_rows_are_looked_at_from_their_top_or_from_the_row_they_share() -> None:
    app = StreamApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(newest_first(90), 0.0)
        await pilot.pause()
        app.table.move(60)
        rows = newest_first(90).rows

        app.table.take(Rows(rows[40:80]))
        app.table.show(Rows(rows[40:80]), 0.0)
        await pilot.pause()
        shared = app.table.cursor_row, any("row-30" in line for line in app.lines())
        app.table.take(Rows(rows[:40]))
        app.table.show(Rows(rows[:40]), 0.0)
        await pilot.pause()

        assert shared == (rows[60], True)
        assert app.table.cursor_row is rows[0]
        assert "row-90" in app.lines()[1]


async def test_following_keeps_to_the_newest() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.is_following = True
        app.table.show(newest_first(50), 0.0)
        await pilot.pause()

        app.table.show(newest_first(51), 0.0)
        await pilot.pause()

        assert app.table.cursor_row is not None
        assert app.table.cursor_row.name == "row-51"


async def test_marks_are_kept_by_id() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(newest_first(50), 0.0)
        await pilot.pause()
        app.table.toggle_mark()
        marked = set(app.table.marks)

        app.table.show(newest_first(60), 0.0)

        assert app.table.marks == marked
        assert app.table.picked_ids == tuple(marked)


async def test_a_range_is_marked_from_the_last_mark_to_the_cursor() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(newest_first(50), 0.0)
        await pilot.pause()
        app.table.toggle_mark()
        app.table.go_to(4)
        app.table.mark_range()

        assert len(app.table.marks) == 5


async def test_a_changed_row_alone_is_painted_anew() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 12)) as pilot:
        rows = newest_first(50)
        app.table.show(rows, 0.0)
        await pilot.pause()
        regions: list[object] = []
        app.table.refresh = lambda *args, **_: regions.extend(args)  # type: ignore[assignment,method-assign]

        rows.rows[3].name = "changed"
        rows.rows[3].revision += 1
        app.table.show(rows, 0.0)

        assert [region.y for region in regions] == [4]  # type: ignore[attr-defined]


async def test_an_unchanged_frame_paints_nothing() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 12)) as pilot:
        rows = newest_first(50)
        app.table.show(rows, 0.0)
        await pilot.pause()
        refreshed: list[object] = []
        app.table.refresh = lambda *args, **_: refreshed.append(args)  # type: ignore[assignment,method-assign]

        app.table.show(rows, 0.0)

        assert refreshed == []


async def test_a_list_that_grows_lays_nothing_out() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.show(newest_first(500), 0.0)
        await pilot.pause()
        layouts: list[object] = []
        app.screen.screen_layout_refresh_signal.subscribe(app.table, layouts.append)

        app.table.show(newest_first(501), 0.0)
        await pilot.pause()
        app.table.show(newest_first(900), 0.0)
        await pilot.pause()

        assert layouts == []
        assert app.table.max_scroll_y == 901 - 12 + app.table.scrollbar_size_horizontal


async def test_the_bar_comes_and_goes_with_the_length() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 12)) as pilot:
        seen = []
        for count in (11, 12, 11):
            app.table.show(newest_first(count), 0.0)
            await pilot.pause()
            seen.append((app.table.show_vertical_scrollbar, app.table.max_scroll_y > 0))

        assert seen == [(False, False), (True, True), (False, False)]


async def test_the_bar_knows_the_length_when_the_view_moves() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 12)) as pilot:
        for count in (100_000, 100_003):
            app.table.show(newest_first(count), 0.0)
            await pilot.pause()

        app.table.move_to(-1)
        await pilot.pause()

        bar = app.table.vertical_scrollbar
        assert app.table.scroll_y > 99_900
        assert (bar.window_virtual_size, bar.position) == (100_004, app.table.scroll_y)


def test_neighbours_of_one_style_are_one_segment() -> None:
    look = make_look({}, is_ascii=False)

    strip = strip_of([("a", "bold"), ("", "dim"), ("日", "bold"), ("c", ""), ("\t", "")], look,
                     Style(color="red"), 8)  # fmt: skip

    assert [segment.text for segment in strip] == ["a日", "c    "]
    assert strip.cell_length == 8


def test_columns_fall_away_by_priority() -> None:
    assert [p.column.key for p in place(COLUMNS, 40)] == ["name", "more", "most"]
    assert [p.column.key for p in place(COLUMNS, 30)] == ["name", "more"]
    assert [p.column.key for p in place(COLUMNS, 15)] == ["name"]


def test_the_room_that_is_left_goes_to_flexible_columns() -> None:
    placed = place(COLUMNS, 60)

    assert sum(p.width for p in placed) + GAP * 2 == 60
    assert placed[0].width == 36


async def test_cells_are_cut_by_width_and_not_by_length() -> None:
    app = TableApp()
    async with app.run_test(size=(24, 6)) as pilot:
        app.table.show(Rows([make_row(1, name="日本語日本語日本語日本語")]), 0.0)
        await pilot.pause()

        strip = app.table.render_line(1)

        assert strip.cell_length == 24
        assert "…" in strip.text

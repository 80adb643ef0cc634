"""A table for very many rows that change all the time.

Only the visible lines cost anything: a line is painted when it is asked for, from the row itself,
and kept while the row's revision stays. Cursor and marks are held by id, never by index, so a
list that moves does not move them. It knows no cluster: columns say what a row shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip

from tqconsole.widgets.columns import GAP, Column, Placed, place
from tqconsole.widgets.pieces import Piece, strip_of
from tqconsole.widgets.rows import RowChosen, RowMoved, SortAsked, Source
from tqconsole.widgets.table_paint import GUTTER, chip_text, column_at, header_line, row_line
from tqconsole.widgets.tall_view import Canvas, TallView

RowT = TypeVar("RowT")


class VTable(TallView, Generic[RowT], can_focus=True, inherit_bindings=False):
    """The virtual table. It binds no keys: a screen maps the keys of `core.keymap` to it."""

    def __init__(
        self,
        columns: Sequence[Column[RowT]],
        *,
        id_of: Callable[[RowT], str],
        revision_of: Callable[[RowT], object] | None = None,
        has_header: bool = True,
        is_following: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's own name
    ) -> None:
        super().__init__(id=id)
        self.columns = list(columns)
        #: Keys of the columns that are not to be seen.
        self.hidden: frozenset[str] = frozenset()
        self._id_of = id_of
        self._revision_of = revision_of or hash
        self._header_lines = 1 if has_header else 0
        self._source: Source[RowT] | None = None
        self._now_at = 0.0
        self._placed: list[Placed[RowT]] = []
        self._strips: dict[tuple[object, ...], Strip] = {}
        self._painted: dict[int, tuple[object, ...]] = {}
        self._cursor_index = 0
        self._anchor_id: str | None = None
        #: New rows come in above the others: once it stands, it stands by the cursor's row.
        self._grows_on_top = is_following
        self.cursor_id: str | None = None
        self.marks: set[str] = set()
        self._mark_start = 0
        self.is_following = is_following
        self.is_wide = False
        self.sort_key = ""
        self.is_descending = False
        #: What an empty table says, line by line.
        self.empty_lines: list[list[Piece]] = []
        #: Rows above the first visible one that came since the view stands still.
        self.newer_count = 0

    # what it shows

    def show(self, source: Source[RowT], now_at: float) -> None:
        """Draw `source` as it is now; repaints only the visible lines that changed."""
        self._source = source
        self._now_at = now_at
        self._keep_place()
        self.virtual_size = self._whole_size()
        self._refresh_changed()

    def take(self, source: Source[RowT]) -> None:
        """Stand in other rows: on the same one where they have it, else at their top."""
        self._source = source
        if not self.is_following and self.cursor_id is not None:
            self.virtual_size = self._whole_size()
            self.go_to(source.index_of(self.cursor_id) or 0)

    def _keep_place(self) -> None:
        """Hold the cursor on its row and the view on its rows while the list moves."""
        source = self._source
        if source is None or not len(source) or self.is_following:
            self.newer_count = 0
            self._move_cursor(0)
            self.scroll_y = self.scroll_target_y = 0
            return
        index = source.index_of(self.cursor_id) if self.cursor_id is not None else None
        self._hold_view(source, index)
        self._move_cursor(min(self._cursor_index, len(source) - 1) if index is None else index)

    def _hold_view(self, source: Source[RowT], cursor_index: int | None) -> None:
        top = self._top()
        held = self._held_top(source, cursor_index, top)
        if held is not None and held != top:
            self.newer_count += max(0, held - top)
            self.virtual_size = self._whole_size()
            self.scroll_y = self.scroll_target_y = held
            top = held
        self.newer_count = 0 if top == 0 else min(self.newer_count, top)

    def _held_top(self, source: Source[RowT], cursor_index: int | None, top: int) -> int | None:
        """Return where the first visible line is to be, None where nothing holds it."""
        line = self._cursor_index - top
        if self._grows_on_top and cursor_index is not None and 0 <= line < self.page_lines:
            return max(0, min(cursor_index - line, len(source) - self.page_lines))
        return source.index_of(self._anchor_id) if self._anchor_id is not None and top > 0 else None

    def _move_cursor(self, index: int) -> None:
        self._cursor_index = max(0, index)
        row = self.cursor_row
        row_id = None if row is None else self._id_of(row)
        self._note_anchor()
        if row_id != self.cursor_id:
            self.cursor_id = row_id
            self.post_message(RowMoved(self, row_id))

    def _note_anchor(self) -> None:
        source = self._source
        top = self._top()
        if source is not None and top < len(source):
            self._anchor_id = self._id_of(source.row(top))

    def _top(self) -> int:
        return int(self.scroll_offset.y)

    @property
    def page_lines(self) -> int:
        """How many rows are visible at once."""
        return max(1, self.size.height - self._header_lines)

    @property
    def cursor_row(self) -> RowT | None:
        """The row under the cursor, as it is now."""
        source = self._source
        if source is None or not 0 <= self._cursor_index < len(source):
            return None
        return source.row(self._cursor_index)

    @property
    def picked_ids(self) -> tuple[str, ...]:
        """The marked rows, else the one under the cursor."""
        if self.marks:
            return tuple(sorted(self.marks))
        return (self.cursor_id,) if self.cursor_id is not None else ()

    def first_rows(self, limit: int) -> list[RowT]:
        """Return the first rows, for an export."""
        return list(islice(self._source, limit)) if self._source is not None else []

    def __len__(self) -> int:
        return len(self._source) if self._source is not None else 0

    def __bool__(self) -> bool:
        return True

    # marks

    def toggle_mark(self) -> None:
        """Mark the row under the cursor, or take its mark off, and go on to the next."""
        if self.cursor_id is None:
            return
        self.marks ^= {self.cursor_id}
        self._mark_start = self._cursor_index
        self.move(1)
        self._marked()

    def mark_range(self) -> None:
        """Mark every row from the one marked last to the cursor."""
        if self._source is None or not len(self._source):
            return
        start, end = sorted((min(self._mark_start, len(self) - 1), self._cursor_index))
        self.marks |= {self._id_of(self._source.row(index)) for index in range(start, end + 1)}
        self._marked()

    def mark_all(self) -> None:
        """Mark every row that is in the list now."""
        if self._source is not None:
            self.marks = {self._id_of(row) for row in self._source}
        self._marked()

    def clear_marks(self) -> None:
        """Take all marks off."""
        self.marks = set()
        self._marked()

    def _marked(self) -> None:
        """Draw the marks, and let the screen say anew how many there are."""
        self.repaint()
        self.post_message(RowMoved(self, self.cursor_id))

    # painting

    def _total_width(self) -> int:
        if not self.is_wide:
            return max(1, self.size.width)
        placed = place(self._shown_columns(), 0, is_wide=True)
        return GUTTER + sum(item.width + GAP for item in placed)

    def _whole_size(self) -> Size:
        return Size(self._total_width(), len(self) + self._header_lines)

    def _layout_columns(self) -> list[Placed[RowT]]:
        room = max(1, self.size.width - GUTTER - 1)
        self._placed = place(self._shown_columns(), room, is_wide=self.is_wide)
        return self._placed

    def _shown_columns(self) -> list[Column[RowT]]:
        return [column for column in self.columns if column.key not in self.hidden]

    def _key(self, row: RowT, index: int) -> tuple[object, ...]:
        row_id = self._id_of(row)
        return (
            row_id,
            self._revision_of(row),
            index == self._cursor_index,
            row_id in self.marks,
            int(self._now_at),
            self.has_focus,
        )

    def _refresh_changed(self) -> None:
        source = self._source
        if source is None:
            return
        top = self._top()
        painted: dict[int, tuple[object, ...]] = {}
        for y in range(self.page_lines):
            index = top + y
            if index < len(source):
                painted[y] = self._key(source.row(index), index)
            else:
                painted[y] = ("", () if len(source) else self.empty_lines)
        painted[-1] = (self.newer_count, self.sort_key, self.is_descending, bool(self.marks))
        changed = [y for y, key in painted.items() if self._painted.get(y) != key]
        self._painted = painted
        if len(changed) > self.page_lines // 2:
            self.refresh()
            return
        width = self.size.width
        for y in changed:
            self.refresh(Region(0, max(0, y + self._header_lines), width, 1))
        if -1 in changed:
            self.refresh(Region(0, self._header_lines, width, 1))

    def render_line(self, y: int) -> Strip:
        """Return one visible line: titles, a row, or what stands where there are no rows."""
        canvas = self.canvas
        if not self._placed:
            self._layout_columns()
        if y < self._header_lines:
            return self._scrolled(self._header(canvas), canvas)
        index = self._top() + y - self._header_lines
        source = self._source
        if source is None or index >= len(source):
            return self._blank_line(y, canvas)
        strip = self._scrolled(self._row_strip(source.row(index), index, canvas), canvas)
        if y == self._header_lines and self.newer_count and not self.is_following:
            return self._with_chip(strip, canvas)
        return strip

    def _row_strip(self, row: RowT, index: int, canvas: Canvas) -> Strip:
        look = canvas.look
        key = (*self._key(row, index), canvas.width, canvas.ground, self.is_wide, id(look))
        strip = self._strips.get(key)
        if strip is not None:
            return strip
        is_cursor = index == self._cursor_index and (self.has_focus or self.has_class("-steady"))
        is_marked = self._id_of(row) in self.marks
        sign = look.glyphs.cursor if is_cursor else look.glyphs.mark if is_marked else " "
        line = row_line(self._placed, row, look, self._now_at, sign)
        style = "cursor" if is_cursor else "picked" if is_marked else ""
        ground = look.style_over(canvas.ground, style)
        strip = strip_of(line, look, ground, self._strip_width(canvas))
        if len(self._strips) > 3 * canvas.height:
            self._strips.clear()
        self._strips[key] = strip
        return strip

    def _strip_width(self, canvas: Canvas) -> int:
        return max(canvas.width, self._total_width()) if self.is_wide else canvas.width

    def _header(self, canvas: Canvas) -> Strip:
        look = canvas.look
        line = header_line(self._placed, self.sort_key, look, is_descending=self.is_descending)
        return strip_of(line, look, canvas.ground, self._strip_width(canvas))

    def _scrolled(self, strip: Strip, canvas: Canvas) -> Strip:
        if not self.is_wide and strip.cell_length == canvas.width:
            return strip
        left = int(self.scroll_offset.x) if self.is_wide else 0
        return strip.crop_extend(left, left + canvas.width, canvas.ground)

    def _with_chip(self, strip: Strip, canvas: Canvas) -> Strip:
        text = chip_text(self.newer_count, canvas.look)
        chip = strip_of([(text, "chip")], canvas.look, canvas.ground, len(text))
        width = canvas.width - chip.cell_length - 1
        return Strip.join([strip.crop(0, width), chip, strip.crop(canvas.width - 1)])

    def _blank_line(self, y: int, canvas: Canvas) -> Strip:
        position = y - self._header_lines - (1 if self.page_lines > 6 else 0)
        is_empty = self._source is None or not len(self._source)
        if is_empty and 0 <= position < len(self.empty_lines):
            line: list[Piece] = [(" " * GUTTER, ""), *self.empty_lines[position]]
            return strip_of(line, canvas.look, canvas.ground, canvas.width)
        return Strip.blank(canvas.width, canvas.ground)

    def repaint(self) -> None:
        """Forget what was painted and draw everything anew."""
        self._strips.clear()
        self._painted.clear()
        self._layout_columns()
        self.refresh()

    def notify_style_update(self) -> None:
        """Colours changed: nothing painted before is right."""
        super().notify_style_update()
        self._strips.clear()

    # moving

    def on_resize(self) -> None:
        """Fit the columns to the new width."""
        self.virtual_size = self._whole_size()
        self.repaint()

    def on_focus(self) -> None:
        """Show the cursor."""
        self.repaint()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.repaint()

    def move(self, step: int) -> None:
        """Move the cursor by rows."""
        self.go_to(self._cursor_index + step)

    def page(self, pages: float) -> None:
        """Move the cursor by pages."""
        self.go_to(self._cursor_index + int(self.page_lines * pages))

    def move_to(self, index: int) -> None:
        """Move the cursor to a row; -1 is the last."""
        self.go_to(len(self) - 1 if index < 0 else index)

    def sideways(self, cells: int) -> None:
        """Scroll a wide table."""
        if self.is_wide:
            self.scroll_to(x=max(0, self.scroll_x + cells), animate=False, force=True)

    def go_to(self, index: int) -> None:
        """Put the cursor on a row, bring it into view, stop following."""
        if self._source is None or not len(self._source):
            return
        index = max(0, min(len(self._source) - 1, index))
        self.is_following = False
        top = self._top()
        if index < top:
            self.scroll_y = self.scroll_target_y = index
        elif index >= top + self.page_lines:
            self.scroll_y = self.scroll_target_y = index - self.page_lines + 1
        if self._top() == 0:
            self.newer_count = 0
        self._move_cursor(index)
        self._refresh_changed()

    def go_to_id(self, row_id: str) -> bool:
        """Put the cursor on the row with this id; False when it is not here."""
        index = self._source.index_of(row_id) if self._source is not None else None
        if index is None:
            return False
        self.go_to(index)
        return True

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Remember which row is at the top: the view stays there."""
        super().watch_scroll_y(old_value, new_value)
        self._note_anchor()

    def on_click(self, event: events.Click) -> None:
        """Pick the row clicked; twice opens it; a title asks to sort."""
        if event.y < self._header_lines:
            key = column_at(self._placed, event.x + int(self.scroll_offset.x))
            if key:
                self.post_message(SortAsked(self, key))
            return
        index = self._top() + event.y - self._header_lines
        if self._source is None or index >= len(self._source):
            return
        self.go_to(index)
        if event.chain >= 2 and self.cursor_id is not None:
            self.post_message(RowChosen(self, self.cursor_id))

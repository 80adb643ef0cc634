"""How the lines of a virtual table are put together: pure functions of row, columns and look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tqconsole.widgets.columns import GAP, Cell, Placed
from tqconsole.widgets.figures import count
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, aligned

RowT = TypeVar("RowT")

#: Cells left of the first column: cursor or mark sign, a blank.
GUTTER = 2


def row_line(
    placed: Sequence[Placed[RowT]], row: RowT, look: Look, now_at: float, sign: str
) -> list[Piece]:
    """Return the pieces of one row."""
    line: list[Piece] = [(sign.ljust(GUTTER), "accent")]
    # What has no style of its own, gaps above all, waits to become one piece.
    plain = ""
    for index, item in enumerate(placed):
        if index:
            plain += " " * GAP
        for text, style in aligned(
            _pieces(item.column.cell(row, look, now_at, item.width)),
            item.width,
            is_right=item.column.is_right,
            ellipsis=look.glyphs.ellipsis,
        ):
            if not style:
                plain += text
                continue
            if plain:
                line.append((plain, ""))
                plain = ""
            line.append((text, style))
    if plain:
        line.append((plain, ""))
    return line


def header_line(
    placed: Sequence[Placed[RowT]], sort_key: str, look: Look, *, is_descending: bool
) -> list[Piece]:
    """Return the pieces of the titles; the one that orders the rows bears an arrow."""
    line: list[Piece] = [(" " * GUTTER, "")]
    for index, item in enumerate(placed):
        title, style = item.column.title, "dim bold"
        if item.column.key == sort_key:
            arrow = look.glyphs.down if is_descending else look.glyphs.up
            title, style = f"{title} {arrow}", "bold"
        if index:
            line.append((" " * GAP, ""))
        line += aligned([(title, style)], item.width, is_right=item.column.is_right)
    return line


def chip_text(newer_count: int, look: Look) -> str:
    """Return what tells that newer rows stand above the view."""
    return f" {look.glyphs.up} {count(newer_count)} newer "


def column_at(placed: Sequence[Placed[RowT]], x: int) -> str:
    """Return the key of the sortable column at a cell, "" for none."""
    left = GUTTER
    for item in placed:
        if left <= x < left + item.width + GAP:
            return item.column.key if item.column.is_sortable else ""
        left += item.width + GAP
    return ""


def _pieces(cell: Cell) -> list[Piece]:
    if isinstance(cell, str):
        return [(cell, "")]
    return [cell] if isinstance(cell, tuple) else cell

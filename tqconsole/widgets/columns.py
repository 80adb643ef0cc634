"""Columns of a virtual table and which of them fit.

A column has a priority: 0 always stays, the highest falls away first when the screen is narrow.
What room is left goes to the columns that can use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece

RowT = TypeVar("RowT")

#: Cells between two columns.
GAP = 2

#: What a cell function returns: plain text, one piece, or several.
Cell = str | Piece | list[Piece]


@dataclass(frozen=True, slots=True)
class Column(Generic[RowT]):
    """One column. `cell(row, look, now_at, width)` gives what it shows."""

    key: str
    title: str
    width: int
    cell: Callable[[RowT, Look, float, int], Cell]
    is_right: bool = False
    #: Share of the room that is left; 0 keeps the width.
    flex: int = 0
    #: Most cells a flexible column grows to.
    limit: int = 1000
    priority: int = 0
    is_sortable: bool = True

    @property
    def is_largest_first(self) -> bool:
        """True when the first press sorts the largest up: amounts, but not ages."""
        return self.is_right and self.key not in ("age", "seen")


@dataclass(frozen=True, slots=True)
class Placed(Generic[RowT]):
    """A column with the width it got."""

    column: Column[RowT]
    width: int


def place(
    columns: Sequence[Column[RowT]], room: int, *, is_wide: bool = False
) -> list[Placed[RowT]]:
    """Return the columns that fit into `room` cells, and their widths; all of them when wide."""
    kept = list(columns)
    while not is_wide and len(kept) > 1 and _needed(kept) > room:
        worst = max(kept, key=lambda column: column.priority)
        if worst.priority == 0:
            break
        kept.remove(worst)
    spare = max(0, room - _needed(kept))
    widths = {column.key: column.width for column in kept}
    while spare > 0:
        growing = [c for c in kept if c.flex and widths[c.key] < c.limit]
        if not growing:
            break
        shares = sum(column.flex for column in growing)
        given = 0
        for column in growing:
            share = min(
                max(1, spare * column.flex // shares),
                column.limit - widths[column.key],
                spare - given,
            )
            widths[column.key] += share
            given += share
        spare -= given
    return [Placed(column, widths[column.key]) for column in kept]


def _needed(columns: Sequence[Column[RowT]]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)

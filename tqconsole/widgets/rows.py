"""Rows for a table, and what a table tells about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from textual.message import Message
from textual.widget import Widget

RowT = TypeVar("RowT")
RowT_co = TypeVar("RowT_co", covariant=True)


class Source(Protocol[RowT_co]):
    """The rows of a table, in order. A table asks for what it shows and copies nothing."""

    def __len__(self) -> int: ...

    def row(self, index: int) -> RowT_co:
        """Return the row at `index`."""
        ...

    def index_of(self, row_id: str, /) -> int | None:
        """Return where a row stands now, None when it is not here."""
        ...

    def __iter__(self) -> Iterator[RowT_co]: ...


class ListSource(Generic[RowT]):
    """A short list of rows as a source."""

    def __init__(self, rows: Sequence[RowT], id_of: Callable[[RowT], str]) -> None:
        self._rows = rows
        self._id_of = id_of
        self._index: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[RowT]:
        return iter(self._rows)

    def row(self, index: int) -> RowT:
        """Return the row at `index`."""
        return self._rows[index]

    def index_of(self, row_id: str, /) -> int | None:
        """Return where a row stands, None when it is not here."""
        if self._index is None:
            # A table that follows its newest row never asks.
            self._index = {self._id_of(row): index for index, row in enumerate(self._rows)}
        return self._index.get(row_id)


class _OfTable(Message):
    """A message that `@on(..., "#id")` can tell apart by its table."""

    def __init__(self, table: Widget) -> None:
        super().__init__()
        self.table = table

    @property
    def control(self) -> Widget:
        """The table it happened in."""
        return self.table


class RowChosen(_OfTable):
    """The row under the cursor was clicked twice: open it."""

    def __init__(self, table: Widget, row_id: str) -> None:
        super().__init__(table)
        self.row_id = row_id


class RowMoved(_OfTable):
    """The cursor stands on another row, or on none."""

    def __init__(self, table: Widget, row_id: str | None) -> None:
        super().__init__(table)
        self.row_id = row_id


class SortAsked(_OfTable):
    """A column's title was clicked."""

    def __init__(self, table: Widget, key: str) -> None:
        super().__init__(table)
        self.key = key

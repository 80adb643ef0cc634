"""A screen around tables: what the keys of every list do.

Marks, movement, sorting, copying, describing and exporting are the same on every list; a screen
says what a row is called, what can be copied of it and what may be done with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tqconsole.core.actions import actions_for
from tqconsole.core.secrets import hide_in
from tqconsole.core.setup import Setup
from tqconsole.widgets.frame import ConsoleScreen, Handler
from tqconsole.widgets.menu import Choice, Menu
from tqconsole.widgets.pieces import printable
from tqconsole.widgets.records import export_text
from tqconsole.widgets.requests import CopyAsked, ExportAsked, GroupAsked
from tqconsole.widgets.rows import RowChosen, SortAsked
from tqconsole.widgets.text_viewer import TextDialog
from tqconsole.widgets.touched import why_off
from tqconsole.widgets.vtable import VTable

#: Rows that one export takes at most: it runs on the UI's thread.
EXPORT_LIMIT = 20_000


class TableScreen(ConsoleScreen):
    """A screen whose keys act on its table."""

    #: Keys that come before the screen has settled are the table's, not the filter's.
    AUTO_FOCUS = "VTable"
    #: Target kind of `core.actions` of the rows; "" when nothing can be done with them.
    target_kind = ""

    @property
    def table(self) -> VTable[Any]:
        """The table that has the focus, else the first one."""
        focused = self.focused
        return focused if isinstance(focused, VTable) else self.query(VTable).first()

    @property
    def main_table(self) -> VTable[Any]:
        """The table that the screen is about."""
        return self.query(VTable).first()

    def on_mount(self) -> None:
        """Hide the columns that the setup says. Textual calls a subclass's `on_mount` as well."""
        setup = getattr(self.app, "setup", None)
        if isinstance(setup, Setup) and setup.hidden_columns.get(self.TAB):
            self.hide_columns(setup.hidden_columns[self.TAB])

    def hide_columns(self, keys: Iterable[str]) -> None:
        """Show the table without these columns; its first one always stays."""
        table = self.main_table
        table.hidden = frozenset(keys) - {table.columns[0].key}
        table.on_resize()

    # what a subclass says

    def open_row(self, row_id: str) -> None:
        """Open a row."""

    def copies_of(self, row: Any) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied of a row: (letter, label, text)."""
        return ()

    def as_record(self, row: Any) -> dict[str, Any]:
        """Return a row as a JSON-able record, for describing and exporting."""
        return {}

    def targets(self) -> tuple[str, ...]:
        """Return what an action would act on: the marked rows, else the one under the cursor."""
        return self.table.picked_ids

    def target_names(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        """Return what people call the targets."""
        return targets

    def sort_by(self, key: str, *, is_descending: bool) -> None:
        """Order the rows by a column."""

    def out_of_reach(self) -> Sequence[tuple[str, str]]:
        """Return what one would look for among the actions and cannot have: (label, why not)."""
        return ()

    def chosen_by(self) -> str:
        """Return how the targets were chosen, for dialogs."""
        marks = len(self.table.marks)
        return f"{marks} marked" if marks else ""

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what the keys of every list do."""
        return {
            "list.open": self.open,
            "list.describe": self.describe,
            "list.up": lambda: self.table.move(-1),
            "list.down": lambda: self.table.move(1),
            "list.left": lambda: self.table.sideways(-8),
            "list.right": lambda: self.table.sideways(8),
            "list.top": lambda: self.table.move_to(0),
            "list.bottom": lambda: self.table.move_to(-1),
            "list.page_up": lambda: self.table.page(-1),
            "list.page_down": lambda: self.table.page(1),
            "list.half_up": lambda: self.table.page(-0.5),
            "list.half_down": lambda: self.table.page(0.5),
            "list.wide": self.toggle_wide,
            "list.mark": lambda: self.table.toggle_mark(),
            "list.mark_range": lambda: self.table.mark_range(),
            "list.mark_all": lambda: self.table.mark_all(),
            "list.clear_marks": lambda: self.table.clear_marks(),
            "list.sort": self._sort_menu,
            "list.sort_left": lambda: self._shift_sort(-1),
            "list.sort_right": lambda: self._shift_sort(1),
            "list.reverse": self._reverse,
            "list.copy": self._copy_menu,
            "list.export": self._export_menu,
            "list.actions": self.open_actions_menu,
        }

    def tab_handlers(self, turn: Callable[[int], object]) -> dict[str, Handler]:
        """Return what the keys of a line of tabs do: `turn` shows the next (1) or the last (-1)."""
        return {"tabs.next": lambda: turn(1), "tabs.previous": lambda: turn(-1)}

    def group_handlers(self, prefix: str, groups: Iterable[str]) -> dict[str, Handler]:
        """Return handlers that open the dialog of a group for the targets."""
        return {f"{prefix}.{group}": self._group_asker(group) for group in groups}

    def _group_asker(self, group: str) -> Handler:
        return lambda: self.ask_group(group)

    def ask_group(self, group: str, action_id: str = "") -> None:
        """Ask for the dialog of a group of actions."""
        targets = self.targets()
        if not targets and self.target_kind not in ("worker", "cluster"):
            self.notify("Nothing is under the cursor.", markup=False, timeout=3)
            return
        self.post_message(
            GroupAsked(
                self.target_kind,
                group,
                targets,
                action_id=action_id,
                chosen_by=self.chosen_by(),
                names=self.target_names(targets),
            )
        )

    def escape(self) -> bool:
        """Peel off the marks."""
        if self.table.marks:
            self.table.clear_marks()
            return True
        return False

    def open(self) -> None:
        """Open the row under the cursor."""
        if self.table.cursor_id is not None:
            self.open_row(self.table.cursor_id)

    def on_row_chosen(self, message: RowChosen) -> None:
        """Open the row clicked twice."""
        self.open_row(message.row_id)

    def describe(self) -> None:
        """Show the row as JSON."""
        row = self.table.cursor_row
        if row is not None:
            record = hide_in(self.as_record(row))
            text = json.dumps(record, indent=2, ensure_ascii=False, default=str)
            self.open_text("As JSON", text)

    def open_text(self, title: str, text: str) -> None:
        """Show a text over the screen."""
        self.app.push_screen(TextDialog(title, text))

    def toggle_wide(self) -> None:
        """Show all columns, with room to scroll sideways, or those that fit."""
        table = self.table
        table.is_wide = not table.is_wide
        table.scroll_to(x=0, animate=False, force=True)
        table.on_resize()

    # order

    def on_sort_asked(self, message: SortAsked) -> None:
        """Order by the title that was clicked; a second click turns it round."""
        self._sort(message.key)

    def _sort(self, key: str) -> None:
        table = self.table
        column = next(column for column in table.columns if column.key == key)
        is_again = key == table.sort_key
        is_descending = not table.is_descending if is_again else column.is_largest_first
        self._order(key, is_descending=is_descending)

    def _order(self, key: str, *, is_descending: bool) -> None:
        """Order by a column, and look at what is first by it."""
        self.sort_by(key, is_descending=is_descending)
        if not self.table.is_following:
            self.table.move_to(0)

    def _sort_menu(self) -> None:
        columns = [column for column in self.table.columns if column.is_sortable]
        names = [
            column.title.lower() if len(column.title) > 1 else column.key for column in columns
        ]
        choices = [
            Choice(column.key, name, letter)
            for column, name, letter in zip(columns, names, _letters(names), strict=True)
        ]
        self.app.push_screen(Menu("Sort by", choices), self._picked_sort)

    def _picked_sort(self, key: str | None) -> None:
        if key:
            self._sort(key)

    def _shift_sort(self, step: int) -> None:
        keys = [column.key for column in self.table.columns if column.is_sortable]
        if not keys:
            return
        current = keys.index(self.table.sort_key) if self.table.sort_key in keys else 0
        self._order(keys[(current + step) % len(keys)], is_descending=self.table.is_descending)

    def _reverse(self) -> None:
        if self.table.sort_key:
            self._order(self.table.sort_key, is_descending=not self.table.is_descending)

    # menus

    def _copy_menu(self) -> None:
        row = self.table.cursor_row
        if row is None:
            return
        copies = [*self.copies_of(row), ("j", "row as JSON", self._as_json(row))]
        self.open_copy_menu(copies)

    def open_copy_menu(self, copies: Sequence[tuple[str, str, str]]) -> None:
        """Let one of (letter, label, text) be picked and copied."""
        choices = [
            Choice(
                letter, label, letter, printable(text[:60]) if text else "nothing there", not text
            )
            for letter, label, text in copies
        ]
        texts = {letter: (text, label) for letter, label, text in copies}

        def picked(letter: str | None) -> None:
            if letter:
                text, label = texts[letter]
                self.post_message(CopyAsked(text, label))

        self.app.push_screen(Menu("Copy", choices), picked)

    def _as_json(self, row: Any) -> str:
        return json.dumps(hide_in(self.as_record(row)), ensure_ascii=False, default=str)

    def _export_menu(self) -> None:
        rows = f"{min(len(self.table), EXPORT_LIMIT):,} rows"
        choices = [
            Choice("ndjson", "NDJSON", "n", rows),
            Choice("json", "JSON", "j", rows),
            Choice("csv", "CSV", "c", rows),
            Choice("svg", "picture of the screen", "s", "SVG"),
        ]
        self.app.push_screen(Menu("Export what is shown", choices), self._picked_export)

    def _picked_export(self, kind: str | None) -> None:
        if kind == "svg":
            self.post_message(ExportAsked("screen", "svg", ""))
        elif kind:
            records = [hide_in(self.as_record(row)) for row in self.table.first_rows(EXPORT_LIMIT)]
            self.post_message(ExportAsked(self.TAB or "rows", kind, export_text(records, kind)))

    def open_actions_menu(self) -> None:
        """Let one of the actions be picked; those that are off say why."""
        targets = self.targets()
        offered = [
            (action, why_off(self.session, action, targets))
            for action in actions_for(self.target_kind)
        ]
        choices = [
            Choice(action.action_id, action.label, action.key, off or action.help, bool(off))
            for action, off in offered
        ]
        choices += [
            Choice(label, label, "", f"off: {why}", is_off=True)
            for label, why in self.out_of_reach()
        ]
        if choices:
            self.app.push_screen(Menu("Actions", choices), self._picked_action)

    def _picked_action(self, action_id: str | None) -> None:
        for action in actions_for(self.target_kind):
            if action.action_id == action_id:
                self.ask_group(action.group, action.action_id)


def _letters(titles: Sequence[str]) -> list[str]:
    """Return one letter for each title: its first one that is still free."""
    taken: set[str] = set()
    letters = []
    for title in titles:
        free = next((c for c in title.lower() if c.isalnum() and c not in taken), "")
        taken.add(free)
        letters.append(free)
    return letters

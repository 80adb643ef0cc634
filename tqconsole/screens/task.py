"""One task: what happened when, what it was called with, how it ended, and its family."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from tqconsole.core.port import ConsoleSession
from tqconsole.core.secrets import hide_in
from tqconsole.core.views import Changes, Snapshot, TaskFacts, TaskRow
from tqconsole.widgets import figures
from tqconsole.widgets.cells import short_id, shown_state
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import screen_bindings
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.pieces import Piece
from tqconsole.widgets.requests import Awaited, ExportAsked, Goto
from tqconsole.widgets.rows import ListSource
from tqconsole.widgets.secrets_dialog import SecretsDialog
from tqconsole.widgets.tab_strip import TabStrip
from tqconsole.widgets.table_screen import TableScreen
from tqconsole.widgets.task_columns import task_record
from tqconsole.widgets.task_facts import (
    Known,
    args_text,
    fact_lines,
    family_lines,
    result_text,
    timeline_lines,
)
from tqconsole.widgets.text_viewer import TextView
from tqconsole.widgets.vtable import VTable

TABS = (
    ("overview", "Overview"),
    ("args", "Args"),
    ("result", "Result"),
    ("timeline", "Timeline"),
    ("family", "Family"),
    ("raw", "Raw"),
)


def _family_name(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.name


def _family_state(row: TaskRow, look: Look, _now_at: float, _width: int) -> Cell:
    state = shown_state(row)
    return (f"{look.glyphs.states.get(state, look.glyphs.unknown)} {state}", state)


def _family_id(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.task_id, "dim")


def _family_run(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.seconds(row.runtime_s)


FAMILY: list[Column[TaskRow]] = [
    Column("state", "STATE", 10, _family_state, is_sortable=False),
    Column("name", "NAME", 20, _family_name, flex=1, is_sortable=False),
    Column("id", "ID", 36, _family_id, priority=3, is_sortable=False),
    Column("run", "RUN s", 8, _family_run, is_right=True, is_sortable=False),
]


#: State, start, end and retries: what a result store's record is written anew for.
_Stage = tuple[str, float | None, float | None, int]


class TaskScreen(TableScreen):
    """The details of one task."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *screen_bindings("task", "tabs", "list", "global"),
    ]
    TAB = ""
    target_kind = "task"

    def __init__(
        self, session: ConsoleSession, task_id: str, siblings: tuple[str, ...] = ()
    ) -> None:
        super().__init__(session)
        self._task_id = task_id
        self._siblings = siblings
        self._facts: TaskFacts | None = None
        #: How far the task had come when the facts were asked for.
        self._stage: _Stage | None = None
        self._is_fetching = False
        self._shows_secrets = False
        self._family: tuple[TaskRow, ...] = ()

    # layout

    def content(self) -> Iterable[Widget]:
        """Return the tabs and what is in them."""
        yield TabStrip(TABS)
        with ContentSwitcher(initial="overview"):
            with Vertical(id="overview"):
                with Horizontal(classes="pair"):
                    yield _panel("timeline-box", "Timeline")
                    yield _panel("facts-box", "Facts")
                traceback = TextView(id="traceback")
                traceback.add_class("panel")
                yield traceback
                with Horizontal(classes="pair"):
                    yield _panel("args-box", "Args")
                    yield _panel("family-box", "Family")
            yield TextView(id="args")
            yield TextView(id="result")
            yield Lines(id="timeline")
            yield VTable[TaskRow](FAMILY, id_of=lambda row: row.task_id, id="family")
            yield TextView(id="raw", is_wrapped=False)

    def on_mount(self) -> None:
        """Ask for what the events do not tell."""
        self.query_one("#traceback", TextView).focus()
        self._fetch()

    def _fetch(self) -> None:
        asked_for = self._task_id
        self._stage = _stage_of(self.session.task(asked_for))
        self._is_fetching = True

        def deliver(facts: TaskFacts) -> None:
            if facts.task_id == asked_for == self._task_id:
                self._facts = facts
                self._is_fetching = False
                self.redraw()

        self.post_message(Awaited(self.session.fetch_task(self._task_id), deliver))

    def _fetch_what_changed(self) -> None:
        """Ask anew when the task has started, been tried again or ended since."""
        if not self._is_fetching and _stage_of(self.session.task(self._task_id)) != self._stage:
            self._fetch()

    def crumbs(self) -> Sequence[str]:
        """Return the way to here."""
        return ("tasks", f"{self._known().name or 'task'} {short_id(self._task_id)}")

    def title_note(self) -> list[Piece]:
        """Return the state."""
        state = self._known().state
        sign = look_of(self).glyphs.states.get(state, "?")
        return [(f"{sign} {state}", f"bold {state}")]

    def _known(self) -> Known:
        return Known.of(
            self._task_id,
            self.session.task(self._task_id),
            self._facts,
            shows_secrets=self._shows_secrets,
        )

    # drawing

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw what is known now."""
        self._fetch_what_changed()
        known = self._known()
        if changes.row_count or changes.stats:
            self._family = self.session.family(self._task_id)
        now_at = snapshot.now_at
        self.query_one("#timeline-box", Lines).show(timeline_lines(known, now_at))
        is_short = self.has_class("-short")  # Then the panel of the arguments is left out.
        self.query_one("#facts-box", Lines).show(fact_lines(known, is_short=is_short))
        self.query_one("#timeline", Lines).show(timeline_lines(known, now_at, is_tall=True))
        self._draw_outcome(known)
        self.query_one("#args-box", Lines).show_lines(
            [[(line, "")] for line in args_text(known).split("\n")]
        )
        box = self.query_one("#args-box", Lines)
        box.border_title = Content(self._args_title(known))
        self.query_one("#family-box", Lines).show(family_lines(self._family, self._task_id))
        self.query_one("#args", TextView).show(args_text(known))
        self.query_one("#result", TextView).show(result_text(known))
        self.query_one("#raw", TextView).show(self._raw(is_masked=not self._shows_secrets))
        table = self.query_one("#family", VTable)
        table.empty_lines = [[("no other task of this family was seen", "dim")]]
        table.show(ListSource(self._family, lambda row: row.task_id), now_at)

    def _args_title(self, known: Known) -> str:
        """Return the title of the arguments: where they are from, and what becomes of secrets."""
        notes = [known.args_note] if known.args_note else []
        if known.has_secrets and not self.session.is_read_only:
            verb = "hides" if self._shows_secrets else "shows"
            notes.insert(0, f"{self.key('task.unmask')} {verb} secrets")
        return f"Args ({'; '.join(notes)})" if notes else "Args"

    def _draw_outcome(self, known: Known) -> None:
        viewer = self.query_one("#traceback", TextView)
        title = "Traceback" if known.traceback or known.exception else "Result"
        viewer.border_title = Content(title)
        words = ("find", "zoom", "wrap", "copy")
        hints = (f"{self.key(f'task.{word}')} {word}" for word in words)
        viewer.border_subtitle = Content("  ".join(hints))
        # The last lines of a traceback say what went wrong, and where.
        text = known.traceback or known.exception or result_text(known)
        viewer.show(text, from_end=bool(known.traceback))

    def _raw(self, *, is_masked: bool = True) -> str:
        row = self.session.task(self._task_id)
        record = task_record(row) if row is not None else {}
        if self._facts is not None:
            names = TaskFacts.__slots__
            record["found"] = {name: getattr(self._facts, name) for name in names}
        masked = hide_in(record) if is_masked else record
        return json.dumps(masked, indent=2, ensure_ascii=False, default=str)

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        kept = {
            key: value
            for key, value in super().handlers().items()
            if key in ("list.open", "list.up", "list.down", "list.top", "list.bottom")
        }
        return {
            **kept,
            **self.tab_handlers(self.turn_tab),
            **self.group_handlers("task", ("rerun", "revoke")),
            "task.previous": lambda: self._neighbour(-1),
            "task.next": lambda: self._neighbour(1),
            "task.copy": self._copy,
            "task.export": self._export,
            "task.find": self._find,
            "task.zoom": self._zoom,
            "task.wrap": self._wrap,
            "task.unmask": self._unmask,
            "task.parent": self._go_to_parent,
            "task.flow": lambda: self.post_message(Goto("flow", self._task_id)),
            "task.actions": self.open_actions_menu,
        }

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Rows are there only in the family's tab."""
        is_of_rows = action == "press" and str(parameters[0]) == "list.open"
        if is_of_rows and self.is_ready and self.query_one(ContentSwitcher).current != "family":
            return False
        return super().check_action(action, parameters)

    def targets(self) -> tuple[str, ...]:
        """Return this task."""
        return (self._task_id,)

    def chosen_by(self) -> str:
        """Return nothing: there is just the one."""
        return ""

    def escape(self) -> bool:
        """Peel off the zoom."""
        if self.has_class("-zoomed"):
            self.remove_class("-zoomed")
            return True
        return False

    def turn_tab(self, step: int) -> None:
        """Show the next tab."""
        self._open_tab(self.query_one(TabStrip).turn(step))

    def on_tab_strip_picked(self, message: TabStrip.Picked) -> None:
        """Show the tab clicked."""
        self._open_tab(message.name)

    def _open_tab(self, name: str) -> None:
        self.query_one(ContentSwitcher).current = name
        target = "#traceback" if name == "overview" else f"#{name}"
        widget = self.query_one(target)
        if widget.can_focus:
            widget.focus()
        self.refresh_bindings()
        self.redraw()

    def _find(self) -> None:
        """Open the text in a viewer that can find."""
        viewer = self._viewer()
        if viewer is not None:
            self.open_text("Text", viewer.text)

    def _viewer(self) -> TextView | None:
        return self.focused if isinstance(self.focused, TextView) else None

    def _neighbour(self, step: int) -> None:
        if self._task_id not in self._siblings:
            return
        index = self._siblings.index(self._task_id) + step
        if 0 <= index < len(self._siblings):
            self._task_id = self._siblings[index]
            self._facts = None
            self._shows_secrets = False
            self._fetch()
            self.redraw()

    def _copy(self) -> None:
        known = self._known()
        self.open_copy_menu(
            [
                ("i", "id", self._task_id),
                ("a", "args", args_text(known)),
                ("r", "result", known.result),
                ("t", "traceback", known.traceback or known.exception),
                ("j", "as JSON", self._raw()),
            ]
        )

    def _export(self) -> None:
        self.post_message(ExportAsked(f"task-{short_id(self._task_id)}", "json", self._raw()))

    def _zoom(self) -> None:
        self.toggle_class("-zoomed")

    def _wrap(self) -> None:
        viewer = self._viewer()
        if viewer is not None:
            viewer.toggle_wrap()

    def _unmask(self) -> None:
        """Show what is hidden, once that was confirmed; or hide it again."""
        known = self._known()
        if self._shows_secrets:
            self._show_secrets(is_on=False)
        elif not known.has_secrets:
            self.notify("Nothing is hidden in these arguments.", markup=False, timeout=3)
        elif self.session.is_read_only:
            self.notify("A read-only console shows no secrets.", markup=False, timeout=3)
        else:
            task_id = self._task_id
            dialog = SecretsDialog(f"{known.name} {short_id(task_id)}")
            self.app.push_screen(dialog, lambda is_on: self._unmasked(task_id, is_on=bool(is_on)))

    def _unmasked(self, task_id: str, *, is_on: bool) -> None:
        if is_on and task_id == self._task_id:
            self.session.note("show secrets", (task_id,), "shown on the screen")
            self._show_secrets(is_on=True)

    def _show_secrets(self, *, is_on: bool) -> None:
        self._shows_secrets = is_on
        self.redraw()

    def _go_to_parent(self) -> None:
        row = self.session.task(self._task_id)
        if row is not None and row.parent_id:
            self.post_message(Goto("task", row.parent_id))
        else:
            self.notify("This task has no parent.", markup=False, timeout=3)

    def open_row(self, row_id: str) -> None:
        """Open a relative."""
        if row_id != self._task_id:
            self.post_message(Goto("task", row_id))


def _stage_of(row: TaskRow | None) -> _Stage | None:
    return None if row is None else (row.state, row.started_at, row.ended_at, row.retries)


def _panel(widget_id: str, title: str) -> Lines:
    panel = Lines(id=widget_id, classes="panel")
    panel.border_title = Content(title)
    return panel

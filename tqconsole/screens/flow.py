"""One flow: its tasks as a tree, over time, and as a graph; its critical path in bold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from tqconsole.core.flows import (
    FlowNode,
    failed_rows,
    flow_nodes,
    flow_views,
    to_dot,
    to_mermaid,
    unfinished_rows,
)
from tqconsole.core.port import ConsoleSession
from tqconsole.core.secrets import hide_in
from tqconsole.core.views import Changes, Snapshot, TaskRow
from tqconsole.widgets import figures
from tqconsole.widgets.cells import short_id
from tqconsole.widgets.flow_columns import TREE, gantt_columns
from tqconsole.widgets.flow_graph import graph_lines
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.keys import screen_bindings
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.menu import Choice, Menu
from tqconsole.widgets.pieces import Piece, clipped, line_width
from tqconsole.widgets.requests import ExportAsked, Goto, GroupAsked
from tqconsole.widgets.rows import ListSource
from tqconsole.widgets.tab_strip import TabStrip
from tqconsole.widgets.table_screen import TableScreen
from tqconsole.widgets.task_columns import task_record
from tqconsole.widgets.vtable import VTable
from tqconsole.widgets.wide_lines import WideLines

TABS = (("tree", "Tree"), ("gantt", "Gantt"), ("graph", "Graph"))


class FlowScreen(TableScreen):
    """The details of one flow, found by any task of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *screen_bindings("flow", "tabs", "list", "global"),
    ]
    TAB = ""
    target_kind = "task"

    def __init__(self, session: ConsoleSession, task_id: str) -> None:
        super().__init__(session)
        self._task_id = task_id
        self._family: tuple[TaskRow, ...] = ()
        self._steps: list[FlowNode] = []

    def content(self) -> Iterable[Widget]:
        """Return the tabs, what is in them, and the critical path."""
        yield TabStrip(TABS)
        with ContentSwitcher(initial="tree"):
            yield VTable[FlowNode](TREE, id_of=_node_id, id="tree")
            yield VTable[FlowNode](gantt_columns(self._span), id_of=_node_id, id="gantt")
            yield WideLines(id="graph")
        yield Lines(id="critical-path", classes="totals")

    def on_mount(self) -> None:
        """Begin in the tree."""
        self.query_one("#tree", VTable).focus()

    @property
    def table(self) -> VTable[FlowNode]:
        """The table of the tab that is shown; the tree's under the graph."""
        current = self.query_one(ContentSwitcher).current
        return self.query_one("#gantt" if current == "gantt" else "#tree", VTable)

    def crumbs(self) -> Sequence[str]:
        """Return the way to here."""
        name = self._family[0].name if self._family else "flow"
        return ("flows", f"{name} {short_id(self._root_id())}")

    def title_note(self) -> list[Piece]:
        """Return how far it is."""
        views = flow_views(self._family)
        if not views:
            return []
        view = views[0]
        sign = look_of(self).glyphs.states[view.state]
        failed = f", {view.failed_count} failed" if view.failed_count else ""
        took = figures.duration(view.took_s(self.snapshot.now_at))
        text = f"{sign} {view.done_count}/{view.total_count} done{failed}, {took} "
        return [(text, f"bold {view.state}")]

    # drawing

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw what is known of the family now."""
        if not (changes.row_count or changes.stats or changes.link):
            return
        self._family = self.session.family(self._task_id)
        self._steps = flow_nodes(self._family)
        for table in self.query(VTable):
            table.empty_lines = [[("This task is not kept here any more.", "dim")]]
            table.show(ListSource(self._steps, _node_id), snapshot.now_at)
        self.query_one("#graph", WideLines).show(graph_lines(self._family))
        self.query_one("#critical-path", Lines).show(self._path_lines)

    def _path_lines(self, width: int, look: Look) -> list[list[Piece]]:
        path = [node.row for node in self._steps if node.is_critical]
        lines = [_path_line(path, look, times) for times in (_waits_and_runs, _took)]
        fitting = next((line for line in lines if line_width(line) <= width), lines[-1])
        return [clipped(fitting, width, look.glyphs.ellipsis)] if path else [[]]

    def _span(self) -> tuple[float, float]:
        views = flow_views(self._family)
        if not views or views[0].began_at is None:
            return (0.0, 0.0)
        return (views[0].began_at, views[0].ended_at or self.snapshot.now_at)

    def _root_id(self) -> str:
        return self._family[0].root_id or self._task_id if self._family else self._task_id

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here."""
        off = ("list.sort", "list.reverse", "list.mark", "list.clear_marks", "list.actions")
        kept = {key: it for key, it in super().handlers().items() if not key.startswith(off)}
        graph = self.query_one("#graph", WideLines).moves()
        moves = {key: self._moving(move, kept[key]) for key, move in graph.items()}
        return {
            **kept,
            **moves,
            **self.tab_handlers(self.turn_tab),
            "flow.copy": kept.pop("list.copy"),
            "flow.export": self._export_flow,
            "flow.rerun": lambda: self._ask("rerun", failed_rows(self._family), "nothing failed"),
            "flow.revoke": lambda: self._ask(
                "revoke", unfinished_rows(self._family), "all have ended"
            ),
        }

    def _moving(self, in_graph: Handler, in_table: Handler) -> Handler:
        """Return what moves in the tab that is shown."""
        tabs = self.query_one(ContentSwitcher)
        return lambda: in_graph() if tabs.current == "graph" else in_table()

    def _ask(self, group: str, rows: Sequence[TaskRow], otherwise: str) -> None:
        if not rows:
            self.notify(f"In this flow {otherwise}.", markup=False, timeout=3)
            return
        ids = tuple(row.task_id for row in rows)
        chosen = f"{figures.plural(len(ids), 'task')} of this flow"
        self.post_message(GroupAsked("task", group, ids, chosen_by=chosen))

    def turn_tab(self, step: int) -> None:
        """Show the next tab."""
        self._open_tab(self.query_one(TabStrip).turn(step))

    def on_tab_strip_picked(self, message: TabStrip.Picked) -> None:
        """Show the tab clicked."""
        self._open_tab(message.name)

    def _open_tab(self, name: str) -> None:
        self.query_one(ContentSwitcher).current = name
        self.query_one(f"#{name}").focus()
        self.redraw()

    def _export_flow(self) -> None:
        choices = [
            Choice("dot", "Graphviz", "d", "a .dot file"),
            Choice("mmd", "Mermaid", "m", "a flowchart for Markdown"),
            Choice("json", "JSON", "j", figures.plural(len(self._family), "task")),
            Choice("svg", "picture of the screen", "s", "SVG"),
        ]
        self.app.push_screen(Menu("Export this flow", choices), self._picked_flow_export)

    def _picked_flow_export(self, kind: str | None) -> None:
        texts: dict[str, Callable[[], str]] = {
            "dot": lambda: to_dot(self._family),
            "mmd": lambda: to_mermaid(self._family),
            "json": lambda: json.dumps(self._records(), indent=2),
            "svg": lambda: "",
        }
        if kind:
            stem = "screen" if kind == "svg" else f"flow-{short_id(self._root_id())}"
            self.post_message(ExportAsked(stem, kind, texts[kind]()))

    def _records(self) -> list[dict[str, object]]:
        return [hide_in(task_record(row)) for row in self._family]

    def open_row(self, row_id: str) -> None:
        """Open a task."""
        self.post_message(Goto("task", row_id))

    def copies_of(self, row: FlowNode) -> Sequence[tuple[str, str, str]]:
        """Return what can be copied."""
        return (
            ("i", "id", row.row.task_id),
            ("o", "root id", self._root_id()),
            ("m", "Mermaid", to_mermaid(self._family)),
            ("t", "Graphviz", to_dot(self._family)),
        )

    def as_record(self, row: FlowNode) -> dict[str, object]:
        """Return a task as a record."""
        return task_record(row.row)


def _node_id(node: FlowNode) -> str:
    return node.row.task_id


def _path_line(
    path: Sequence[TaskRow], look: Look, times_of: Callable[[TaskRow], str]
) -> list[Piece]:
    line: list[Piece] = [(" critical path  ", "dim")]
    for index, row in enumerate(path):
        if index:
            line.append((f" {look.glyphs.crumb} ", "dim"))
        line.append((row.name, "bold"))
        times = times_of(row)
        if times:
            line.append((f" {times}", "dim"))
    return line


def _waits_and_runs(row: TaskRow) -> str:
    times = [
        f"{word} {figures.duration(took_s)}"
        for word, took_s in (("wait", row.wait_s), ("run", row.runtime_s))
        if took_s is not None
    ]
    return f"({', '.join(times)})" if times else ""


def _took(row: TaskRow) -> str:
    """Return waiting and run together, for a line that has little room."""
    known = [took_s for took_s in (row.wait_s, row.runtime_s) if took_s is not None]
    return figures.duration(sum(known)) if known else ""

"""The dashboard: what the cluster does now, and what a human should look at first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget

from tqconsole.core.own_usage import Usage
from tqconsole.core.port import ConsoleSession
from tqconsole.core.type_views import TypeView
from tqconsole.core.views import Attention, Changes, QueueView, Snapshot, TaskRow
from tqconsole.widgets import figures
from tqconsole.widgets.base_app import BaseApp
from tqconsole.widgets.cells import ATTENTION, FAILURES, QUEUES_SHORT
from tqconsole.widgets.chart import Series, chart_lines
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.header import NumbersLine
from tqconsole.widgets.keys import key_hint, screen_bindings
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.pace import Pace
from tqconsole.widgets.pieces import Piece, between, joined, line_width
from tqconsole.widgets.requests import Goto, ask_for_events
from tqconsole.widgets.rows import ListSource
from tqconsole.widgets.sparks import spark
from tqconsole.widgets.table_screen import TableScreen
from tqconsole.widgets.type_columns import TASK_TYPES_SHORT
from tqconsole.widgets.vtable import VTable

#: Seconds a chart may be wide. It takes the least that holds what is known: a young one is alive.
CHART_S = (15, 30, 60, 120, 300, 600)
#: Of a core: from here on this console is a load itself.
MUCH_CPU_RATIO = 0.5
#: States that belong among the failures.
FAILED = frozenset({"FAILURE", "RETRY", "REJECTED"})


class DashboardScreen(TableScreen):
    """Numbers, charts, what needs attention, queues, types and the latest failures."""

    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings("dashboard", "list", "global")]
    TAB = "dashboard"

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(session)
        #: Of the latest failures: among very many they are many, too.
        self._pace = Pace()

    def content(self) -> Iterable[Widget]:
        """Return the panels."""
        yield NumbersLine(classes="numbers")
        yield Lines(id="trend")
        with Horizontal(id="charts"):
            yield _panel(Lines(id="throughput"), "Throughput, tasks/s")
            yield _panel(Lines(id="runtime"), "Runtime, s")
        yield _panel(_table(ATTENTION, _attention_id, "attention", has_header=False), "")
        with Horizontal(id="middle"):
            yield _panel(_table(QUEUES_SHORT, _queue_id, "queues"), "Queues")
            yield _panel(_table(TASK_TYPES_SHORT, _type_id, "types"), "Task types by load")
        yield _panel(_table(FAILURES, _task_id, "failures", has_header=False), "Latest failures")
        yield Lines(id="status")

    def crumbs(self) -> Sequence[str]:
        """Return the broker, masked."""
        return (self.snapshot.broker_url,)

    def on_mount(self) -> None:
        """Say what empty panels mean; look at what needs attention first."""
        self.query_one("#failures", VTable).empty_lines = [[("no failure seen", "dim")]]
        self.query_one("#queues", VTable).empty_lines = [[("no queue known yet", "dim")]]
        self.query_one("#types", VTable).empty_lines = [[("no task seen yet", "dim")]]
        self.query_one("#attention", VTable).focus()

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw the panels whose source changed."""
        now_at = snapshot.now_at
        if changes.stats or changes.link:
            self._draw_charts(snapshot)
            self._draw_status(snapshot)
            attention = self.query_one("#attention", VTable)
            attention.border_title = Content(f"Needs attention ({len(snapshot.attention)})")
            attention.empty_lines = _all_well(snapshot, look_of(self))
            attention.show(ListSource(snapshot.attention, _attention_id), now_at)
            types = sorted(snapshot.types, key=lambda item: item.rate_per_s, reverse=True)
            self.query_one("#types", VTable).show(ListSource(types, _type_id), now_at)
        if changes.queues or changes.stats:
            queues = sorted(snapshot.queues, key=lambda item: -(item.ready_count or 0))
            self.query_one("#queues", VTable).show(ListSource(queues, _queue_id), now_at)
        if changes.stats or (changes.row_count and self._pace.is_due(snapshot, changes)):
            # Rows live on: one that failed and then succeeded is no failure any more.
            failures = [row for row in snapshot.failures if row.is_lost or row.state in FAILED]
            self.query_one("#failures", VTable).show(ListSource(failures, _task_id), now_at)

    def _draw_charts(self, snapshot: Snapshot) -> None:
        charts, totals = snapshot.charts, snapshot.totals
        if self.has_class("-short") or self.has_class("-narrow"):
            self.query_one("#trend", Lines).show(_trend_maker(snapshot))
            return
        span_s = chart_span_s(len(charts.done_per_s))
        throughput = [
            Series("ok", charts.done_per_s[-span_s:], "ok", figures.rate(totals.done_per_s)),
            Series("fail", charts.failed_per_s[-span_s:], "error", _last(charts.failed_per_s)),
            Series("retry", charts.retries_per_s[-span_s:], "RETRY", _last(charts.retries_per_s)),
        ]
        runtime = [
            Series("p50", charts.p50_s[-span_s:], "ok", _last_s(charts.p50_s)),
            Series("p95", charts.p95_s[-span_s:], "warning", _last_s(charts.p95_s)),
            Series("p99", charts.p99_s[-span_s:], "error", _last_s(charts.p99_s)),
        ]
        span = f"last {span_s} s" if span_s < 60 else f"last {span_s // 60} min"
        self.query_one("#throughput").border_title = Content(f"Throughput, tasks/s, {span}")
        self.query_one("#runtime").border_title = Content(f"Runtime, s, log scale, {span}")
        self.query_one("#throughput", Lines).show(_chart_maker(throughput, span_s))
        self.query_one("#runtime", Lines).show(_chart_maker(runtime, span_s, is_log=True))

    def _draw_status(self, snapshot: Snapshot) -> None:
        usage = self.app.usage if isinstance(self.app, BaseApp) else None
        self.query_one("#status", Lines).show(
            lambda width, look: [status_line(snapshot, width, look, usage)]
        )

    # keys

    def handlers(self) -> dict[str, Handler]:
        """Return what keys do here: those of lists, without what has no meaning."""
        kept = super().handlers()
        for binding_id in (
            "list.mark",
            "list.mark_range",
            "list.mark_all",
            "list.clear_marks",
            "list.sort",
            "list.sort_left",
            "list.sort_right",
            "list.reverse",
            "list.actions",
        ):
            kept.pop(binding_id)
        return {
            **kept,
            "list.filter": lambda: self.post_message(Goto("tasks", expression="/")),
            "dashboard.events": lambda: self.post_message(ask_for_events()),
        }

    def open_row(self, row_id: str) -> None:
        """Go to the cause of what stands in a panel."""
        row = self.table.cursor_row
        match row:
            case Attention():
                self._open_attention(row)
            case QueueView():
                self.post_message(Goto("queue", row.name))
            case TypeView():
                self.post_message(Goto("types", row.name))
            case TaskRow():
                self.post_message(Goto("task", row.task_id))
            case _:
                pass

    def _open_attention(self, row: Attention) -> None:
        is_filter = row.screen == "tasks"
        self.post_message(
            Goto(row.screen, expression=row.target) if is_filter else Goto(row.screen, row.target)
        )

    def as_record(self, row: Any) -> dict[str, Any]:
        """Return a row as a record."""
        names = getattr(row, "__slots__", ())
        return {name: getattr(row, name) for name in names}


def _all_well(snapshot: Snapshot, look: Look) -> list[list[Piece]]:
    """Return what stands where nothing needs attention: also that nobody is there to need it."""
    if snapshot.link in ("connecting", "reconnecting"):
        return [[("not connected: nothing is known", "dim")]]
    if snapshot.totals.workers_online:
        return [[("nothing needs attention", "ok")]]
    return [
        [("No worker answers. ", "warning"), ("Start one:", "dim")],
        [("  tqconsole -A proj worker", "info")],
        [
            ("What it runs is seen here at once", "dim"),
            *key_hint(look.keys, "task.call", " calls a task", "; "),
            (".", "dim"),
        ],
    ]


def chart_span_s(known_s: int) -> int:
    """Return how many seconds wide a chart is that has `known_s` of them to show."""
    return next((span for span in CHART_S if known_s <= span), CHART_S[-1])


def status_line(
    snapshot: Snapshot, width: int, look: Look, usage: Usage | None = None
) -> list[Piece]:
    """Return what the console holds and costs, and what it does not see."""
    is_wide = width >= 100
    parts: list[list[Piece]] = [[(_history_text(snapshot, is_wide=is_wide), "dim")]]
    if snapshot.has_task_events is False:
        key = look.keys["dashboard.events"]
        press = f": press {key}" if key else ""
        parts.append([(f"workers send no task events{press}", "warning")])
    elif snapshot.has_task_events and not snapshot.has_sent_events:
        text = "task-sent events are off: WAIT counts from received"
        parts.append([(text if is_wide else "task-sent off", "dim")])
    if snapshot.file_note:
        parts.append([(snapshot.file_note, "error")])
    if snapshot.link_detail and snapshot.link != "reconnecting":
        parts.append([(snapshot.link_detail, "warning" if snapshot.link != "live" else "dim")])
    if usage is not None:
        own = figures.usage(usage.cpu_ratio, usage.resident_bytes)
        is_much = usage.cpu_ratio >= MUCH_CPU_RATIO
        parts.append([(f"console {own}", "warning" if is_much else "dim")])
    if snapshot.broker_reason and not snapshot.link_detail:
        parts.append([(f"broker {snapshot.broker_reason}", "dim")])
    dot = f" {look.glyphs.dot} "
    return between(_fitting(parts, dot, width), [], width, look.glyphs.ellipsis)


def _history_text(snapshot: Snapshot, *, is_wide: bool) -> str:
    amount = figures.count if is_wide else figures.short_count
    rows = f"{amount(snapshot.rows_kept)}/{amount(snapshot.rows_limit)}"
    size = figures.size(snapshot.bytes_kept)
    text = f"history {rows} rows, {size}" if is_wide else f"history {rows} {size}"
    if snapshot.oldest_at is None:
        return text
    return f"{text}, oldest {figures.age(snapshot.now_at - snapshot.oldest_at)}"


def _fitting(parts: Sequence[list[Piece]], gap: str, width: int) -> list[Piece]:
    """Return the parts that fit, in a line: what is dim gives way, what warns never does."""
    line: list[Piece] = [(" ", "")]
    for part in parts:
        longer = [*line, (gap if len(line) > 1 else "", ""), *part]
        if line_width(longer) <= width or part[0][1] != "dim":
            line = longer
    return line


def _panel(widget: Widget, title: str) -> Widget:
    widget.add_class("panel")
    widget.border_title = Content(title) if title else ""
    return widget


def _table(columns: Any, id_of: Any, name: str, *, has_header: bool = True) -> VTable[Any]:
    return VTable(columns, id_of=id_of, has_header=has_header, id=name)


def _attention_id(row: Attention) -> str:
    return f"{row.kind}/{row.subject}"


def _queue_id(row: QueueView) -> str:
    return row.name


def _type_id(row: TypeView) -> str:
    return row.name


def _task_id(row: TaskRow) -> str:
    return row.task_id


def _last(values: Sequence[float]) -> str:
    return figures.rate(values[-1]) if values else figures.UNKNOWN


def _last_s(values: Sequence[float | None]) -> str:
    last = values[-1] if values else None
    return figures.UNKNOWN if last is None else f"{last:.2f}"


def _chart_maker(series: list[Series], span_s: int, *, is_log: bool = False) -> Any:
    return lambda width, look: chart_lines(series, width, 5, look, span=span_s, is_log=is_log)


def _trend_maker(snapshot: Snapshot) -> Any:
    charts = snapshot.charts

    def maker(width: int, look: Look) -> list[list[Piece]]:
        each = max(8, (width - 24) // 3)
        span_s = chart_span_s(len(charts.done_per_s))
        parts: list[list[Piece]] = [
            [("ok/s ", "dim"), (spark(charts.done_per_s[-span_s:], each, look), "ok")],
            [("fail ", "dim"), (spark(charts.failed_per_s[-span_s:], each, look), "error")],
            [("p95 ", "dim"), (spark(charts.p95_s[-span_s:], each, look), "warning")],
        ]
        return [[("  ", ""), *joined(parts, "  ")]]

    return maker

"""The top of every screen: title line, tabs, numbers line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.message import Message

from tqconsole.core.views import Snapshot, Totals
from tqconsole.widgets import figures
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, between, joined, line_width

#: Screen name and title of each tab.
TABS: tuple[tuple[str, str], ...] = (
    ("dashboard", "Dash"),
    ("tasks", "Tasks"),
    ("workers", "Workers"),
    ("queues", "Queues"),
    ("types", "Types"),
    ("beat", "Beat"),
    ("flows", "Flows"),
    ("events", "Events"),
    ("audit", "Audit"),
)

_LINKS = {
    "connecting": ("CONNECTING", "warning"),
    "live": ("LIVE", "ok"),
    "paused": ("PAUSED", "warning"),
    "reconnecting": ("RECONNECTING", "error"),
    "deaf": ("NO EVENTS", "warning"),
    "replay": ("REPLAY", "info"),
}


class TitleLine(Lines):
    """Where we are at the left, how the link does at the right."""

    def show_snapshot(
        self, snapshot: Snapshot, crumbs: Sequence[str], note: Sequence[Piece]
    ) -> None:
        """Draw the line; `note` replaces the figures at the right for detail screens."""

        def maker(width: int, look: Look) -> list[list[Piece]]:
            left = _crumb_line(snapshot, crumbs, look)
            right = [*note, (" ", "")] if note else _link_line(snapshot, width, look)
            return [between(left, right, width, look.glyphs.ellipsis)]

        self.show(maker)


def _crumb_line(snapshot: Snapshot, crumbs: Sequence[str], look: Look) -> list[Piece]:
    line: list[Piece] = [(" tqconsole", "bold primary")]
    parts = [part for part in (snapshot.context, *crumbs) if part]
    for index, part in enumerate(parts):
        line.append((f" {look.glyphs.crumb} ", "dim"))
        if index == 0 and snapshot.context and snapshot.context_color:
            line.append((f" {part} ", f"bold on{snapshot.context_color}"))
        else:
            line.append((part, "bold" if index == len(parts) - 1 else ""))
    return line


def _link_line(snapshot: Snapshot, width: int, look: Look) -> list[Piece]:
    is_narrow = width < 100
    word, style = _LINKS.get(snapshot.link, (snapshot.link.upper(), "warning"))
    sign = look.glyphs.paused if snapshot.link == "paused" else look.glyphs.live
    rate = figures.short_count if is_narrow else figures.count
    parts: list[list[Piece]] = []
    if snapshot.is_demo:
        parts.append([(" DEMO ", "chip")])
    if snapshot.recorded_bytes is not None:
        size = "" if is_narrow else f" {figures.size(snapshot.recorded_bytes)}"
        parts.append([(f"{look.glyphs.live} ", "error"), (f"REC{size}", "bold error")])
    parts.append([(f"{sign} ", style), (word, f"bold {style}")])
    parts.append([(f"{rate(snapshot.events_per_s)} ev/s", "")])
    if snapshot.missed_count:
        parts.append([(f"{rate(snapshot.missed_count)} missed", "warning")])
    elif not is_narrow:
        parts.append([("0 missed", "dim")])
    parts.append([("read-only", "bold warning")] if snapshot.is_read_only else [("rw", "dim")])
    parts.append([(figures.clock(snapshot.now_at) + " ", "bold")])
    return joined(parts, "  ")


class TabLine(Lines):
    """The main screens and their keys; a click goes there."""

    class Picked(Message):
        """A tab was clicked."""

        def __init__(self, screen: str) -> None:
            super().__init__()
            self.screen = screen

    def __init__(self, active: str) -> None:
        super().__init__(classes="tab-line")
        self._active = active
        self._spans: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        """Draw the tabs."""
        self.show(self._make)

    def _make(self, width: int, look: Look) -> list[list[Piece]]:
        line: list[Piece] = [(" ", "")]
        self._spans = []
        # " 1 Dash " each and what room there is between them; on 80 columns "1 Dash ".
        tabs = [(name, look.keys[f"screen.{name}"], title) for name, title in TABS]
        room = width - sum(len(key) + len(title) + 3 for _, key, title in tabs)
        gap = " " if room > len(TABS) else ""
        lead = " " if room > 0 else ""
        for name, key, title in tabs:
            is_active = name == self._active
            start = line_width(line)
            line.append((f"{lead}{key} ", "bold picked key" if is_active else "key"))
            line.append((f"{title} ", "bold picked" if is_active else "dim"))
            self._spans.append((start, line_width(line), name))
            line.append((gap, ""))
        return [line]

    def on_click(self, event: events.Click) -> None:
        """Go to the tab under the pointer."""
        for start, end, name in self._spans:
            if start <= event.x < end:
                self.post_message(self.Picked(name))


class NumbersLine(Lines):
    """The cluster in one line of numbers."""

    #: What a narrow screen leaves out.
    WIDE_FROM: ClassVar[int] = 100

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw the numbers."""
        totals = snapshot.totals

        def maker(width: int, look: Look) -> list[list[Piece]]:
            return [numbers(totals, width, look, self.WIDE_FROM)]

        self.show(maker)


def numbers(totals: Totals, width: int, look: Look, wide_from: int = 100) -> list[Piece]:
    """Return the numbers line."""
    is_wide = width >= wide_from
    amount = figures.count if is_wide else figures.short_count
    is_short = totals.workers_online < totals.workers_known
    active = figures.busy(
        totals.active_count,
        totals.slot_count,
        amount,
        has_workers=bool(totals.workers_online),
    )
    workers = f"{totals.workers_online}/{totals.workers_known}"
    if is_short:
        workers += f" {look.glyphs.warning}"
    failed = "error" if totals.failed_ratio >= 0.05 else ""
    pairs = [
        ("Workers", "W", workers, "warning" if is_short or not totals.workers_online else ""),
        ("Active", "Act", active, ""),
        ("Queued", "Q", amount(totals.queued_count), ""),
        ("Done/s", "Done/s", figures.rate(totals.done_per_s), ""),
        ("Fail", "Fail", f"{figures.percent(totals.failed_ratio)} %", failed),
        ("p95", "p95", figures.duration(totals.p95_s), ""),
        ("Retry/s", "Retry/s", figures.rate(totals.retries_per_s), ""),
    ]
    parts: list[list[Piece]] = [
        [((long if is_wide else short) + " ", "dim"), (value, f"bold {style}".strip())]
        for long, short, value, style in pairs
    ]
    return [("  ", ""), *joined(parts, "    " if width >= 116 else "  ")]

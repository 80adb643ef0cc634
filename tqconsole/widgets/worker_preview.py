"""The pane under the workers table: one worker in a few lines."""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.core.views import QueueView, WorkerView
from tqconsole.widgets import figures
from tqconsole.widgets.chart import Series, chart_lines
from tqconsole.widgets.lines import Maker
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, clipped, fit, joined
from tqconsole.widgets.touched import consumers_of
from tqconsole.widgets.worker_columns import STATUS_STYLES, status_sign, why_silent


def worker_lines(view: WorkerView | None, now_at: float) -> Maker:
    """Return the maker of a worker's lines."""

    def maker(width: int, look: Look) -> Sequence[list[Piece]]:
        if view is None:
            return [[("no worker under the cursor", "dim")]]
        sign = status_sign(view.status, look)
        seen = "-"
        if view.last_heartbeat_at is not None:
            seen = f"{figures.age(now_at - view.last_heartbeat_at)} ago"
        reply = "none yet"
        if view.last_reply_at is not None:
            ago = figures.age(now_at - view.last_reply_at)
            reply = f"{ago} ago, in {figures.duration(view.reply_s)}"
        missed = "not known" if view.missed_count is None else f"{view.missed_count:,} events"
        groups: list[list[tuple[str, str]]] = [
            [("last heartbeat", seen), ("last reply", reply), ("missed", missed)],
            [
                ("pool", f"{view.pool or '-'} {view.slot_count or ''}".strip()),
                ("prefetch", figures.count(view.prefetch_count)),
                ("pid", str(view.pid or "-")),
                ("up", figures.age(view.up_s)),
            ],
            [("software", view.software or "-"), ("queues", ", ".join(view.queues) or "-")],
        ]
        style = STATUS_STYLES.get(view.status, "")
        lines: list[list[Piece]] = [
            [
                (f"{sign} {view.status}", f"bold {style}"),
                (f"   {why_silent(view, now_at)}", ""),
            ]
        ]
        if view.skew_s:
            off = figures.duration(abs(view.skew_s))
            lines[0].append((f"   its clock is {off} off", "warning"))
        lines += [joined([[(f"{key} ", "dim"), (text, "")] for key, text in g]) for g in groups]
        return [clipped(line, width, look.glyphs.ellipsis) for line in lines]

    return maker


def queue_lines(view: QueueView | None, workers: Sequence[WorkerView], height: int) -> Maker:
    """Return the maker of a queue's lines: its depth over time, and who consumes it."""

    def maker(width: int, look: Look) -> Sequence[list[Piece]]:
        if view is None:
            return [[("no queue under the cursor", "dim")]]
        names = consumers_of(workers, view.name)
        side = max(24, width // 3)
        series = [Series("ready", view.history, "primary", figures.short_count(view.ready_count))]
        chart = chart_lines(series, max(20, width - side - 3), height, look)
        least = ">" if view.is_oldest_least else ""
        age = f"oldest {least}{figures.duration(view.oldest_s)}"
        waits = "nothing waits" if view.ready_count == 0 else age
        consumers: list[list[Piece]] = [[(waits, "")], [("consumed by", "dim")]]
        room = height - 3
        consumers += [[(f"  {name}", "")] for name in names[:room]]
        if len(names) > room:
            consumers.append([(f"  and {len(names) - room} more", "dim")])
        if not names:
            consumers.append([("  nobody that answers", "warning")])
        lines = []
        for index, line in enumerate(chart):
            right = consumers[index] if index < len(consumers) else []
            lines.append([*line, ("   ", ""), *_padded(right, side)])
        return [clipped(line, width, look.glyphs.ellipsis) for line in lines]

    return maker


def _padded(line: list[Piece], width: int) -> list[Piece]:
    if not line:
        return [(" " * width, "")]
    text, style = line[0]
    return [(fit(text, width), style)]

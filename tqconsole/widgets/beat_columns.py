"""The columns of the schedule, and the pane under it: one entry in a few lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from tqconsole.core.beat_views import BeatRun, BeatView
from tqconsole.core.secrets import hidden
from tqconsole.widgets import figures
from tqconsole.widgets.cells import short_id
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.lines import Maker
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, clipped, joined

#: Runs drawn as signs, the newest at the right.
SHOWN_RUNS = 8


def run_state(run: BeatRun) -> str:
    """Return the state of a run as the screens call it, "" when its row is gone."""
    return "LOST?" if run.is_lost else run.state


def instant(at: float, now_at: float) -> str:
    """Return the time of day, with the date when it is another day."""
    moment = datetime.fromtimestamp(at, UTC).astimezone()
    today = datetime.fromtimestamp(now_at, UTC).astimezone().date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M")


def countdown(row: BeatView, now_at: float) -> tuple[str, str]:
    """Return when an entry is due next, and the style of that."""
    if not row.is_enabled:
        return ("disabled", "dim")
    if row.next_at is not None:
        left_s = row.next_at - now_at
        # A scheduler sends a moment after the instant, and the event takes its time.
        return (f"in {figures.age(left_s)}", "") if left_s >= 0 else ("now", "info")
    if row.interval_s:
        return (f"within {figures.age(row.interval_s)}", "dim")
    return (figures.UNKNOWN, "dim")


def _name(row: BeatView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.name, "" if row.is_enabled else "dim")


def _task(row: BeatView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.task_name, "dim")


def _schedule(row: BeatView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.schedule, "info")


def _last(row: BeatView, _look: Look, now_at: float, _width: int) -> Cell:
    if row.last_at is None:
        return ("not seen", "dim")
    return f"{figures.age(now_at - row.last_at)} ago"


def _end(row: BeatView, look: Look, _now_at: float, width: int) -> Cell:
    state = run_state(row.runs[-1]) if row.runs else ""
    if not state:
        return (figures.UNKNOWN, "dim")
    sign = look.glyphs.states.get(state, look.glyphs.unknown)
    return [(f"{sign} ", state), (figures.duration(row.runs[-1].runtime_s), "")]


def _next(row: BeatView, _look: Look, now_at: float, _width: int) -> Cell:
    return countdown(row, now_at)


def _missed(row: BeatView, look: Look, _now_at: float, _width: int) -> Cell:
    if not row.missed_count:
        return ("0", "dim")
    return (f"{look.glyphs.warning} {row.missed_count:,}", "bold warning")


def _runs(row: BeatView, look: Look, _now_at: float, _width: int) -> Cell:
    return _signs(row, look) or ("", "")


def _signs(row: BeatView, look: Look) -> list[Piece]:
    glyphs = look.glyphs
    states = [run_state(run) for run in row.runs[-SHOWN_RUNS:]]
    return [(glyphs.states.get(state, glyphs.dot), state or "dim") for state in states]


def _count(row: BeatView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.short_count(row.run_count)


BEAT: list[Column[BeatView]] = [
    Column("name", "ENTRY", 14, _name, flex=2, limit=32),
    Column("task", "TASK", 12, _task, flex=2, limit=32, priority=4),
    Column("schedule", "SCHEDULE", 16, _schedule, flex=1, limit=30),
    Column("last", "LAST RUN", 10, _last),
    Column("end", "RESULT", 8, _end, priority=2, is_sortable=False),
    Column("next", "NEXT", 12, _next),
    Column("missed", "MISSED", 6, _missed, is_right=True),
    Column("runs", "RUNS", SHOWN_RUNS, _runs, priority=3, is_sortable=False),
    Column("count", "SEEN", 5, _count, is_right=True, priority=5),
]


def ordered(rows: Iterable[BeatView], key: str, *, is_descending: bool) -> list[BeatView]:
    """Return entries in the order of a column; those of which it is not known go last."""
    valued = [(_sort_value(row, key), row) for row in rows]
    known = [(value, row) for value, row in valued if value is not None]
    known.sort(key=_value_of, reverse=is_descending)
    return [row for _, row in known] + [row for value, row in valued if value is None]


def _value_of(pair: tuple[float | str, BeatView]) -> Any:
    return pair[0]


def _sort_value(row: BeatView, key: str) -> float | str | None:
    values: dict[str, float | str | None] = {
        "name": row.name,
        "task": row.task_name,
        "schedule": row.schedule,
        "last": row.last_at,
        "next": row.next_at,
        "missed": row.missed_count,
        "count": row.run_count,
    }
    return values.get(key)


def entry_lines(view: BeatView | None, now_at: float) -> Maker:
    """Return the maker of an entry's lines."""

    def maker(width: int, look: Look) -> Sequence[list[Piece]]:
        if view is None:
            return [[("no entry under the cursor", "dim")]]
        call: list[Piece] = [("sends ", "dim"), (f"{view.task_name} ", "bold")]
        call += [(hidden(f"args {view.args}"), ""), (hidden(f"  kwargs {view.kwargs}"), "")]
        lines = [call, _due_line(view, now_at), _last_line(view, look, now_at)]
        if view.options:
            lines.insert(1, [("options ", "dim"), (view.options, "")])
        if view.missed_at is not None:
            text = (
                f"{figures.plural(view.missed_count, 'run')} missed, the last due"
                f" {instant(view.missed_at, now_at)}: no task-sent or task-received came"
            )
            lines.append([(f"{look.glyphs.warning} {text}", "warning")])
        return [clipped(line, width, look.glyphs.ellipsis) for line in lines]

    return maker


def _due_line(view: BeatView, now_at: float) -> list[Piece]:
    text, style = countdown(view, now_at)
    line: list[Piece] = [("next ", "dim"), (text, style)]
    if view.next_at is not None:
        line.append((f" at {instant(view.next_at, now_at)}", ""))
    elif view.interval_s:
        line.append(("  its phase is known with the first run that is seen", "dim"))
    return [*line, ("   schedule ", "dim"), (view.schedule, "info")]


def _last_line(view: BeatView, look: Look, now_at: float) -> list[Piece]:
    if view.last_at is None:
        return [("no run was seen since this console listens", "dim")]
    parts: list[list[Piece]] = [[("last ", "dim"), (instant(view.last_at, now_at), "")]]
    if view.runs:
        run = view.runs[-1]
        state = run_state(run)
        sign = look.glyphs.states.get(state, look.glyphs.dot)
        parts.append([(f"{sign} {state or 'its row is gone'}", state or "dim")])
        parts.append([(short_id(run.task_id), "dim")])
        if run.runtime_s is not None:
            parts.append([("ran ", "dim"), (figures.duration(run.runtime_s), "")])
    parts.append([("seen ", "dim"), (figures.plural(view.run_count, "run"), "")])
    return joined(parts)

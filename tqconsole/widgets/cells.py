"""The columns of the dashboard's small tables, and cells that several screens share."""

from __future__ import annotations

from tqconsole.core.type_views import TypeView
from tqconsole.core.views import Attention, QueueView, TaskRow
from tqconsole.widgets import figures
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.look import Look
from tqconsole.widgets.sparks import spark

#: A queue that grows or is not consumed is never empty.
NEVER = float("inf")


def shown_state(row: TaskRow) -> str:
    """Return the state as the screens call it: LOST? when nobody told how it ended."""
    return "LOST?" if row.is_lost else row.state


def state_cell(row: TaskRow, look: Look, _now_at: float, width: int) -> Cell:
    """Return glyph and word; the glyph alone where there is no room."""
    state = shown_state(row)
    sign = look.glyphs.states.get(state, look.glyphs.unknown)
    return (sign if width < 3 else f"{sign} {state}", f"{state} bold" if row.is_lost else state)


def short_id(task_id: str) -> str:
    """Return the first eight signs of an id, enough to tell rows apart."""
    return task_id[:8]


def level_style(value: float, warn: float, bad: float) -> str:
    """Return a style for a value that is worse the higher it is."""
    return "error" if value >= bad else "warning" if value >= warn else ""


def ready_cell(row: QueueView, _look: Look, _now_at: float, _width: int) -> Cell:
    """Return how many wait; bold when the queue does not drain."""
    is_growing = row.drains_in_s == NEVER and bool(row.ready_count)
    return (figures.count(row.ready_count), "bold warning" if is_growing else "")


def unacked_text(row: QueueView) -> str:
    """Return what is in hand; with ~ what only the workers say."""
    sign = "~" if row.is_unacked_told else ""
    return sign + figures.count(row.unacked_count)


def unacked_cell(row: QueueView, _look: Look, _now_at: float, _width: int) -> Cell:
    """Return how many are in hand."""
    return unacked_text(row)


def consumers_cell(row: QueueView, _look: Look, _now_at: float, _width: int) -> Cell:
    """Return how many consume; a warning when nobody does and something waits."""
    is_alone = row.consumer_count == 0 and bool(row.ready_count)
    return (figures.count(row.consumer_count), "bold error" if is_alone else "")


def history_cell(row: QueueView | TypeView, look: Look, _now_at: float, width: int) -> Cell:
    """Return the sparkline of the last minutes."""
    return (spark(row.history, width, look), "primary")


def _queue_name(row: QueueView, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.name


def _in_rate(row: QueueView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.rate(row.in_per_s)


def _out_rate(row: QueueView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.rate(row.out_per_s)


QUEUE_RATES: list[Column[QueueView]] = [
    Column("in", "IN/s", 5, _in_rate, is_right=True, priority=4),
    Column("out", "OUT/s", 5, _out_rate, is_right=True, priority=4),
]

QUEUES_SHORT: list[Column[QueueView]] = [
    Column("name", "NAME", 10, _queue_name, flex=3, limit=26),
    Column("ready", "READY", 6, ready_cell, is_right=True),
    Column("unacked", "UNACK", 5, unacked_cell, is_right=True, priority=3),
    *QUEUE_RATES,
    Column("consumers", "CONS", 4, consumers_cell, is_right=True, priority=5),
    Column("history", "TREND", 6, history_cell, priority=6, flex=1, limit=24, is_sortable=False),
]


def short_seconds(value: float | None) -> str:
    """Return seconds in five cells at most."""
    if value is None:
        return figures.UNKNOWN
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _attention_kind(row: Attention, look: Look, _now_at: float, _width: int) -> Cell:
    is_error = row.level == "error"
    sign = look.glyphs.error if is_error else look.glyphs.warning
    return [(f"{sign} ", "error" if is_error else "warning"), (row.kind, "dim")]


def _attention_subject(row: Attention, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.subject, "bold")


def _attention_text(row: Attention, look: Look, _now_at: float, _width: int) -> Cell:
    if row.key_id and look.keys[row.key_id]:
        where = "" if row.key_id.startswith("dashboard.") else f" on {row.screen.capitalize()}"
        return f"{row.text}: {look.keys[row.key_id]}{where} turns them on"
    return row.text


def _attention_target(row: Attention, look: Look, _now_at: float, _width: int) -> Cell:
    return (f"{look.glyphs.arrow} {row.screen}", "dim")


ATTENTION: list[Column[Attention]] = [
    Column("kind", "", 8, _attention_kind),
    Column("subject", "", 12, _attention_subject, flex=1, limit=20),
    # So wide that a narrow screen gives up where it leads before it cuts what is wrong.
    Column("text", "", 44, _attention_text, flex=4),
    Column("target", "", 9, _attention_target, priority=2),
]


def _ended_clock(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return (figures.clock(row.ended_at or row.updated_at), "dim")


def _task_name(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.name


def _task_short_id(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return (short_id(row.task_id), "dim")


def _task_worker(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.worker.partition("@")[0], "dim")


def _task_exception(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.exception, "error")


def _task_final(row: TaskRow, look: Look, _now_at: float, _width: int) -> Cell:
    state = shown_state(row)
    sign = look.glyphs.states.get(state, look.glyphs.unknown)
    return (f"{sign} {state}", state)


FAILURES: list[Column[TaskRow]] = [
    Column("at", "", 8, _ended_clock),
    Column("name", "", 12, _task_name, flex=1, limit=20),
    Column("id", "", 8, _task_short_id, priority=3),
    Column("worker", "", 6, _task_worker, priority=4),
    Column("exception", "", 20, _task_exception, flex=4),
    Column("final", "", 11, _task_final, priority=2),
]

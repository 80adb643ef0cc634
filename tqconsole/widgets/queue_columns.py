"""The columns of queues, of waiting messages and of dead letters."""

from __future__ import annotations

from tqconsole.core.secrets import hidden
from tqconsole.core.views import DeadLetterView, PeekedMessage, QueueView
from tqconsole.widgets import figures
from tqconsole.widgets.cells import (
    NEVER,
    QUEUE_RATES,
    consumers_cell,
    history_cell,
    ready_cell,
    short_id,
    unacked_cell,
)
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.look import Look


def _name(row: QueueView, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.name


def _priorities(row: QueueView, _look: Look, _now_at: float, _width: int) -> Cell:
    if len(row.by_priority) < 2:
        return ("", "")
    return (" / ".join(f"{count:,}" for _, count in row.by_priority), "dim")


def _parked(row: QueueView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.count(row.parked_count)


def _dead(row: QueueView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (figures.count(row.dead_count), "bold error" if row.dead_count else "dim")


def _oldest(row: QueueView, _look: Look, _now_at: float, _width: int) -> Cell:
    text = figures.duration(row.oldest_s)
    return f">{text}" if row.is_oldest_least and row.oldest_s is not None else text


def drains_cell(row: QueueView, look: Look, _now_at: float, _width: int) -> Cell:
    """Return when the queue will be empty, or why it will not."""
    if row.consumer_count == 0 and row.ready_count:
        return (f"no consumer {look.glyphs.warning}", "error")
    if row.drains_in_s == NEVER and row.ready_count:
        return (f"never {look.glyphs.warning}", "warning")
    if not row.ready_count:
        return ("empty", "dim") if row.ready_count == 0 else ("-", "dim")
    return figures.duration(row.drains_in_s)


QUEUES: list[Column[QueueView]] = [
    Column("name", "QUEUE", 12, _name, flex=2, limit=30),
    Column("ready", "READY", 8, ready_cell, is_right=True),
    Column("priorities", "BY PRIORITY", 19, _priorities, priority=9, is_sortable=False),
    Column("unacked", "UNACK", 6, unacked_cell, is_right=True, priority=2),
    Column("parked", "ETA", 5, _parked, is_right=True, priority=7),
    Column("dead", "DEAD", 5, _dead, is_right=True, priority=1),
    *QUEUE_RATES,
    Column("consumers", "CONS", 4, consumers_cell, is_right=True, priority=1),
    Column("oldest", "OLDEST", 7, _oldest, is_right=True, priority=6),
    Column("drains", "DRAINS IN", 13, drains_cell, priority=3),
    Column("history", "TREND", 8, history_cell, flex=1, limit=24, priority=8, is_sortable=False),
]


def queue_sort_value(row: QueueView, key: str) -> tuple[bool, float | str]:
    """Return what a column orders by; unknown values go last."""
    values: dict[str, float | str | None] = {
        "name": row.name,
        "ready": row.ready_count,
        "unacked": row.unacked_count,
        "parked": row.parked_count,
        "dead": row.dead_count,
        "in": row.in_per_s,
        "out": row.out_per_s,
        "consumers": row.consumer_count,
        "oldest": row.oldest_s,
        "drains": row.drains_in_s,
    }
    value = values.get(key)
    return (value is None, 0.0 if value is None else value)


def _message_id(row: PeekedMessage, _look: Look, _now_at: float, _width: int) -> Cell:
    return (short_id(row.task_id), "dim")


def _message_name(row: PeekedMessage, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.name


def _message_args(row: PeekedMessage, _look: Look, _now_at: float, _width: int) -> Cell:
    kwargs = row.kwargs if row.kwargs not in ("", "{}") else ""
    return (hidden(f"{row.args} {kwargs}".strip()), "dim")


def _message_priority(row: PeekedMessage, _look: Look, _now_at: float, _width: int) -> Cell:
    return "-" if row.priority is None else str(row.priority)


def _message_eta(row: PeekedMessage, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.eta or ("-", "dim")


def _message_retries(row: PeekedMessage, _look: Look, _now_at: float, _width: int) -> Cell:
    return str(row.retries) if row.retries else ("-", "dim")


def _message_origin(row: PeekedMessage, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.origin, "dim")


def _message_size(row: PeekedMessage, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.size(row.size_bytes)


MESSAGES: list[Column[PeekedMessage]] = [
    Column("name", "TASK", 16, _message_name, flex=2, limit=36, is_sortable=False),
    Column("id", "ID", 8, _message_id, is_sortable=False),
    Column("args", "ARGS", 16, _message_args, flex=3, is_sortable=False),
    Column("priority", "PRIO", 4, _message_priority, is_right=True, priority=4, is_sortable=False),
    Column("retries", "RETRY", 5, _message_retries, is_right=True, priority=5, is_sortable=False),
    Column("eta", "ETA", 19, _message_eta, priority=6, is_sortable=False),
    Column("origin", "FROM", 14, _message_origin, priority=3, is_sortable=False),
    Column("size", "SIZE", 8, _message_size, is_right=True, priority=2, is_sortable=False),
]


def _letter_age(row: DeadLetterView, _look: Look, now_at: float, _width: int) -> Cell:
    return figures.age(now_at - row.died_at)


def _letter_reason(row: DeadLetterView, look: Look, _now_at: float, _width: int) -> Cell:
    return (f"{look.glyphs.error} {row.reason}", "error")


def _letter_name(row: DeadLetterView, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.name or ("?", "dim")


def _letter_id(row: DeadLetterView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (short_id(row.task_id), "dim")


def _letter_queue(row: DeadLetterView, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.queue


def _letter_detail(row: DeadLetterView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.detail, "dim")


def _letter_worker(row: DeadLetterView, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.worker or ("-", "dim")


LETTERS: list[Column[DeadLetterView]] = [
    Column("reason", "REASON", 14, _letter_reason, is_sortable=False),
    Column("name", "TASK", 12, _letter_name, flex=1, limit=30, is_sortable=False),
    Column("id", "ID", 8, _letter_id, priority=4, is_sortable=False),
    Column("queue", "QUEUE", 8, _letter_queue, priority=3, is_sortable=False),
    Column("worker", "WORKER", 14, _letter_worker, priority=5, is_sortable=False),
    Column("detail", "WHY", 24, _letter_detail, flex=3, priority=2, is_sortable=False),
    Column("age", "AGE", 7, _letter_age, is_right=True, is_sortable=False),
]

"""The columns of task types and of their errors."""

from __future__ import annotations

from tqconsole.core.type_views import ErrorView, TypeView
from tqconsole.widgets import figures
from tqconsole.widgets.cells import history_cell, level_style, short_id, short_seconds
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.look import Look

#: Shares of failures that call for a look, and for one at once.
WARN_RATIO, BAD_RATIO = 0.02, 0.1


def _name(row: TypeView, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.name


def _rate(row: TypeView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.rate(row.rate_per_s)


def _count(row: TypeView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.short_count(row.count)


def _failed(row: TypeView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (f"{row.failed_ratio * 100:.1f}", level_style(row.failed_ratio, WARN_RATIO, BAD_RATIO))


def _retried(row: TypeView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.short_count(row.retried_count) if row.retried_count else ("0", "dim")


def _wait_p50(row: TypeView, _look: Look, _now_at: float, _width: int) -> Cell:
    return short_seconds(row.wait_p50_s)


def _wait_p95(row: TypeView, _look: Look, _now_at: float, _width: int) -> Cell:
    return short_seconds(row.wait_p95_s)


def _p50(row: TypeView, _look: Look, _now_at: float, _width: int) -> Cell:
    return short_seconds(row.p50_s)


def _p95(row: TypeView, _look: Look, _now_at: float, _width: int) -> Cell:
    return short_seconds(row.p95_s)


def _p99(row: TypeView, _look: Look, _now_at: float, _width: int) -> Cell:
    return short_seconds(row.p99_s)


TASK_TYPES: list[Column[TypeView]] = [
    Column("name", "TASK TYPE", 14, _name, flex=2, limit=40),
    Column("rate", "n/s", 5, _rate, is_right=True),
    Column("count", "ENDED", 6, _count, is_right=True, priority=5),
    Column("failed", "FAIL %", 8, _failed, is_right=True),
    Column("retried", "RETRY", 5, _retried, is_right=True, priority=6),
    Column("wait_p50", "WAIT p50 s", 10, _wait_p50, is_right=True, priority=7),
    Column("wait_p95", "WAIT p95 s", 10, _wait_p95, is_right=True, priority=4),
    Column("p50", "RUN p50 s", 9, _p50, is_right=True, priority=2),
    Column("p95", "p95 s", 5, _p95, is_right=True, priority=1),
    Column("p99", "p99 s", 5, _p99, is_right=True, priority=3),
    Column("history", "TREND", 8, history_cell, flex=1, limit=24, priority=8, is_sortable=False),
]

#: The few of them that the dashboard has room for.
TASK_TYPES_SHORT: list[Column[TypeView]] = [
    Column("name", "NAME", 10, _name, flex=2, limit=30),
    Column("rate", "n/s", 5, _rate, is_right=True),
    Column("failed", "FAIL %", 6, _failed, is_right=True),
    Column("p50", "p50 s", 5, _p50, is_right=True, priority=4),
    Column("p95", "p95 s", 5, _p95, is_right=True, priority=3),
    Column("history", "TREND", 8, history_cell, priority=6, is_sortable=False),
]


def type_sort_value(row: TypeView, key: str) -> tuple[bool, float | str]:
    """Return what a column orders by; unknown values go last."""
    values: dict[str, float | str | None] = {
        "name": row.name,
        "rate": row.rate_per_s,
        "count": row.count,
        "failed": row.failed_ratio,
        "retried": row.retried_count,
        "wait_p50": row.wait_p50_s,
        "wait_p95": row.wait_p95_s,
        "p50": row.p50_s,
        "p95": row.p95_s,
        "p99": row.p99_s,
    }
    value = values.get(key)
    return (value is not None, 0.0 if value is None else value)


def _error_count(row: ErrorView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (f"{row.count:,} x", "bold error")


def _error_text(row: ErrorView, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.text or row.kind


def _error_id(row: ErrorView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (short_id(row.task_id), "dim")


def _error_age(row: ErrorView, _look: Look, now_at: float, _width: int) -> Cell:
    return (figures.age(now_at - row.last_at), "dim")


TYPE_ERRORS: list[Column[ErrorView]] = [
    Column("count", "", 8, _error_count, is_right=True, is_sortable=False),
    Column("text", "", 20, _error_text, flex=1, is_sortable=False),
    Column("id", "", 8, _error_id, priority=2, is_sortable=False),
    Column("age", "", 6, _error_age, is_right=True, priority=1, is_sortable=False),
]

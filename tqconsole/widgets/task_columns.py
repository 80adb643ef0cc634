"""The columns of the tasks table, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tqconsole.core.secrets import hidden
from tqconsole.core.views import PAST, TaskRow
from tqconsole.widgets import figures
from tqconsole.widgets.cells import short_id, state_cell
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.look import Look
from tqconsole.widgets.sparks import gauge


class TimeMode:
    """How times are shown: age, local or utc. One for all screens; `t` turns it on."""

    MODES = ("age", "local", "utc")

    def __init__(self) -> None:
        self.mode = "age"

    def turn(self) -> str:
        """Take the next mode and return it."""
        self.mode = self.MODES[(self.MODES.index(self.mode) + 1) % len(self.MODES)]
        return self.mode


def first_seen_at(row: TaskRow) -> float:
    """Return when a task began to exist, as far as is known."""
    for at in (row.sent_at, row.received_at, row.started_at, row.ended_at):
        if at is not None:
            return at
    return row.updated_at


def _name(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    # Dim: an earlier run of the console has seen it.
    return (row.name or "?", "dim" if row.source == PAST or not row.name else "")


def _id(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return (short_id(row.task_id), "dim")


def _queue(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.queue or ("-", "dim")


def _worker(row: TaskRow, look: Look, _now_at: float, width: int) -> Cell:
    if row.lost_by:
        # One that was handed on says so: the first worker had started it.
        return (f"{row.lost_by.partition('@')[0]}{look.glyphs.arrow}{row.worker}", "warning")
    return (row.worker or "-", "" if row.worker and width > 8 else "dim")


def _short_worker(row: TaskRow, look: Look, _now_at: float, _width: int) -> Cell:
    if row.lost_by:
        return (f"{look.glyphs.arrow}{row.worker.partition('@')[0]}", "warning")
    return (row.worker.partition("@")[0] or "-", "dim")


def _args(row: TaskRow, look: Look, _now_at: float, width: int) -> Cell:
    if row.progress_total and row.state in ("PROGRESS", "STARTED"):
        ratio = (row.progress_done or 0) / row.progress_total
        return [*gauge(ratio, max(4, min(12, width - 5)), look), (f" {ratio:.0%}", "bold")]
    kwargs = row.kwargs if row.kwargs not in ("", "{}") else ""
    return (hidden(f"{row.args} {kwargs}".strip()), "dim")


def _runtime(row: TaskRow, _look: Look, now_at: float, _width: int) -> Cell:
    if row.runtime_s is not None:
        return figures.seconds(row.runtime_s)
    if row.started_at is not None and row.ended_at is None and not row.is_lost:
        return (figures.age(now_at - row.started_at), "STARTED")
    return ("-", "dim")


def _wait(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    wait_s = row.wait_s
    return ("-", "dim") if wait_s is None else f"{wait_s:.2f}"


def _retries(row: TaskRow, _look: Look, _now_at: float, _width: int) -> Cell:
    return (str(row.retries), "RETRY") if row.retries else ("-", "dim")


def _when(times: TimeMode) -> Callable[[TaskRow, Look, float, int], Cell]:
    def cell(row: TaskRow, _look: Look, now_at: float, _width: int) -> Cell:
        at = first_seen_at(row)
        if times.mode == "age":
            return figures.age(now_at - at)
        return figures.clock(at, is_utc=times.mode == "utc")

    return cell


def TASKS(times: TimeMode) -> list[Column[TaskRow]]:  # noqa: N802 - a table, made for a time mode
    """Return the columns of a normal or wide screen."""
    return [
        Column("state", "STATE", 10, state_cell),
        Column("name", "NAME", 16, _name, flex=2, limit=36),
        Column("id", "ID", 8, _id, priority=5),
        Column("queue", "QUEUE", 8, _queue, priority=6),
        Column("worker", "WORKER", 12, _worker, priority=4, flex=1, limit=26),
        Column("args", "ARGS", 16, _args, priority=7, flex=6),
        Column("runtime", "RUN s", 7, _runtime, is_right=True, priority=1),
        Column("wait", "WAIT s", 6, _wait, is_right=True, priority=8),
        Column("retries", "RETRY", 5, _retries, is_right=True, priority=9),
        Column("age", "AGE", 8, _when(times), is_right=True),
    ]


def NARROW_TASKS(times: TimeMode) -> list[Column[TaskRow]]:  # noqa: N802 - as above
    """Return the columns of an 80 column screen: the state is its sign, the word is below."""
    return [
        Column("state", "S", 1, state_cell),
        Column("name", "NAME", 14, _name, flex=3, limit=40),
        Column("id", "ID", 8, _id, priority=3),
        Column("worker", "WORKER", 6, _short_worker, priority=4, flex=1, limit=12),
        Column("args", "ARGS", 10, _args, priority=5, flex=3),
        Column("runtime", "RUN s", 7, _runtime, is_right=True, priority=1),
        Column("age", "AGE", 8, _when(times), is_right=True),
    ]


def task_record(row: TaskRow) -> dict[str, Any]:
    """Return a task as a JSON-able record."""
    return {name: getattr(row, name) for name in sorted(TaskRow.__slots__) if name != "revision"}

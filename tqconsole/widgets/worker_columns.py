"""The columns of the workers table."""

from __future__ import annotations

from tqconsole.core.views import WorkerView
from tqconsole.widgets import figures
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.look import Look
from tqconsole.widgets.sparks import gauge

#: Seconds without a reply, though it was asked, after which a worker counts as not answering.
REPLY_LATE_S = 30.0
STATUS_STYLES = {"online": "ok", "silent": "warning", "lost": "error", "gone": "dim"}


def status_sign(status: str, look: Look) -> str:
    """Return the glyph of a worker's status."""
    glyphs = look.glyphs
    return {
        "online": glyphs.live,
        "silent": glyphs.warning,
        "lost": glyphs.error,
        "gone": glyphs.dot,
    }.get(status, glyphs.unknown)


def _name(row: WorkerView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (row.name, "dim" if row.status == "gone" else "")


def _status(row: WorkerView, look: Look, _now_at: float, _width: int) -> Cell:
    return (f"{status_sign(row.status, look)} {row.status}", STATUS_STYLES.get(row.status, ""))


def _pool(row: WorkerView, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.pool or ("-", "dim")


def _busy(row: WorkerView, look: Look, _now_at: float, width: int) -> Cell:
    if row.active_count is None or not row.slot_count:
        return ("-", "dim") if row.active_count is None else str(row.active_count)
    text = f" {row.active_count}/{row.slot_count}"
    style = "ok" if row.status == "online" else "dim"
    return [*gauge(row.active_count / row.slot_count, max(4, width - 6), look, style), (text, "")]


def _busy_text(row: WorkerView, _look: Look, _now_at: float, _width: int) -> Cell:
    if row.active_count is None:
        return ("-", "dim")
    return f"{row.active_count}/{row.slot_count or '?'}"


def _done(row: WorkerView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.count(row.processed_count)


def _failed(row: WorkerView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (figures.count(row.failed_count), "error" if row.failed_count else "dim")


def _rate(row: WorkerView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.rate(row.rate_per_s)


def _load(row: WorkerView, _look: Look, _now_at: float, _width: int) -> Cell:
    if row.load is None:
        return ("-", "dim")
    return " ".join(f"{value:.1f}" for value in row.load)


def _prefetch(row: WorkerView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.count(row.prefetch_count)


def _queues(row: WorkerView, _look: Look, _now_at: float, _width: int) -> Cell:
    return ",".join(row.queues) or ("-", "dim")


def _seen(row: WorkerView, _look: Look, now_at: float, _width: int) -> Cell:
    if row.last_heartbeat_at is None:
        return ("-", "dim")
    style = STATUS_STYLES.get(row.status, "") if row.status != "online" else ""
    return (figures.age(now_at - row.last_heartbeat_at), style)


def _reply(row: WorkerView, _look: Look, now_at: float, _width: int) -> Cell:
    if row.last_reply_at is None:
        return ("none", "warning" if row.status == "online" else "dim")
    age_s = now_at - row.last_reply_at
    if age_s > REPLY_LATE_S:
        return (figures.age(age_s), "warning" if row.status != "gone" else "dim")
    return figures.duration(row.reply_s)


def why_silent(row: WorkerView, now_at: float) -> str:
    """Return what both facts of a worker mean together: its heartbeats, and its replies."""
    is_answering = row.last_reply_at is not None and now_at - row.last_reply_at <= REPLY_LATE_S
    if row.status in ("gone", "lost"):
        return "it said goodbye" if row.status == "gone" else "dead: nobody hears of it any more"
    if row.status == "silent":
        if is_answering:
            return "no heartbeat, yet it answers: gossip or heartbeats are off, or events got lost"
        return "neither heartbeat nor reply: cut off, stopped, or dead"
    if is_answering:
        return "heartbeats come in time, and it answers"
    if row.pool == "solo":
        return "heartbeats come; a solo pool answers between two tasks only"
    return "heartbeats come, but no reply: its remote control is off, or its main loop is busy"


def _up(row: WorkerView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.age(row.up_s)


WORKERS: list[Column[WorkerView]] = [
    Column("name", "WORKER", 14, _name, flex=3, limit=40),
    Column("status", "STATUS", 8, _status),
    Column("pool", "POOL", 8, _pool, priority=5),
    Column("busy", "BUSY", 13, _busy, flex=1, limit=20),
    Column("done", "DONE", 7, _done, is_right=True, priority=2),
    Column("failed", "FAIL", 5, _failed, is_right=True, priority=2),
    Column("rate", "RATE/s", 6, _rate, is_right=True, priority=4),
    Column("load", "LOAD 1/5/15", 11, _load, priority=8),
    Column("prefetch", "PREF", 4, _prefetch, is_right=True, priority=9),
    Column("queues", "QUEUES", 10, _queues, flex=2, limit=30, priority=6),
    Column("seen", "SEEN", 6, _seen, is_right=True, priority=1),
    Column("reply", "REPLY", 7, _reply, is_right=True, priority=3),
    Column("up", "UP", 6, _up, is_right=True, priority=7),
]


def worker_sort_value(row: WorkerView, key: str) -> tuple[bool, float | str]:
    """Return what a column orders by; unknown values go last."""
    values: dict[str, float | str | None] = {
        "name": row.name,
        "status": row.status,
        "pool": row.pool,
        "busy": row.active_count,
        "done": row.processed_count,
        "failed": row.failed_count,
        "rate": row.rate_per_s,
        "load": row.load[0] if row.load else None,
        "prefetch": row.prefetch_count,
        "queues": ",".join(row.queues),
        "seen": row.last_heartbeat_at,
        "reply": row.last_reply_at,
        "up": row.up_s,
    }
    value = values.get(key)
    return (value is None, 0.0 if value is None else value)

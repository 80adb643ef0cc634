"""The preview under the tasks table: one task in three to six lines."""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.core.secrets import hidden
from tqconsole.core.views import PAST, TaskRow
from tqconsole.widgets import figures
from tqconsole.widgets.cells import short_id, shown_state
from tqconsole.widgets.lines import Maker
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, clipped, joined


def call_text(row: TaskRow) -> str:
    """Return the call as it would be written: name(args, kwargs)."""
    args = hidden(row.args.strip())
    inner = args[1:-1].rstrip(",") if args[:1] in "([" and args[-1:] in ")]" else args
    kwargs = hidden(row.kwargs.strip())
    if kwargs in ("", "{}"):
        return f"{row.name or '?'}({inner})"
    return f"{row.name or '?'}({inner}{', ' if inner else ''}**{kwargs})"


def outcome_line(row: TaskRow, look: Look, now_at: float) -> list[Piece]:
    """Return state, worker, runtime and waiting time in one line."""
    state = shown_state(row)
    sign = look.glyphs.states.get(state, look.glyphs.unknown)
    parts: list[list[Piece]] = [[(f"{sign} {state}", f"bold {state}")]]
    if row.worker:
        parts.append([("on ", "dim"), (row.worker.partition("@")[0], "")])
    if row.lost_by:
        parts.append([("handed on from ", "dim"), (row.lost_by.partition("@")[0], "warning")])
    if row.runtime_s is not None:
        parts.append([("ran ", "dim"), (figures.duration(row.runtime_s), "")])
    elif row.started_at is not None and row.ended_at is None:
        parts.append([("running ", "dim"), (figures.duration(now_at - row.started_at), "STARTED")])
    if row.wait_s is not None:
        parts.append([("waited ", "dim"), (figures.duration(row.wait_s), "")])
    if row.retries:
        parts.append([("retries ", "dim"), (str(row.retries), "RETRY")])
    if row.queue:
        parts.append([("queue ", "dim"), (row.queue, "")])
    if row.parent_id:
        parts.append([("parent ", "dim"), (short_id(row.parent_id), "")])
    if row.root_id and row.root_id != row.task_id:
        parts.append([("root ", "dim"), (short_id(row.root_id), "")])
    return joined(parts)


def times_line(row: TaskRow) -> list[Piece]:
    """Return when it was sent, received, started and ended, as far as is known."""
    known = (
        ("sent", row.sent_at),
        ("received", row.received_at),
        ("started", row.started_at),
        ("ended", row.ended_at),
    )
    parts: list[list[Piece]] = [
        [(f"{name} ", "dim"), (figures.clock(at, with_millis=True), "")]
        for name, at in known
        if at is not None
    ]
    return joined(parts)


def preview_lines(row: TaskRow | None, now_at: float) -> Maker:
    """Return the maker of the preview's lines."""

    def maker(width: int, look: Look) -> Sequence[list[Piece]]:
        if row is None:
            return [[("no task under the cursor", "dim")]]
        past = "  seen by an earlier run" if row.source == PAST else ""
        call: list[Piece] = [(call_text(row), "bold"), (past, "dim")]
        lines: list[list[Piece]] = [call, outcome_line(row, look, now_at)]
        if row.exception:
            lines.append([(row.exception, "error")])
            frames = [line for line in row.traceback.split("\n") if line.startswith("  ")]
            lines += [[(line, "dim")] for line in frames[-2:]]
        elif row.result:
            lines.append([("result ", "dim"), (row.result, "")])
        elif row.eta:
            lines.append([("not before ", "dim"), (row.eta, "")])
        lines.append(times_line(row))
        return [clipped(line, width, look.glyphs.ellipsis) for line in lines]

    return maker

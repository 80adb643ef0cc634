"""What is known of one task, from its events and from what was found out, as lines."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass

from tqconsole.core.flows import flow_nodes
from tqconsole.core.secrets import hidden
from tqconsole.core.views import PAST, TaskFacts, TaskRow
from tqconsole.widgets import figures
from tqconsole.widgets.cells import short_id, shown_state
from tqconsole.widgets.flow_columns import stem
from tqconsole.widgets.lines import Maker
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, clipped, fit, joined


@dataclass(frozen=True, slots=True)
class Known:
    """Both sources as one: what was found out wins where it says something."""

    task_id: str
    row: TaskRow | None
    facts: TaskFacts | None
    name: str
    state: str
    args: str
    kwargs: str
    args_note: str
    result: str
    exception: str
    traceback: str
    shows_secrets: bool = False

    @classmethod
    def of(
        cls,
        task_id: str,
        row: TaskRow | None,
        facts: TaskFacts | None,
        *,
        shows_secrets: bool = False,
    ) -> Known:
        """Merge a row (None: never seen) with facts (None: not there yet)."""
        blank = TaskRow(task_id, 0)
        seen = row or blank
        found = facts or TaskFacts(task_id)
        is_ended = seen.ended_at is not None
        return cls(
            task_id,
            row,
            facts,
            name=seen.name or found.name,
            state=shown_state(seen)
            if row is not None and (is_ended or not found.has_result)
            else found.state or seen.state,
            args=found.args or seen.args,
            kwargs=found.kwargs or seen.kwargs,
            args_note=_args_note(facts, seen),
            result=_result(seen, found),
            exception=found.exception or seen.exception,
            traceback=found.traceback or seen.traceback,
            shows_secrets=shows_secrets,
        )

    @property
    def has_secrets(self) -> bool:
        """True when something of the arguments is hidden unless secrets are shown."""
        return any(hidden(text) != text for text in (self.args, self.kwargs))

    def shown(self, text: str) -> str:
        """Return a text of the arguments as it may be seen."""
        return text if self.shows_secrets else hidden(text)


def _result(row: TaskRow, facts: TaskFacts) -> str:
    """Return the newer of both: the events outrun a record of a run that goes on."""
    is_record_of_end = facts.done_at is not None or not facts.has_result
    if row.ended_at is not None and not is_record_of_end:
        return row.result
    if row.ended_at is None and row.progress_done is not None:
        return _progress(row.progress_done, row.progress_total)
    return facts.result or row.result


def _progress(done: float, total: float | None) -> str:
    numbers = {"done": done, "total": total}
    return str(
        {name: int(it) if it == int(it) else it for name, it in numbers.items() if it is not None}
    )


def _args_note(facts: TaskFacts | None, row: TaskRow) -> str:
    if facts is None:
        return "looking for the whole"
    if facts.is_args_complete:
        return f"whole, from the {facts.args_source}"
    if "..." in row.args or "…" in row.args:
        return "cut by the client"
    return f"from the {facts.args_source}" if facts.args_source else "as the events tell"


def args_text(known: Known) -> str:
    """Return the arguments, one a line."""
    lines = [f"{index}  {value}" for index, value in enumerate(_parts(known.shown(known.args)))]
    lines += [f"{key}={value}" for key, value in _pairs(known.shown(known.kwargs))]
    if not lines:
        return "(no arguments)" if known.args or known.kwargs else "(not known)"
    return "\n".join(lines)


def _parts(text: str) -> list[str]:
    value = _literal(text)
    if isinstance(value, list | tuple):
        return [repr(item) for item in value]
    return [text] if text.strip() and text.strip() not in ("()", "[]") else []


def _pairs(text: str) -> list[tuple[str, str]]:
    value = _literal(text)
    if isinstance(value, dict):
        return [(str(key), repr(item)) for key, item in value.items()]
    return [("**", text)] if text.strip() and text.strip() != "{}" else []


def _literal(text: str) -> object:
    """Return the value a repr stands for; None when it is not one of plain values."""
    try:
        return ast.literal_eval(text) if len(text) < 20_000 else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def result_text(known: Known) -> str:
    """Return the result, prettily where it is a plain value."""
    if known.exception and not known.result:
        return known.traceback or known.exception
    if not known.result:
        note = known.facts.note if known.facts is not None else ""
        return note or "No result is known."
    value = _literal(known.result)
    if isinstance(value, dict | list):
        try:
            return json.dumps(value, indent=2, ensure_ascii=False)
        except (TypeError, ValueError):
            return known.result
    return known.result


def timeline_lines(known: Known, now_at: float, *, is_tall: bool = False) -> Maker:
    """Return the maker of the timeline: an instant, a word, and a bar as long as it took."""

    def maker(width: int, look: Look) -> Sequence[list[Piece]]:
        row = known.row
        if row is None:
            return [[("No event of this task was seen.", "dim")]]
        steps = _steps(row, now_at)
        longest = max((took_s or 0.0 for _, _, _, took_s in steps), default=0.0)
        lines = []
        for word, at, style, took_s in steps:
            line: list[Piece] = [
                (f" {figures.clock(at, with_millis=True)} ", "dim"),
                (fit(word, 9), style),
            ]
            if took_s is not None:
                has_received = row.received_at is not None
                verb = _verb(word, has_received=has_received)
                line.append((f"{verb:>5} {figures.duration(took_s):<8}", ""))
                room = max(0, width - 38)
                length = round(took_s / longest * room) if longest else 0
                line.append((look.glyphs.full * min(room, max(1, length)), style or "primary"))
            lines.append(clipped(line, width, look.glyphs.ellipsis))
            if is_tall:
                lines.append([])
        return lines or [[("No instant is known.", "dim")]]

    return maker


def _verb(word: str, *, has_received: bool) -> str:
    return {"received": "wait", "started": "hold" if has_received else "wait"}.get(word, "ran")


def _steps(row: TaskRow, now_at: float) -> list[tuple[str, float, str, float | None]]:
    """Return (word, at, style, seconds since the step before) of what is known."""
    end = {"SUCCESS": "succeeded", "FAILURE": "failed", "RETRY": "retried"}.get(
        row.state, row.state.lower()
    )
    known = [
        ("sent", row.sent_at, "dim"),
        ("received", row.received_at, "RECEIVED"),
        ("started", row.started_at, "STARTED"),
        (end, row.ended_at, row.state),
    ]
    steps: list[tuple[str, float, str, float | None]] = []
    before_at: float | None = None
    for word, at, style in known:
        if at is None:
            continue
        took_s = max(0.0, at - before_at) if before_at is not None else None
        if word == end and row.runtime_s is not None:
            took_s = row.runtime_s
        steps.append((word, at, style, took_s))
        before_at = at
    if row.started_at is not None and row.ended_at is None and not row.is_lost:
        steps.append(("running", now_at, "STARTED", max(0.0, now_at - row.started_at)))
    return steps


_SOURCES = {PAST: "an earlier run", "inspect": "its worker", "console": "this console"}


def fact_lines(known: Known, *, is_short: bool = False) -> Maker:
    """Return the maker of the facts: who, where, limits, sources; a short one has the call too."""

    def maker(width: int, look: Look) -> Sequence[list[Piece]]:
        row = known.row or TaskRow(known.task_id, 0)
        groups = _short_groups(known, row) if is_short else _groups(known, row)
        if row.lost_by:
            groups.insert(2, [("handed on from", f"{row.lost_by}, which had started it")])
        note = known.facts.note if known.facts is not None else ""
        lines = [joined([[(f" {key} ", "dim"), (value, "")] for key, value in g]) for g in groups]
        if note:
            lines.append([(f" {note}", "warning")])
        return [clipped(line, width, look.glyphs.ellipsis) for line in lines]

    return maker


_Groups = list[list[tuple[str, str]]]


def _groups(known: Known, row: TaskRow) -> _Groups:
    return [
        [("id", known.task_id)],
        _place(row),
        [("retries", str(row.retries)), ("eta", row.eta or "-"), ("expires", row.expires or "-")],
        [("root", short_id(row.root_id) or "-"), ("parent", short_id(row.parent_id) or "-")],
        [("known from", _source(known))],
    ]


def _short_groups(known: Known, row: TaskRow) -> _Groups:
    """Return the facts that say something, above all what was called."""
    limits = [("eta", row.eta), ("expires", row.expires)]
    above = [("root", short_id(row.root_id)), ("parent", short_id(row.parent_id))]
    groups = [
        [("id", known.task_id)],
        [("called", _call_text(known))],
        [*_place(row), ("retries", str(row.retries))],
        [(key, value) for key, value in limits if value],
        above if row.parent_id else [],
        [("known from", _source(known))],
    ]
    return [group for group in groups if group]


def _place(row: TaskRow) -> list[tuple[str, str]]:
    return [("worker", row.worker or "-"), ("queue", row.queue or "-")]


def _call_text(known: Known) -> str:
    values = _parts(known.shown(known.args))
    values += [f"{key}={value}" for key, value in _pairs(known.shown(known.kwargs))]
    is_known = known.args or known.kwargs
    return f"{known.name}({', '.join(values) if is_known else '?'})"


def _source(known: Known) -> str:
    source = "no events" if known.row is None else _SOURCES.get(known.row.source, "events")
    has_record = known.facts is not None and known.facts.has_result
    return f"{source} + result store" if has_record else source


def family_lines(family: Sequence[TaskRow], task_id: str) -> Maker:
    """Return the maker of the family tree, the task itself marked."""

    def maker(width: int, look: Look) -> Sequence[list[Piece]]:
        if len(family) < 2:
            return [[(" no other task of this family was seen", "dim")]]
        lines: list[list[Piece]] = []
        for node in flow_nodes(family):
            row = node.row
            state = shown_state(row)
            sign = look.glyphs.states.get(state, look.glyphs.unknown)
            line: list[Piece] = [
                (f" {stem(node, look)}", "faint"),
                (f"{sign} ", state),
                (row.name, ""),
            ]
            line.append((f" {short_id(row.task_id)}", "dim"))
            if row.task_id == task_id:
                line.append((" <- here" if look.is_ascii else " ◂ here", "bold accent"))
            lines.append(clipped(line, width, look.glyphs.ellipsis))
        return lines

    return maker

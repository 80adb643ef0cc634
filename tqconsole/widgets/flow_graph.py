"""A flow as a graph from left to right: equal siblings in one box, what follows at its right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tqconsole.core.flows import flow_nodes
from tqconsole.core.views import TaskRow
from tqconsole.widgets import figures
from tqconsole.widgets.cells import short_id, shown_state
from tqconsole.widgets.lines import Maker
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, line_width

#: Boxes drawn at most: more than a screen shows anyhow.
BOX_LIMIT = 500


@dataclass(slots=True)
class Box:
    """Siblings of one name and one state that called nothing, or one task with its callees."""

    rows: list[TaskRow]
    is_critical: bool
    below: list[Box] = field(default_factory=list)


def boxes_of(family: Sequence[TaskRow]) -> list[Box]:
    """Return the boxes of the first column; each holds what stands at its right."""
    top: list[Box] = []
    path: list[Box] = []
    for node in flow_nodes(family)[:BOX_LIMIT]:
        del path[node.depth :]
        box = Box([node.row], node.is_critical)
        (path[-1].below if path else top).append(box)
        path.append(box)
    return _folded(top)


def _folded(boxes: list[Box]) -> list[Box]:
    """Return the boxes with equal leaves in one, at the place of the first."""
    kept: list[Box] = []
    leaves: dict[tuple[str, str, bool], Box] = {}
    for box in boxes:
        box.below = _folded(box.below)
        key = (box.rows[0].name, shown_state(box.rows[0]), box.is_critical)
        if box.below:
            kept.append(box)
        elif key in leaves:
            leaves[key].rows += box.rows
        else:
            leaves[key] = box
            kept.append(box)
    return kept


def graph_lines(family: Sequence[TaskRow]) -> Maker:
    """Return the maker of the graph: as wide as it is, also where there is less room."""

    def maker(_width: int, look: Look) -> Sequence[list[Piece]]:
        lines: list[list[Piece]] = []
        for box in boxes_of(family):
            lines += _drawn(box, look)
        return [[(" ", ""), *line, (" ", "")] for line in lines]

    return maker


def _drawn(box: Box, look: Look) -> list[list[Piece]]:
    head = _text(box, look)
    if not box.below:
        return [head]
    indent = " " * line_width(head)
    lines: list[list[Piece]] = []
    for index, below in enumerate(box.below):
        is_last = index == len(box.below) - 1
        for number, line in enumerate(_drawn(below, look)):
            start = head if not lines else [(indent, "")]
            signs = _signs(look)
            if number:
                sign = signs["none"] if is_last else signs["down"]
            elif index == 0:
                sign = signs["only"] if is_last else signs["first"]
            else:
                sign = signs["last"] if is_last else signs["next"]
            lines.append([*start, (sign, "faint"), *line])
    return lines


def _signs(look: Look) -> dict[str, str]:
    if look.is_ascii:
        names = ("only", "first", "next", "last", "down", "none")
        return dict(zip(names, (" --- ", " -+- ", "  +- ", "  +- ", "  |  ", "     "), strict=True))
    return {
        "only": " ─── ",
        "first": " ─┬─ ",
        "next": "  ├─ ",
        "last": "  └─ ",
        "down": "  │  ",
        "none": "     ",
    }


def _text(box: Box, look: Look) -> list[Piece]:
    row = box.rows[0]
    state = shown_state(row)
    sign = look.glyphs.states.get(state, look.glyphs.unknown)
    line: list[Piece] = [
        (row.name or "?", "bold" if box.is_critical else ""),
        (f" {sign}", state),
    ]
    if len(box.rows) > 1:
        times = sorted(it.runtime_s for it in box.rows if it.runtime_s is not None)
        middle = f"  p50 {figures.duration(times[len(times) // 2])}" if times else ""
        line.append((f" x{len(box.rows)}{middle}", "dim"))
    elif row.runtime_s is not None:
        line.append((f" {figures.duration(row.runtime_s)}", "dim"))
    if row.exception:
        line.append((f" {short_id(row.task_id)} {row.exception[:40]}", "error"))
    return line

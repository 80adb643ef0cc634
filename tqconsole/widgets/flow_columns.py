"""The columns of flows, and of the tasks of one flow as a tree and as a Gantt chart."""

from __future__ import annotations

from collections.abc import Callable

from tqconsole.core.flows import FlowNode, FlowView, began_at
from tqconsole.widgets import figures
from tqconsole.widgets.cells import short_id, shown_state, state_cell
from tqconsole.widgets.columns import Cell, Column
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece


def _name(row: FlowView, _look: Look, _now_at: float, _width: int) -> Cell:
    return row.name or ("?", "dim")


def _state(row: FlowView, look: Look, _now_at: float, _width: int) -> Cell:
    word = {"STARTED": "going on", "SUCCESS": "done", "FAILURE": "failed"}[row.state]
    return (f"{look.glyphs.states[row.state]} {word}", row.state)


def _progress(row: FlowView, look: Look, _now_at: float, width: int) -> Cell:
    text = f" {row.done_count}/{row.total_count}"
    room = max(0, width - len(text))
    full = round(room * row.done_count / row.total_count)
    failed = min(room - full, -(-room * row.failed_count // row.total_count))
    return [
        (look.glyphs.full * full, "SUCCESS"),
        (look.glyphs.full * failed, "FAILURE"),
        (look.glyphs.empty * (room - full - failed), "faint"),
        (text, ""),
    ]


def _running(row: FlowView, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.count(row.running_count) if row.running_count else ("0", "dim")


def _failed(row: FlowView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (figures.count(row.failed_count), "bold error") if row.failed_count else ("0", "dim")


def _took(row: FlowView, _look: Look, now_at: float, _width: int) -> Cell:
    return figures.duration(row.took_s(now_at))


def _age(row: FlowView, _look: Look, now_at: float, _width: int) -> Cell:
    return figures.age(None if row.began_at is None else now_at - row.began_at)


def _root(row: FlowView, _look: Look, _now_at: float, _width: int) -> Cell:
    return (short_id(row.root_id), "dim")


FLOWS: list[Column[FlowView]] = [
    Column("state", "STATE", 10, _state),
    Column("name", "BEGUN BY", 16, _name, flex=2, limit=40),
    Column("root", "ROOT", 8, _root, priority=4, is_sortable=False),
    Column("progress", "DONE", 20, _progress, flex=1, limit=40, is_sortable=False),
    Column("running", "RUN", 4, _running, is_right=True, priority=3),
    Column("failed", "FAIL", 4, _failed, is_right=True, priority=1),
    Column("took", "TOOK", 7, _took, is_right=True, priority=2),
    Column("age", "AGE", 7, _age, is_right=True),
]


def flow_sort_value(row: FlowView, key: str, now_at: float) -> tuple[bool, float | str]:
    """Return what a column orders by; unknown values go last."""
    values: dict[str, float | str | None] = {
        "state": row.state,
        "name": row.name,
        "running": row.running_count,
        "failed": row.failed_count,
        "took": row.took_s(now_at),
        "age": None if row.began_at is None else now_at - row.began_at,
    }
    value = values.get(key)
    return (value is not None, 0.0 if value is None else value)


def stem(node: FlowNode, look: Look) -> str:
    """Return what stands before a task's name in a tree."""
    if not node.depth:
        return ""
    branch = look.glyphs.last_branch if node.is_last else look.glyphs.branch
    trunks = (look.glyphs.trunk if goes_on else " " for goes_on in node.trunks)
    return "".join(f"{trunk}  " for trunk in trunks) + branch + " "


def node_pieces(node: FlowNode, look: Look) -> list[Piece]:
    """Return a task in its tree: stem, state, name; bold on the critical path."""
    state = shown_state(node.row)
    sign = look.glyphs.states.get(state, look.glyphs.unknown)
    name_style = "bold" if node.is_critical else ""
    return [(stem(node, look), "faint"), (f"{sign} ", state), (node.row.name or "?", name_style)]


def _tree(node: FlowNode, look: Look, _now_at: float, _width: int) -> Cell:
    return node_pieces(node, look)


def _node_state(node: FlowNode, look: Look, now_at: float, width: int) -> Cell:
    return state_cell(node.row, look, now_at, width)


def _node_wait(node: FlowNode, _look: Look, _now_at: float, _width: int) -> Cell:
    return figures.seconds(node.row.wait_s)


def _node_run(node: FlowNode, _look: Look, now_at: float, _width: int) -> Cell:
    row = node.row
    if row.runtime_s is None and row.started_at is not None and row.ended_at is None:
        return (figures.seconds(max(0.0, now_at - row.started_at)), "STARTED")
    return figures.seconds(row.runtime_s)


def _node_worker(node: FlowNode, _look: Look, _now_at: float, _width: int) -> Cell:
    return (node.row.worker, "dim")


def _node_id(node: FlowNode, _look: Look, _now_at: float, _width: int) -> Cell:
    return (short_id(node.row.task_id), "dim")


def _node_what(node: FlowNode, _look: Look, _now_at: float, _width: int) -> Cell:
    row = node.row
    return (row.exception, "error") if row.exception else (row.args, "dim")


TREE: list[Column[FlowNode]] = [
    Column("tree", "TASK", 20, _tree, flex=2, limit=44, is_sortable=False),
    Column("id", "ID", 8, _node_id, priority=3, is_sortable=False),
    Column("state", "STATE", 10, _node_state, priority=1, is_sortable=False),
    Column("wait", "WAIT s", 6, _node_wait, is_right=True, priority=4, is_sortable=False),
    Column("run", "RUN s", 6, _node_run, is_right=True, is_sortable=False),
    Column("worker", "WORKER", 10, _node_worker, flex=1, limit=24, priority=5, is_sortable=False),
    Column("what", "ARGS OR ERROR", 10, _node_what, flex=2, priority=2, is_sortable=False),
]


def gantt_columns(span: Callable[[], tuple[float, float]]) -> list[Column[FlowNode]]:
    """Return the columns of the Gantt chart; `span()` is from when to when the flow goes."""

    def bar(node: FlowNode, look: Look, now_at: float, width: int) -> Cell:
        return gantt_bar(node, look, now_at, width, *span())

    return [
        Column("tree", "TASK", 20, _tree, flex=1, limit=36, is_sortable=False),
        Column("run", "RUN s", 6, _node_run, is_right=True, priority=1, is_sortable=False),
        Column("bar", "", 20, bar, flex=3, is_sortable=False),
    ]


def gantt_bar(
    node: FlowNode, look: Look, now_at: float, width: int, from_at: float, to_at: float
) -> list[Piece]:
    """Return one task's time in the flow's: dim while it waited, in its state's colour as it ran.

    `from_at` and `to_at` are the ends of the line, in epoch seconds.
    """
    row = node.row
    first_at = began_at(row)
    if first_at is None or to_at <= from_at or width < 1:
        return []

    def cell(at: float) -> int:
        return max(0, min(width, int((at - from_at) / (to_at - from_at) * width)))

    is_over = row.ended_at is not None
    end_at = row.ended_at if row.ended_at is not None else now_at
    begin = min(cell(first_at), width - 1)
    end = max(begin + 1, cell(end_at))
    run = end if row.started_at is None else max(begin, min(end - 1, cell(row.started_at)))
    if row.started_at is None and is_over:
        run = begin
    state = shown_state(row)
    return [
        (" " * begin, ""),
        (look.glyphs.empty * (run - begin), "dim"),
        (look.glyphs.full * (end - run), state),
    ]

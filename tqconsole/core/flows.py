"""Flows: tasks that one call brought about, by their root and parent ids, as events tell them.

Pure functions over rows. A flow's shape is what was seen: a task whose parent is not kept stands at
the top. The critical path is the way of parents that leads to what ended last (or still runs).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tqconsole.core.merge import ENDED
from tqconsole.core.views import TaskRow
from tqconsole.engine import states

#: Flows listed at most, the newest first.
FLOW_LIMIT = 1000
_FAILED = frozenset({states.FAILURE, states.REVOKED, states.REJECTED})


@dataclass(frozen=True, slots=True)
class FlowView:
    """One flow. `state` is FAILURE when a task of it failed, STARTED while one is not ended.

    Instants are the console's clock, None while not known; `ended_at` None while it goes on.
    """

    root_id: str
    name: str
    state: str
    total_count: int
    done_count: int
    failed_count: int
    running_count: int
    began_at: float | None
    ended_at: float | None

    def took_s(self, now_at: float) -> float | None:
        """Return how long it took, until now while it goes on; None when the start is unknown."""
        if self.began_at is None:
            return None
        return max(0.0, (self.ended_at or now_at) - self.began_at)


@dataclass(frozen=True, slots=True)
class FlowNode:
    """One task in its flow: how deep, below whom, and whether it is on the critical path."""

    row: TaskRow
    depth: int
    is_last: bool
    is_critical: bool
    #: For each task above it but the first: does another one follow below the same parent?
    trunks: tuple[bool, ...] = ()


def flow_views(rows: Iterable[TaskRow], limit: int = FLOW_LIMIT) -> tuple[FlowView, ...]:
    """Return the flows of more than one task among `rows`, the newest first."""
    families: dict[str, list[TaskRow]] = {}
    for row in rows:
        families.setdefault(row.root_id or row.task_id, []).append(row)
    found = [
        _view(root_id, family)
        for root_id, family in families.items()
        if len(family) > 1 and root_id
    ]
    found.sort(key=lambda view: view.began_at or 0.0, reverse=True)
    return tuple(found[:limit])


def began_at(row: TaskRow) -> float | None:
    """Return the first instant known of a task."""
    known = [at for at in (row.sent_at, row.received_at, row.started_at) if at is not None]
    return min(known) if known else row.updated_at or None


def _view(root_id: str, family: Sequence[TaskRow]) -> FlowView:
    root = next((row for row in family if row.task_id == root_id), family[0])
    begins = [at for row in family if (at := began_at(row)) is not None]
    ends = [row.ended_at for row in family if row.ended_at is not None]
    failed = sum(1 for row in family if row.state in _FAILED or row.is_lost)
    ended = sum(1 for row in family if row.state in ENDED)
    running = sum(1 for row in family if row.started_at is not None and row.ended_at is None)
    goes_on = ended < len(family)
    state = states.FAILURE if failed else states.STARTED if goes_on else states.SUCCESS
    return FlowView(
        root_id,
        root.name,
        state,
        total_count=len(family),
        done_count=sum(1 for row in family if row.state == states.SUCCESS),
        failed_count=failed,
        running_count=running,
        began_at=min(begins) if begins else None,
        ended_at=None if goes_on or not ends else max(ends),
    )


def flow_nodes(family: Sequence[TaskRow]) -> list[FlowNode]:
    """Return the tasks of a flow, each below its parent, in the order they were first seen."""
    children = _children(family)
    critical = critical_ids(family)
    found: list[FlowNode] = []
    seen: set[str] = set()
    todo = _marked(children.get("", []), 0, ())
    while todo:
        row, depth, is_last, trunks = todo.pop()
        if row.task_id in seen:
            continue
        seen.add(row.task_id)
        found.append(FlowNode(row, depth, is_last, row.task_id in critical, trunks))
        below = (*trunks, not is_last) if depth else ()
        todo += _marked(children.get(row.task_id, []), depth + 1, below)
    return found


def _children(family: Sequence[TaskRow]) -> dict[str, list[TaskRow]]:
    """Return parent id -> its tasks; "" for those whose parent is none of them, or themselves.

    Ids are a stranger's: a circle of parents would hang from nowhere, so its first task is cut off.
    """
    by_id = {row.task_id: row for row in family}
    children: dict[str, list[TaskRow]] = {}
    for row in family:
        parent = row.parent_id if row.parent_id in by_id else ""
        children.setdefault("" if _is_own_ancestor(row, by_id) else parent, []).append(row)
    return children


def _is_own_ancestor(row: TaskRow, by_id: dict[str, TaskRow]) -> bool:
    """True for the first seen task of a circle of parents."""
    seen = {row.task_id}
    first = row
    above = by_id.get(row.parent_id)
    while above is not None and above.task_id not in seen:
        seen.add(above.task_id)
        if above.sequence < first.sequence:
            first = above
        above = by_id.get(above.parent_id)
    return above is row and first is row


def _marked(
    rows: Sequence[TaskRow], depth: int, trunks: tuple[bool, ...]
) -> list[tuple[TaskRow, int, bool, tuple[bool, ...]]]:
    return [(row, depth, index == 0, trunks) for index, row in enumerate(reversed(rows))]


def critical_ids(family: Sequence[TaskRow]) -> frozenset[str]:
    """Return the ids on the way from the top to what ended last; what still runs ends last."""
    by_id = {row.task_id: row for row in family}
    begun = [row for row in family if row.started_at is not None or row.ended_at is not None]
    if not begun:
        return frozenset()
    row: TaskRow | None = max(
        begun, key=lambda row: row.ended_at if row.ended_at is not None else float("inf")
    )
    path: set[str] = set()
    while row is not None and row.task_id not in path:
        path.add(row.task_id)
        row = by_id.get(row.parent_id)
    return frozenset(path)


def failed_rows(family: Iterable[TaskRow]) -> list[TaskRow]:
    """Return the tasks that a re-run is for: those that failed or were lost."""
    return [row for row in family if row.state == states.FAILURE or row.is_lost]


def unfinished_rows(family: Iterable[TaskRow]) -> list[TaskRow]:
    """Return the tasks that have not ended."""
    return [row for row in family if row.state not in ENDED]


def to_dot(family: Sequence[TaskRow]) -> str:
    """Return the flow as a graph for Graphviz."""
    lines = ["digraph flow {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    nodes = flow_nodes(family)
    numbers = {node.row.task_id: number for number, node in enumerate(nodes)}
    for node in nodes:
        label = json.dumps(f"{node.row.name}\n{node.row.state} {node.row.task_id[:8]}")
        bold = ", penwidth=2" if node.is_critical else ""
        lines.append(f"  t{numbers[node.row.task_id]} [label={label}{bold}];")
    lines += [f"  t{above} -> t{below};" for above, below in _edges(nodes, numbers)]
    return "\n".join([*lines, "}", ""])


def to_mermaid(family: Sequence[TaskRow]) -> str:
    """Return the flow as a Mermaid flowchart."""
    lines = ["flowchart LR"]
    nodes = flow_nodes(family)
    numbers = {node.row.task_id: number for number, node in enumerate(nodes)}
    for node in nodes:
        text = f"{node.row.name} {node.row.state} {node.row.task_id[:8]}"
        # Mermaid reads quotes as the end of a label and knows entities by number.
        escaped = text.replace("#", "#35;").replace('"', "#quot;")
        lines.append(f'  t{numbers[node.row.task_id]}["{escaped}"]')
    lines += [f"  t{above} --> t{below}" for above, below in _edges(nodes, numbers)]
    return "\n".join([*lines, ""])


def _edges(nodes: Sequence[FlowNode], numbers: dict[str, int]) -> list[tuple[int, int]]:
    return [
        (numbers[node.row.parent_id], numbers[node.row.task_id])
        for node in nodes
        if node.depth and node.row.parent_id in numbers
    ]

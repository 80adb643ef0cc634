"""Flows are put together from root and parent ids, whatever of them is known."""

from __future__ import annotations

import re
from typing import Any

from tqconsole.core.flows import critical_ids, flow_nodes, flow_views, to_dot, to_mermaid
from tqconsole.core.views import TaskRow

NOW = 1_795_183_351.0


def row(task_id: str, parent_id: str = "", root_id: str = "root", **facts: Any) -> TaskRow:
    made = TaskRow(task_id, facts.pop("sequence", ord(task_id[0])))
    made.parent_id, made.root_id, made.name = parent_id, root_id, f"name.{task_id}"
    for key, value in facts.items():
        setattr(made, key, value)
    return made


def test_a_task_alone_is_no_flow():
    assert flow_views([row("a", root_id="a"), row("b", root_id="")]) == ()


def test_a_flow_counts_its_tasks_and_goes_on_until_the_last_has_ended():
    family = [
        row("root", state="SUCCESS", sent_at=NOW, started_at=NOW + 1, ended_at=NOW + 2),
        row("b", "root", state="FAILURE", started_at=NOW + 3, ended_at=NOW + 4),
        row("c", "root", state="STARTED", started_at=NOW + 3),
    ]

    (flow,) = flow_views(family)

    assert (flow.name, flow.state) == ("name.root", "FAILURE")
    assert (flow.total_count, flow.done_count, flow.failed_count, flow.running_count) == (
        3,
        1,
        1,
        1,
    )
    assert flow.ended_at is None
    assert flow.took_s(NOW + 10) == 10
    family[2].state, family[2].ended_at = "SUCCESS", NOW + 9
    assert flow_views(family)[0].took_s(NOW + 99) == 9


def test_the_newest_flow_comes_first():
    rows = [
        row(name, root_id=root, sent_at=NOW + at)
        for name, root, at in (("a", "x", 1), ("b", "x", 2), ("c", "y", 5), ("d", "y", 6))
    ]

    assert [flow.root_id for flow in flow_views(rows)] == ["y", "x"]


def test_the_tree_stands_below_parents_and_a_lost_parent_hides_nobody():
    nodes = flow_nodes(
        [row("root"), row("b", "root"), row("c", "b"), row("d", "root"), row("e", "gone")]
    )

    assert [(node.row.task_id, node.depth) for node in nodes] == [
        ("root", 0),
        ("b", 1),
        ("c", 2),
        ("d", 1),
        ("e", 0),
    ]
    assert [node.is_last for node in nodes] == [False, False, True, True, True]


def test_a_circle_of_parents_is_cut_and_shown_whole():
    nodes = flow_nodes([row("a", "c"), row("b", "a"), row("c", "b"), row("d", "d")])

    assert sorted(node.row.task_id for node in nodes) == ["a", "b", "c", "d"]


def test_the_critical_path_leads_to_what_ended_last():
    family = [
        row("root", started_at=NOW, ended_at=NOW + 1),
        row("b", "root", started_at=NOW + 1, ended_at=NOW + 5),
        row("c", "root", started_at=NOW + 1, ended_at=NOW + 9),
        row("d", "c", started_at=NOW + 9, ended_at=NOW + 10),
        row("e", "b"),
    ]

    assert critical_ids(family) == {"root", "c", "d"}
    family[1].ended_at = None
    assert critical_ids(family) == {"root", "b"}
    assert critical_ids([row("a")]) == frozenset()


def test_names_cannot_break_out_of_the_exports():
    family = [row("root"), row("b", "root")]
    family[1].name = 'x"]; evil'

    assert r'[label="x\"]; evil\nPENDING b"]' in to_dot(family)
    assert "t0 -> t1;" in to_dot(family)
    assert 't1["x#quot;]; evil PENDING b"]' in to_mermaid(family)
    assert re.search(r"^  t0 --> t1$", to_mermaid(family), re.MULTILINE)

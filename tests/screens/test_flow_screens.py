"""Flows: the list, and one of them as a tree, over time and as a graph."""

from __future__ import annotations

from itertools import pairwise

from driving import press, settle, shown_text, type_text
from fake import FakeSession, make_flow, make_row

from tqconsole.console import Console
from tqconsole.core.views import TaskRow
from tqconsole.screens.call import CallDialog
from tqconsole.screens.control import GroupDialog
from tqconsole.screens.flow import FlowScreen
from tqconsole.screens.flows import FlowsScreen
from tqconsole.screens.task import TaskScreen
from tqconsole.widgets.wide_lines import WideLines

SIZE = (120, 36)


async def test_flows_are_listed_filtered_and_narrowed_to_those_that_failed() -> None:
    app = Console(FakeSession(make_flow()), screen="flows")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        screen = app.shown_screen()
        assert isinstance(screen, FlowsScreen)
        assert [row.name for row in screen.table.first_rows(9)] == ["import.batch", "report.build"]

        await press(pilot, "exclamation_mark")
        assert [row.name for row in screen.table.first_rows(9)] == ["import.batch"]
        await press(pilot, "exclamation_mark", "slash")
        await type_text(pilot, "report")
        assert [row.name for row in screen.table.first_rows(9)] == ["report.build"]


async def test_a_flow_is_drawn_as_tree_gantt_and_graph() -> None:
    app = Console(FakeSession(make_flow()), screen="flows")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        assert isinstance(app.screen, FlowScreen)
        tree = shown_text(app)
        assert "critical path" in tree
        assert "└─ · mail.send" in tree

        await press(pilot, "tab")
        assert "─━" in shown_text(app)
        await press(pilot, "tab")
        assert "img.resize ✔ x7" in shown_text(app)


def make_chain(length: int) -> list[TaskRow]:
    rows = [
        make_row(n, name=f"step.number{n}", state="SUCCESS", runtime_s=1.0) for n in range(length)
    ]
    for above, row in pairwise(rows):
        row.parent_id = above.task_id
    for row in rows:
        row.root_id = rows[0].task_id
    return rows


async def test_all_of_a_graph_wider_than_the_window_is_reached_by_keys() -> None:
    app = Console(FakeSession(make_chain(12)), screen="flows")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "tab", "tab")
        first = graph_shown(app)
        await press(pilot, "G")
        last = graph_shown(app)
        await press(pilot, *["h"] * 40)

        assert "step.number0" in first
        assert "step.number11" not in first
        assert "step.number11" in last
        assert graph_shown(app) == first


def graph_shown(app: Console) -> str:
    return app.screen.query_one("#graph", WideLines).render_line(0).text


async def test_a_task_of_the_flow_opens_and_v_leads_back() -> None:
    app = Console(FakeSession(make_flow()), screen="flows")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "down", "enter")
        assert isinstance(app.screen, TaskScreen)

        await press(pilot, "v")
        assert isinstance(app.screen, FlowScreen)


async def test_what_failed_is_run_again_and_the_rest_revoked_after_asking() -> None:
    session = FakeSession(make_flow())
    app = Console(session, screen="flows")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "R")
        assert isinstance(app.screen, CallDialog)
        await press(pilot, "escape", "X")
        assert isinstance(app.screen, GroupDialog)
        assert app.screen._targets == tuple(row.task_id for row in session.rows[10:12])

    assert session.requests == []


async def test_a_flow_is_copied_as_a_chart() -> None:
    app = Console(FakeSession(make_flow()), screen="flows")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "c", "m")

        assert app.clipboard.startswith('flowchart LR\n  t0["import.batch SUCCESS')


async def test_a_tree_shows_what_goes_on_below_a_parent() -> None:
    app = Console(FakeSession(make_flow()), screen="flows")
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "enter")

        lines = shown_text(app).splitlines()

    (publish,) = [line for line in lines if "gallery.publish" in line and "STARTED" in line]
    assert publish.startswith("  │  └─ "), "another resize follows below the batch"


async def test_the_critical_path_fits_a_narrow_screen() -> None:
    texts = {}
    for width in (120, 80):
        app = Console(FakeSession(make_flow()), screen="flows")
        async with app.run_test(size=(width, 24)) as pilot:
            await settle(pilot)
            await press(pilot, "enter")
            texts[width] = shown_text(app)

    assert "import.batch (wait 0.2 s, run 0.4 s)" in texts[120]
    assert "import.batch 0.6 s ▸ img.resize 3.2 s ▸ gallery.publish 2.1 s" in texts[80]

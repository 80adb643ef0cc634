"""One worker: its tabs lead to tasks, and everything it can be asked is in one menu."""

from __future__ import annotations

from driving import press, settle, shown_text
from fake import FakeSession

from tqconsole.console import Console
from tqconsole.screens.task import TaskScreen

SIZE = (80, 24)


async def test_a_task_that_runs_there_is_opened_and_named_by_the_beginning_of_its_id() -> None:
    app = Console(FakeSession(), screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        text = shown_text(app)
        assert "9f3c1a20  img.resize    (91, 'thumb')" in text
        assert "9f3c1a20-5d1e" not in text

        await press(pilot, "enter")
        assert isinstance(app.screen, TaskScreen)


async def test_all_that_a_worker_can_be_asked_is_in_the_menu_of_its_screen() -> None:
    session = FakeSession()
    app = Console(session, screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "i", "t")
        tab = session.asked[-1]
        await press(pilot, "i", "k")

        assert tab == ("inspect", "w1@ip-10-1-0", "stats")
        assert "clock of w1@ip-10-1-0" in shown_text(app)

"""Workers and queues are found among hundreds by words; what is hidden is never acted on."""

from __future__ import annotations

from driving import press, settle, shown_text, type_text
from fake import FakeSession

from tqconsole.console import Console
from tqconsole.screens.control import GroupDialog
from tqconsole.screens.queues import QueuesScreen
from tqconsole.screens.workers import WorkersScreen

SIZE = (80, 24)


async def test_workers_are_found_by_words_of_name_status_and_queues() -> None:
    app = Console(FakeSession(), screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        screen = app.shown_screen()
        assert isinstance(screen, WorkersScreen)
        all_rows = screen.table.first_rows(99)
        await press(pilot, "slash")
        await type_text(pilot, "W1@ online")
        await press(pilot, "enter")

        assert [row.name for row in screen.table.first_rows(99)] == ["w1@ip-10-1-0"]
        assert f"1 of {len(all_rows)} workers" in shown_text(app)

        await press(pilot, "escape")
        assert screen.table.first_rows(99) == all_rows


async def test_queues_are_found_by_words_of_their_names() -> None:
    app = Console(FakeSession(), screen="queues")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        screen = app.shown_screen()
        assert isinstance(screen, QueuesScreen)
        await press(pilot, "slash")
        await type_text(pilot, "mai")
        assert [row.name for row in screen.table.first_rows(99)] == ["mail"]

        await type_text(pilot, "x")
        assert "No queue fits. esc clears the filter." in shown_text(app)


async def test_where_the_filter_hides_every_worker_none_is_acted_on() -> None:
    app = Console(FakeSession(), screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "slash")
        await type_text(pilot, "nobody")
        await press(pilot, "enter", "P")

        assert not isinstance(app.screen, GroupDialog)
        assert [notice.message for notice in app._notifications] == ["Nothing is under the cursor."]

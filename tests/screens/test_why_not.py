"""Where nothing can be done or shown, the screen says why."""

from __future__ import annotations

from driving import press, settle, shown_text
from fake import FakeSession

from tqconsole.console import Console


async def test_a_window_that_is_too_small_says_which_is_not() -> None:
    app = Console(FakeSession(), screen="dashboard")
    async with app.run_test(size=(30, 8)) as pilot:
        await settle(pilot)

        lines = shown_text(app).split("\n")
        assert " ".join(line.strip() for line in lines[:2]) == (
            "The window is too small. 60x15 is the least."
        )
        assert "ok/s" not in shown_text(app)


async def test_a_key_that_would_change_a_read_only_cluster_says_why_it_does_not() -> None:
    session = FakeSession(is_read_only=True)
    app = Console(session, screen="tasks")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "R")

        notices = [notice.message for notice in app._notifications]
        assert notices == ["Read-only: no re-run here."]

    assert session.requests == []

"""Revoking by stamps, and asking an AbortableTask to stop: what the dialogs show and send."""

from __future__ import annotations

from driving import press, settle, shown_text, type_text
from fake import FakeSession, make_row

from tqconsole.console import Console
from tqconsole.core.actions import ActionRequest
from tqconsole.screens.replies import RepliesDialog

SIZE = (120, 36)


async def test_stamps_show_what_waits_with_them_before_anything_is_sent() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "S")
        await type_text(pilot, "batch=7")

        text = shown_text(app)
        assert "35 calls carry one, of 164 looked at in 4 queues" in text
        assert "31  mail.send  in mail" in text
        assert session.asked[-1] == ("stamped", "batch=7")
        assert session.requests == []

        app.screen.query_one("#go").press()
        await settle(pilot)

        expected = {"stamps": "batch=7", "signal": "no"}
        assert session.requests == [ActionRequest("task.revoke_by_stamped_headers", (), expected)]
        assert isinstance(app.screen, RepliesDialog)


async def test_a_stamp_without_a_value_is_not_sent() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "colon")
        await type_text(pilot, "revoke --headers batch=")
        await press(pilot, "enter")

        assert "a stamp is written name=value, not 'batch='" in shown_text(app)
        assert app.screen.query_one("#go").disabled


async def test_the_command_line_revokes_by_stamp_and_by_id() -> None:
    session = FakeSession()
    app = Console(session, screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        for line, title in (
            ("revoke batch=7", "Revoke by stamp on prod?"),
            (f"revoke {session.rows[0].task_id}", f"Revoke: {session.rows[0].task_id[:8]} on prod"),
        ):
            await press(pilot, "colon")
            await type_text(pilot, line)
            await press(pilot, "enter")
            assert title in shown_text(app)
            await press(pilot, "escape")


async def test_only_a_task_known_to_be_abortable_can_be_aborted() -> None:
    rows = [make_row(1, name="long.run", state="STARTED"), make_row(2, name="mail.send")]
    session = FakeSession(rows)
    session.abortable = ("long.run",)
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        offered = []
        for key in ("g", "down"):
            await press(pilot, key, "X")
            offered.append("Abort" in shown_text(app))
            await press(pilot, "escape", "a")
            offered.append("no AbortableTask by the app at hand" in shown_text(app))
            await press(pilot, "escape")

    # Newest first: the mail, then the long one.
    assert sorted(zip(offered[::2], offered[1::2], strict=True)) == [(False, True), (True, False)]

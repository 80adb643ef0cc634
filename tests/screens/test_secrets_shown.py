"""A secret among the arguments of a task is on no screen and in no copy."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from driving import press, settle, shown_text
from fake import FakeSession, done

from tqconsole.console import Console
from tqconsole.core.views import TaskFacts

SECRET = "hunter2"


@pytest.mark.parametrize("keys", [(), ("d",), ("enter",), ("enter", "tab"), ("c",)])
async def test_a_secret_argument_is_shown_nowhere(keys: tuple[str, ...]) -> None:
    session = FakeSession()
    session.rows[-1].args = "()"
    session.rows[-1].kwargs = f"{{'password': '{SECRET}', 'n': 1}}"
    app = Console(session, screen="tasks")
    async with app.run_test(size=(160, 40)) as pilot:
        await settle(pilot)
        await press(pilot, *keys)

        assert SECRET not in shown_text(app)


@pytest.mark.parametrize("letter", ["a", "j"])
async def test_a_secret_argument_is_not_copied(letter: str) -> None:
    session = FakeSession()
    session.rows[-1].kwargs = f"{{'password': '{SECRET}'}}"
    app = Console(session, screen="tasks")
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "c", letter)

    assert "password" in app.clipboard
    assert SECRET not in app.clipboard


class WithSecret(FakeSession):
    def fetch_task(self, task_id: str) -> Future[TaskFacts]:
        return done(TaskFacts(task_id, kwargs=f"{{'password': '{SECRET}'}}"))


async def test_secrets_are_shown_when_that_was_confirmed_and_noted() -> None:
    session = WithSecret()
    app = Console(session, screen="tasks")
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        assert "u shows secrets" in shown_text(app)

        await press(pilot, "u", "enter")
        assert SECRET not in shown_text(app), "Cancel has the focus"
        assert session.audit_lines == ()

        await press(pilot, "u", "right", "enter")
        assert f"password='{SECRET}'" in shown_text(app)
        assert [line.action_id for line in session.audit_lines] == ["show secrets"]

        await press(pilot, "c", "j")
        assert SECRET not in app.clipboard, "what leaves as JSON stays masked"

        await press(pilot, "u")
        assert SECRET not in shown_text(app)


async def test_secrets_shown_for_one_task_are_hidden_on_the_next() -> None:
    app = Console(WithSecret(), screen="tasks")
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "u", "right", "enter")
        assert SECRET in shown_text(app)

        await press(pilot, "right_square_bracket")

        assert SECRET not in shown_text(app)


async def test_a_read_only_console_shows_no_secrets() -> None:
    app = Console(WithSecret(is_read_only=True), screen="tasks")
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "u")

        text = shown_text(app)
        assert any("read-only console shows no secrets" in it.message for it in app._notifications)

    assert "u shows secrets" not in text
    assert SECRET not in text

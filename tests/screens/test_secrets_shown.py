"""A secret among the arguments of a task is on no screen and in no copy."""

from __future__ import annotations

import pytest
from driving import press, settle, shown_text
from fake import FakeSession

from tqconsole.console import Console

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

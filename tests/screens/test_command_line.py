"""The command line and the palette: filters kept by name, and what is found by typing."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import press, settle, shown_text, type_text
from fake import FakeSession
from textual.pilot import Pilot

from tqconsole.console import Console
from tqconsole.core.setup import Setup, load_setup
from tqconsole.screens.palette import ConsoleCommands
from tqconsole.screens.task import TaskScreen
from tqconsole.screens.workers import WorkersScreen

SIZE = (120, 36)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


async def run_line(pilot: Pilot[object], line: str) -> None:
    await press(pilot, "colon")
    await type_text(pilot, line)
    await press(pilot, "enter")


async def test_a_filter_is_kept_by_its_name_and_forgotten_when_empty() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "slash")
        await type_text(pilot, "img")
        await press(pilot, "enter")
        await run_line(pilot, "save pictures")

        assert session.asked[-1] == ("save", "pictures", "img")
        assert load_setup().filters == {"pictures": "img"}
        assert "tasks @pictures" in app.lines()

        await press(pilot, "escape")
        await run_line(pilot, "save pictures")

        assert session.asked[-1] == ("save", "pictures", "")
        assert load_setup().filters == {}


@pytest.mark.parametrize(
    ("screen", "line", "says"),
    [
        ("workers", "save slow", "go there first"),
        ("tasks", "save two words", "is no name for a filter"),
        ("tasks", "save", "is no name for a filter"),
    ],
)
async def test_what_cannot_be_saved_says_why(screen: str, line: str, says: str) -> None:
    app = Console(FakeSession(), screen=screen)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await run_line(pilot, line)

        assert any(says in notice.message for notice in app._notifications)
        assert load_setup() == Setup()


async def test_kept_filters_are_known_from_the_start() -> None:
    session = FakeSession()

    Console(session, setup=Setup(filters={"slow": "runtime>10s", "broken": "("}))

    assert session.asked == [("save", "slow", "runtime>10s")]


async def test_the_palette_finds_commands_names_and_tasks_by_their_ids() -> None:
    session = FakeSession()
    wanted = session.rows[7].task_id
    app = Console(session, screen="tasks", setup=Setup(filters={"slow": "runtime>10s"}))
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        provider = ConsoleCommands(app.screen)

        async def found(query: str) -> list[str]:
            return [str(hit.text) async for hit in provider.search(query)]

        assert "worker w1@ip-10-1-0" in await found("w1@ip")
        assert "tasks @slow" in await found("@slow")
        assert "theme tqconsole-light" in await found("tqconsole-light")
        assert "re-run" in await found("re-run")
        (task,) = [title for title in await found(wanted[:8]) if title.startswith("task ")]
        assert task == f"task {wanted}"

        app.run_line(task)
        await settle(pilot)
        assert isinstance(app.screen, TaskScreen)


async def test_the_palette_leads_to_what_is_done_on_another_screen() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        hits = [hit async for hit in ConsoleCommands(app.screen).search("restart the pool")]
        assert hits[0].help == "P   changes the cluster, asks first   on workers"

        hits[0].command()
        await settle(pilot)
        assert isinstance(app.screen, WorkersScreen)


async def test_the_palette_of_a_read_only_console_offers_no_change() -> None:
    app = Console(FakeSession(is_read_only=True), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        found = [str(hit.text) async for hit in ConsoleCommands(app.screen).search("purge")]

    assert found == []


async def test_the_command_that_calls_a_task_again_is_copied() -> None:
    session = FakeSession()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "c")
        assert "command that calls it again" in shown_text(app)

        await press(pilot, "x")

    assert app.clipboard.startswith("tqconsole ")

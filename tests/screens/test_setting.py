"""Setup: what is picked takes effect at once and is saved; keys of the file do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import press, settle, shown_text, type_text
from fake import FakeSession

from tqconsole.console import Console
from tqconsole.core.own_usage import Usage
from tqconsole.core.setup import Setup, load_setup
from tqconsole.screens.help import HelpScreen
from tqconsole.screens.tasks import TasksScreen
from tqconsole.widgets.filter_bar import FilterInput

SIZE = (120, 36)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


async def test_a_theme_is_picked_and_saved() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "f2", "t")
        await press(pilot, "down", "enter")

        assert app.theme == load_setup().theme
        assert app.theme != Console(FakeSession()).theme


async def test_the_frame_rate_is_picked_and_saved() -> None:
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "f2", "f", "down", "down", "enter")

        assert app.setup.frames_per_s == load_setup().frames_per_s == 4


async def test_a_column_is_hidden_shown_and_saved() -> None:
    app = Console(FakeSession(), screen="workers")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert "POOL" in shown_text(app)

        await press(pilot, "f2", "c", "down", "down", "enter", "escape")
        assert "POOL" not in shown_text(app)
        assert load_setup().hidden_columns == {"workers": ("pool",)}

        await press(pilot, "f2", "c", "down", "down", "enter", "escape")
        assert "POOL" in shown_text(app)


async def test_a_saved_setup_holds_from_the_start() -> None:
    setup = Setup("tqconsole-light", hidden_columns={"workers": ("pool",)})
    app = Console(FakeSession(), screen="workers", setup=setup)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)

        assert app.theme == "tqconsole-light"
        assert "POOL" not in shown_text(app)


async def test_a_setup_that_cannot_be_saved_says_so(config: Path) -> None:
    (config / "tqconsole").write_text("in the way")
    app = Console(FakeSession(), screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "f2", "f", "enter")

        assert any("Not saved" in notice.message for notice in app._notifications)


REBOUND = Setup(
    keys={
        "tasks.rerun": ("T",),
        "list.filter": ("f7", "ctrl+r"),
        "app.help": ("f12",),
        "task.previous": ("left_curly_bracket",),
    }
)


@pytest.mark.parametrize("key", ["f7", "ctrl+r"])
async def test_a_key_that_was_bound_anew_does_what_it_says(key: str) -> None:
    app = Console(FakeSession(), screen="tasks", setup=REBOUND)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, key)

        assert isinstance(app.focused, FilterInput)


async def test_the_key_it_had_does_nothing_any_more() -> None:
    app = Console(FakeSession(), screen="tasks", setup=REBOUND)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "slash", "R", "question_mark")

        assert isinstance(app.screen, TasksScreen)
        assert not isinstance(app.focused, FilterInput)


async def test_footer_and_help_show_the_keys_that_were_bound_anew() -> None:
    app = Console(FakeSession(), screen="tasks", setup=REBOUND)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        footer = shown_text(app).splitlines()[-1]
        assert "T re-run" in footer
        assert "R re-run" not in footer
        assert "f7 filter" in footer

        await press(pilot, "f12")
        assert isinstance(app.screen, HelpScreen)
        await type_text(pilot, "filter")
        assert "f7 ctrl+r" in shown_text(app)


async def test_a_key_that_a_screen_gave_up_means_again_what_it_means_elsewhere() -> None:
    app = Console(FakeSession(), screen="tasks", setup=REBOUND)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter", "down")
        assert not isinstance(app.screen, TasksScreen)

        await press(pilot, "left_square_bracket")
        assert isinstance(app.screen, TasksScreen)


async def test_the_keys_bound_anew_are_listed_with_the_file() -> None:
    app = Console(FakeSession(), screen="tasks", setup=REBOUND)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "f2", "k")

        text = shown_text(app)

    assert "console.toml" in text
    assert "tasks.rerun" in text


async def test_what_the_console_costs_is_on_the_dashboard_and_in_the_setup() -> None:
    app = Console(FakeSession(), screen="dashboard")
    async with app.run_test(size=SIZE) as pilot:
        app.usage = Usage(0.62, 92 << 20)
        await settle(pilot)
        assert "console 62 % CPU, 92 MiB" in shown_text(app)

        await press(pilot, "f2")
        assert "62 % CPU, 92 MiB" in shown_text(app)

from __future__ import annotations

from pathlib import Path

from tqconsole.engine.control import Panel
from tqconsole.engine.control.commands_text import commands_markdown

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text() == commands_markdown(), (
        "write it anew: python -m tqconsole.engine.control.commands_text > docs/commands.md"
    )


def test_every_visible_command_is_on_the_page() -> None:
    page = commands_markdown()

    assert [name for name in Panel if Panel[name].is_visible and f"| `{name}` |" not in page] == []
    assert "| `hello` |" not in page

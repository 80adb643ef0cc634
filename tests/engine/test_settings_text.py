from __future__ import annotations

from pathlib import Path

from tqconsole.engine.settings_own import OWN_SETTINGS
from tqconsole.engine.settings_table import SETTINGS
from tqconsole.engine.settings_text import settings_markdown

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text() == settings_markdown(), (
        "write it anew: python -m tqconsole.engine.settings_text > docs/settings.md"
    )


def test_every_setting_is_on_the_page_with_its_reason() -> None:
    page = settings_markdown()

    assert all(f"| `{name}` |" in page for name in SETTINGS)
    assert all(setting.reason for setting in SETTINGS.values())


def test_what_celery_does_not_have_is_on_the_page_without_an_old_name() -> None:
    page = settings_markdown()

    assert not OWN_SETTINGS.keys() & SETTINGS.keys()
    for setting in OWN_SETTINGS.values():
        line = f"| `{setting.name}` | `{setting.default!r}` | {setting.unit} | {setting.reason} |"
        assert f"{line}\n" in page

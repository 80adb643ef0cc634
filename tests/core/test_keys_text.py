"""What is told of keys is made from the table of keys: the page, and the words of each key."""

from pathlib import Path

import pytest

from tqconsole.core.keymap import BINDINGS_BY_ID
from tqconsole.core.keys_text import BEGIN, END, meaning, with_keys

PAGE = Path(__file__).parents[2] / "docs" / "console.md"


def test_the_page_has_the_keys_of_the_table():
    page = PAGE.read_text()

    assert page == with_keys(page), "python -m tqconsole.core.keys_text docs/console.md"


def test_only_what_stands_between_the_marks_is_made_anew():
    page = f"mine\n{BEGIN}\nold\n{END}\nalso mine\n"

    assert with_keys(page).startswith("mine\n")
    assert with_keys(page).endswith("\nalso mine\n")
    assert "old\n" not in with_keys(page)


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="wants a line"):
        with_keys("no marks")


def test_a_key_is_told_by_the_actions_it_opens():
    assert meaning(BINDINGS_BY_ID["tasks.revoke"]) == "revoke, terminate, abort"
    assert meaning(BINDINGS_BY_ID["tasks.limits"]) == "rate limit, time limits"
    assert meaning(BINDINGS_BY_ID["queues.consumers"]).count("consuming") == 1
    assert meaning(BINDINGS_BY_ID["flow.revoke"]) == "revoke the rest"

"""Every key of the key table, pressed: what it says it does can be seen on the screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import press, settle, shown_text
from key_effects import EFFECTS, PLACES, Effect, session_for
from textual.keys import _character_to_key
from textual.pilot import Pilot

from tqconsole.console import Console
from tqconsole.core.keymap import BINDINGS_BY_ID, KEYMAP, KeyBinding
from tqconsole.core.keys_text import meaning
from tqconsole.screens.help import help_rows
from tqconsole.widgets.footer import KeyLine
from tqconsole.widgets.keys import shown_key

EVERY_KEY = [(entry.binding_id, key) for entry in KEYMAP for key in entry.keys]


@pytest.mark.parametrize(("binding_id", "key"), EVERY_KEY, ids=[f"{i}-{k}" for i, k in EVERY_KEY])
async def test_a_key_does_what_its_row_says(
    binding_id: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert binding_id in EFFECTS, f"say in key_effects.py what {binding_id} brings about"
    monkeypatch.chdir(tmp_path)
    effect, group = EFFECTS[binding_id], BINDINGS_BY_ID[binding_id].screen
    start, way = PLACES[group]
    app = Console(session_for(group), screen=effect.start or start)
    async with app.run_test(size=(effect.width, 36)) as pilot:
        await settle(pilot)
        await press(pilot, *way, *effect.before)
        before = shown_text(app)

        await press(pilot, _character_to_key(key) if len(key) == 1 else key)

        after = await _text_with(pilot, effect)
        assert effect.shows not in before or not effect.shows
        assert effect.shows in after
        assert effect.hides in before
        assert effect.hides not in after or not effect.hides
        assert (
            any(effect.says in notice.message for notice in app._notifications) or not effect.says
        )
        assert effect.holds is None or effect.holds(app)
        assert after != before or effect.says or app._exit


async def _text_with(pilot: Pilot[object], effect: Effect) -> str:
    """Return the text when the effect is there: a new screen may be laid out in two steps."""
    for _ in range(50):
        text = shown_text(pilot.app)
        if effect.shows in text and (not effect.hides or effect.hides not in text):
            break
        await pilot.pause(0.02)
    return text


@pytest.mark.parametrize("entry", KEYMAP, ids=lambda entry: entry.binding_id)
def test_help_has_a_row_for_every_key(entry: KeyBinding) -> None:
    rows = help_rows([entry.screen], is_read_only=False)

    (row,) = [row for row in rows if row.keys == " ".join(map(shown_key, entry.keys))]
    assert (row.text, row.does_change) == (meaning(entry), entry.does_change)


@pytest.mark.parametrize("group", [group for group in PLACES if group not in ("global", "list")])
async def test_the_footer_is_made_of_the_key_table(group: str) -> None:
    start, way = PLACES[group]
    app = Console(session_for(group), screen=start)
    async with app.run_test(size=(200, 36)) as pilot:
        await settle(pilot)
        await press(pilot, *way)

        entries = app.screen.query_one(KeyLine)._entries()

    table = {entry.binding_id: entry for entry in KEYMAP}
    for key, label, action in entries:
        entry = table[action.split("'")[1]]
        assert entry.is_in_footer
        assert key in map(shown_key, entry.keys)
        assert entry.label.startswith(label)


def test_nothing_is_expected_of_keys_that_are_not_there() -> None:
    assert set(EFFECTS) <= set(BINDINGS_BY_ID)

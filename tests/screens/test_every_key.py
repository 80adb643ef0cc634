"""Every key of the key table, pressed: what it says it does can be seen on the screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import press, settle, shown_text
from key_effects import EFFECTS, PLACES, session_for
from textual.keys import _character_to_key

from tqconsole.console import Console
from tqconsole.core.keymap import BINDINGS_BY_ID, KEYMAP

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

        after = shown_text(app)
        assert effect.shows not in before or not effect.shows
        assert effect.shows in after
        assert effect.hides in before
        assert effect.hides not in after or not effect.hides
        assert (
            any(effect.says in notice.message for notice in app._notifications) or not effect.says
        )
        assert effect.holds is None or effect.holds(app)
        assert after != before or effect.says or app._exit


def test_nothing_is_expected_of_keys_that_are_not_there() -> None:
    assert set(EFFECTS) <= set(BINDINGS_BY_ID)

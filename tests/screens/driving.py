"""Helpers that drive the console without waiting for time to pass."""

from __future__ import annotations

from typing import Any

from textual.pilot import Pilot

from tqconsole.console import Console

#: Rounds of frame and message handling that bring any screen to rest.
ROUNDS = 3


async def settle(pilot: Pilot[Any]) -> None:
    """Let frames be drawn and messages be handled until nothing is left to do."""
    app = pilot.app
    assert isinstance(app, Console)
    for _ in range(ROUNDS):
        await pilot.pause()
        app._frame()
    await pilot.pause()


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys one by one, each until its effects are drawn."""
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


async def type_text(pilot: Pilot[Any], text: str) -> None:
    """Type a text, sign by sign."""
    await pilot.press(*[_NAMES.get(sign, sign) for sign in text])
    await settle(pilot)


_NAMES = {
    " ": "space",
    ":": "colon",
    "/": "slash",
    ".": "full_stop",
    "(": "left_parenthesis",
    "[": "left_square_bracket",
    "]": "right_square_bracket",
    ",": "comma",
    "@": "at",
}


def shown_text(app: Console) -> str:
    """Return everything that is on the screen now, line by line."""
    width, height = app.size
    lines = []
    for y in range(height):
        strip = app.screen._compositor.render_strips()[y]
        lines.append(strip.text[:width])
    return "\n".join(lines)

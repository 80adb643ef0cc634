"""Helpers that drive the console without waiting for time to pass.

Textual's own pilot sleeps until the process looks idle, which costs seconds and depends on the
machine. Here frames are drawn by hand and message queues are emptied a fixed number of times.
"""

from __future__ import annotations

import asyncio
import unicodedata
from typing import Any

from textual import events
from textual.keys import REPLACED_KEYS, _get_unicode_name_from_key
from textual.pilot import Pilot

from tqconsole.console import Console

#: Rounds of message handling and drawing that bring any screen to rest.
ROUNDS = 3


async def settle(pilot: Pilot[Any]) -> None:
    """Let messages be handled and frames be drawn until nothing is left to do."""
    app = pilot.app
    assert isinstance(app, Console)
    for _ in range(ROUNDS):
        await rest(pilot)
        if app._exit:
            return
        app._frame()
    await rest(pilot)


async def rest(pilot: Pilot[Any]) -> None:
    """Empty the message queues of the screen on top, and lay it out."""
    for _ in range(2):
        await pilot._wait_for_screen()
        await asyncio.sleep(0)
    if pilot.app.screen_stack:
        pilot.app.screen._on_timer_update()


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys one by one, each until its effects are drawn."""
    for key in keys:
        send(pilot, key)
        await settle(pilot)


async def type_text(pilot: Pilot[Any], text: str) -> None:
    """Type a text, sign by sign."""
    for sign in text:
        send(pilot, _NAMES.get(sign, sign))
        await rest(pilot)
    await settle(pilot)


def send(pilot: Pilot[Any], key: str) -> None:
    """Hand a key to the app as a terminal would."""
    driver = pilot.app._driver
    assert driver is not None
    original = REPLACED_KEYS.get(key, key)
    character: str | None
    try:
        character = unicodedata.lookup(_get_unicode_name_from_key(original))
    except KeyError:
        character = key if len(key) == 1 else None
    event = events.Key(key, character)
    event.set_sender(pilot.app)
    driver.send_message(event)


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

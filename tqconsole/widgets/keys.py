"""Textual bindings made from `core.keymap`, so that help, footer and keys cannot differ.

Every binding runs the screen's one action, `press`, with the binding's id. Which ids work here
and now is the screen's table of handlers.
"""

from __future__ import annotations

from textual.binding import Binding

from tqconsole.core.keymap import KEYMAP, KeyBinding

#: Names of keys as people read them, where Textual's are too long.
_SHOWN = {
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "ctrl+backslash": "ctrl+\\",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
}


def screen_bindings(*groups: str) -> list[Binding]:
    """Return the bindings of these groups of the keymap; an earlier group wins a key."""
    taken: set[str] = set()
    bindings: list[Binding] = []
    for group in groups:
        for entry in KEYMAP:
            if entry.screen != group:
                continue
            keys = [key for key in entry.keys if key not in taken]
            taken.update(keys)
            bindings += [_binding(entry, key) for key in keys]
    return bindings


def shown_key(key: str) -> str:
    """Return how a key of the keymap is written on the screen."""
    return _SHOWN.get(key, key)


def _binding(entry: KeyBinding, key: str) -> Binding:
    return Binding(
        key,
        f"screen.press('{entry.binding_id}')",
        entry.label,
        show=entry.is_in_footer and key == entry.keys[0],
        key_display=shown_key(key),
        id=None,
    )

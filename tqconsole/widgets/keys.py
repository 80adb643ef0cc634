"""Textual bindings made from `core.keymap`, so that help, footer and keys cannot differ.

Every binding runs the screen's one action, `press`, with the binding's id. Which ids work here
and now is the screen's table of handlers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.binding import Binding, BindingsMap

from tqconsole.core.keymap import BINDINGS_BY_ID, KEYMAP, KeyBinding

#: Keys after which one types: they are looked at before what follows is handed on, so that a text
#: that comes in the same burst (a paste, a slow line) is not taken for keys.
AT_ONCE = frozenset({"app.command", "list.filter"})
#: How the action of each binding begins.
_PRESS = "screen.press('"

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


def screen_bindings(*groups: str, keymap: Sequence[KeyBinding] = KEYMAP) -> list[Binding]:
    """Return the bindings of these groups of the keymap; an earlier group wins a key."""
    taken: set[str] = set()
    bindings: list[Binding] = []
    for group in groups:
        for entry in keymap:
            if entry.screen != group:
                continue
            keys = [key for key in entry.keys if key not in taken]
            taken.update(keys)
            bindings += [_binding(entry, key) for key in keys]
    return bindings


def rebind(bindings: BindingsMap, keymap: Sequence[KeyBinding]) -> None:
    """Put the keys of another keymap in the place of those that a screen's class has."""
    table = bindings.key_to_bindings
    ours = [one for key in list(table) for one in table[key] if one.action.startswith(_PRESS)]
    groups = dict.fromkeys(BINDINGS_BY_ID[binding_id_of(one)].screen for one in ours)
    for key in [key for key, found in table.items() if any(one in ours for one in found)]:
        del table[key]
    # The class's own order of groups: the screen's, then the list's, then everybody's.
    last = [group for group in ("tabs", "list", "global") if group in groups]
    first = [group for group in groups if group not in last]
    table.update(BindingsMap(screen_bindings(*first, *last, keymap=keymap)).key_to_bindings)


def binding_id_of(binding: Binding) -> str:
    """Return the id of the keymap that a binding stands for."""
    return binding_id_in(binding.action)


def binding_id_in(action: str) -> str:
    """Return the id of the keymap that an action presses."""
    return action.removeprefix(_PRESS).removesuffix("')")


def shown_key(key: str) -> str:
    """Return how a key of the keymap is written on the screen."""
    return _SHOWN.get(key, key)


def shown_keys(
    keymap: Sequence[KeyBinding] = KEYMAP, *, is_read_only: bool = False
) -> Mapping[str, str]:
    """Return binding id -> its first key as written on the screen, for texts that name a key.

    In read-only mode "" for those that change something: a text must not offer a key that is off.
    """
    return {
        entry.binding_id: "" if is_read_only and entry.does_change else shown_key(entry.keys[0])
        for entry in keymap
    }


def key_hint(
    keys: Mapping[str, str], binding_id: str, after: str, before: str = ""
) -> list[tuple[str, str]]:
    """Return a key and what it does as pieces of a line; none where the key is off."""
    key = keys[binding_id]
    return [(before, "dim"), (key, "bold key"), (after, "dim")] if key else []


def _binding(entry: KeyBinding, key: str) -> Binding:
    return Binding(
        key,
        f"{_PRESS}{entry.binding_id}')",
        entry.label,
        show=entry.is_in_footer and key == entry.keys[0],
        key_display=shown_key(key),
        priority=entry.binding_id in AT_ONCE,
        id=None,
    )

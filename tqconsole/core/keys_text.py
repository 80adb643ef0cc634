"""The keys of the console as Markdown: `python -m tqconsole.core.keys_text docs/console.md`.

The page's part between two marks is written anew from `keymap.KEYMAP`; the rest is left alone.
`tests/core/test_keys_text.py` fails when that was not done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tqconsole.core.actions import actions_of_group
from tqconsole.core.keymap import KEYMAP, KeyBinding

#: What the part begins and ends with.
BEGIN, END = "<!-- keys: made from core/keymap.py -->", "<!-- end of keys -->"
#: Group of the keymap -> heading.
_HEADINGS = {
    "global": "Everywhere",
    "list": "In every list",
    "tabs": "Where there are tabs",
    "task": "One task",
    "worker": "One worker",
    "dead": "Dead letters",
    "flow": "One flow",
}
#: Group of the keymap -> what its keys act on; and the keys that act on something else.
_KINDS = {
    "tasks": "task",
    "task": "task",
    "workers": "worker",
    "worker": "worker",
    "queues": "queue",
    "types": "type",
    "beat": "beat",
    "dead": "dead",
    "global": "cluster",
}
_ODD_KINDS = {
    "tasks.limits": "type",
    "tasks.stamps": "cluster",
    **dict.fromkeys(("tasks.events", "dashboard.events", "beat.events", "events.events"), "worker"),
}
#: How each table begins.
_HEAD = "| Key | Does | Id, to bind it anew |"
#: Names of keys as people read them.
_SHOWN = {
    "ctrl+backslash": "ctrl+\\",
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
}


def keys_markdown() -> str:
    """Return the tables of all keys, one for each group of the keymap."""
    groups = dict.fromkeys(entry.screen for entry in KEYMAP)
    return "\n".join(_table(group) for group in groups)


def with_keys(page: str) -> str:
    """Return a page with its part between the marks made anew. Raises: ValueError without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page wants a line {BEGIN!r} and a line {END!r}")
    return f"{before}{BEGIN}\n\n{keys_markdown()}\n{END}{after}"


def keys_shown(entry: KeyBinding) -> list[str]:
    """Return the keys of a binding as people read them."""
    return [_SHOWN.get(key, key) for key in entry.keys]


def meaning(entry: KeyBinding) -> str:
    """Return what a key does, in words: the actions of its dialog, where it opens one."""
    kind = _ODD_KINDS.get(entry.binding_id) or _KINDS.get(entry.screen, "")
    labels = [action.label.lower() for action in actions_of_group(kind, entry.action_group)]
    return ", ".join(labels) or entry.help or entry.label


def _table(group: str) -> str:
    lines = [f"### {_HEADINGS.get(group, group.capitalize())}", "", _HEAD, "|---|---|---|"]
    return "\n".join([*lines, *_rows(group)]) + "\n"


def _rows(group: str) -> Iterator[str]:
    for entry in KEYMAP:
        if entry.screen == group:
            keys = " ".join(f"`{key}`" for key in keys_shown(entry))
            note = " (changes the cluster, asks first)" if entry.does_change else ""
            yield f"| {keys} | {meaning(entry)}{note} | `{entry.binding_id}` |"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_keys(path.read_text(encoding="utf-8")), encoding="utf-8")

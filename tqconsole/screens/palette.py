"""What the command palette (ctrl+p) finds: screens, keys of this screen, themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tqconsole.core.keymap import KEYMAP, KeyBinding
from tqconsole.widgets.frame import ConsoleScreen
from tqconsole.widgets.keys import binding_id_in, shown_key
from tqconsole.widgets.look import LookApp

#: Movement is not worth a line.
_DULL = ("list.up", "list.down", "list.left", "list.right", "app.escape", "app.palette")


class ConsoleCommands(Provider):
    """Every key that works on this screen, by its words, and the themes."""

    def _entries(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            keymap = self.app.key_table if isinstance(self.app, LookApp) else KEYMAP
            table = {entry.binding_id: entry for entry in keymap}
            for active in screen.active_bindings.values():
                binding_id = binding_id_in(active.binding.action)
                entry = table.get(binding_id)
                if entry is not None and binding_id not in _DULL and active.enabled:
                    yield _title(entry), _note(entry), partial(screen.action_press, binding_id)
        for name in self.app.available_themes:
            yield f"theme {name}", "colours", partial(self._set_theme, name)

    def _set_theme(self, name: str) -> None:
        self.app.theme = name

    async def discover(self) -> Hits:
        """Offer everything but the themes."""
        for title, note, run in _unique(self._entries()):
            if not title.startswith("theme "):
                yield DiscoveryHit(title, run, help=note)

    async def search(self, query: str) -> Hits:
        """Offer what fits."""
        matcher = self.matcher(query)
        for title, note, run in _unique(self._entries()):
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=note)


def _title(entry: KeyBinding) -> str:
    return entry.label


def _note(entry: KeyBinding) -> str:
    keys = " ".join(shown_key(key) for key in entry.keys)
    return f"{keys}   changes the cluster, asks first" if entry.does_change else keys


def _unique(
    entries: Iterator[tuple[str, str, Callable[[], object]]],
) -> Iterator[tuple[str, str, Callable[[], object]]]:
    seen: set[tuple[str, str]] = set()
    for title, note, run in entries:
        if (title, note) not in seen:
            seen.add((title, note))
            yield title, note, run

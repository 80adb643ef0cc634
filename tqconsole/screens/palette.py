"""What the command palette (ctrl+p) finds: keys of this screen, commands on what the cluster has
(workers, queues, calls, contexts, saved filters, themes), tasks by their ids, and what can be done
on other screens: it leads there, where one sees to what it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Protocol, runtime_checkable

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tqconsole.core.keymap import KEYMAP, KeyBinding
from tqconsole.core.keys_text import meaning
from tqconsole.core.suggest import quoted
from tqconsole.screens.command_line import COMMANDS
from tqconsole.widgets.frame import ConsoleScreen
from tqconsole.widgets.keys import binding_id_in, shown_key
from tqconsole.widgets.look import LookApp

#: Movement is not worth a line.
_DULL = ("list.up", "list.down", "list.left", "list.right", "app.escape", "app.palette")
#: The main screens, whose keys are in the keymap under their names, and the ids that lead there.
_MAINS = {
    entry.binding_id.removeprefix("screen."): entry.binding_id
    for entry in KEYMAP
    if entry.binding_id.startswith("screen.")
}


#: Signs of an id from which on tasks are looked for by it, and how many are offered.
ID_LENGTH, ID_LIMIT = 4, 5


@runtime_checkable
class TakesLines(Protocol):
    """An app that carries out command lines."""

    def lines(self) -> list[str]:
        """Return lines worth offering."""
        ...

    def run_line(self, text: str) -> None:
        """Carry one out."""
        ...


class ConsoleCommands(Provider):
    """Every key that works on this screen, by its words, and command lines."""

    def _entries(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            keymap = self.app.key_table if isinstance(self.app, LookApp) else KEYMAP
            table = {entry.binding_id: entry for entry in keymap}
            for active in screen.active_bindings.values():
                binding_id = binding_id_in(active.binding.action)
                entry = table.get(binding_id)
                if entry is not None and binding_id not in _DULL and active.enabled:
                    yield meaning(entry), _note(entry), partial(screen.action_press, binding_id)

    def _elsewhere(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        """Return what the keys of other main screens do; picked, it goes to the screen."""
        screen = self.screen
        if not isinstance(screen, ConsoleScreen):
            return
        here = {title for title, _, _ in self._entries()}
        keymap = self.app.key_table if isinstance(self.app, LookApp) else KEYMAP
        for entry in keymap:
            is_off = entry.does_change and screen.session.is_read_only
            if entry.screen in _MAINS and meaning(entry) not in here and not is_off:
                note = f"{_note(entry)}   on {entry.screen}"
                yield meaning(entry), note, partial(screen.action_press, _MAINS[entry.screen])

    def _lines(self, query: str) -> Iterator[tuple[str, str, Callable[[], object]]]:
        """Return the lines of the command line that this cluster is good for."""
        app = self.app
        if not isinstance(app, TakesLines):
            return
        lines = [*(f"{command.name}" for command in COMMANDS if not command.argument), *app.lines()]
        if len(query) >= ID_LENGTH and isinstance(self.screen, ConsoleScreen):
            session = self.screen.session
            rows = islice(session.tasks(f"id:{quoted(query)}"), ID_LIMIT)
            lines += [f"task {row.task_id}" for row in rows]
        for line in lines:
            yield line, f":{line}", partial(app.run_line, line)

    async def discover(self) -> Hits:
        """Offer the keys of this screen."""
        for title, note, run in _unique(self._entries()):
            yield DiscoveryHit(title, run, help=note)

    async def search(self, query: str) -> Hits:
        """Offer what fits."""
        matcher = self.matcher(query)
        entries = chain(self._entries(), self._lines(query), self._elsewhere())
        for title, note, run in _unique(entries):
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=note)


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

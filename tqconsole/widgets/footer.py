"""The bottom line: the keys that work here and now, built from the active bindings."""

from __future__ import annotations

from textual import events
from textual.screen import Screen

from tqconsole.widgets.keys import binding_id_in
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, line_width

#: Always shown, at the right end, whatever else has to go.
_LAST = frozenset({"list.actions", "task.actions", "app.help", "app.back"})
#: Always the first.
_FIRST = "list.open"


class KeyLine(Lines):
    """Keys and what they do; a click presses one."""

    def __init__(self) -> None:
        super().__init__(classes="key-line")
        self._spans: list[tuple[int, int, str]] = []
        self._known: list[tuple[str, str, str]] = []

    def on_mount(self) -> None:
        """Draw the keys whenever the bindings change."""
        self.screen.bindings_updated_signal.subscribe(self, self._redraw)
        self.show(self._make)

    def _redraw(self, _screen: Screen[object]) -> None:
        self.show(self._make)

    def _entries(self) -> list[tuple[str, str, str]]:
        """Return (shown key, label, action), the keys of this screen first."""
        if self._known and self.app.screen is not self.screen:
            # Below a dialog the bindings are asked of the dialog: they would all be on.
            return self._known
        found = []
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.show and active.enabled:
                label = binding.description.partition(",")[0].removesuffix(" ...")
                found.append((binding.key_display or binding.key, label, binding.action))
        self._known = sorted(found, key=lambda entry: binding_id_in(entry[2]) != _FIRST)
        return self._known

    def _make(self, width: int, look: Look) -> list[list[Piece]]:
        entries = self._entries()
        last = [entry for entry in entries if binding_id_in(entry[2]) in _LAST]
        first = [entry for entry in entries if entry not in last]
        room = width - sum(_width(entry) for entry in last) - 1
        kept: list[tuple[str, str, str]] = []
        for entry in first:
            if _width(entry) > room:
                break
            kept.append(entry)
            room -= _width(entry)
        line: list[Piece] = [(" ", "")]
        self._spans = []
        for key, label, action in (*kept, *last):
            start = line_width(line)
            line += [(key, "bold key"), (f" {label}", ""), ("  ", "")]
            self._spans.append((start, line_width(line) - 2, action))
        return [line]

    async def on_click(self, event: events.Click) -> None:
        """Press the key under the pointer."""
        for start, end, action in self._spans:
            if start <= event.x < end:
                await self.app.run_action(action, default_namespace=self.screen)


def _width(entry: tuple[str, str, str]) -> int:
    return line_width([(entry[0], ""), (" ", ""), (entry[1], ""), ("  ", "")])

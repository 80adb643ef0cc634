"""The ways to another cluster: saved contexts and a broker's URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from textual.screen import Screen

from tqconsole.core.broker_url import url_forms, wrong_url
from tqconsole.core.contexts import contexts_path
from tqconsole.screens.connect import ConnectDialog
from tqconsole.screens.start import StartChoice
from tqconsole.widgets.menu import Choice, Menu


class Leaving(Protocol):
    """What the console does for it."""

    def leave_for(self, choice: str) -> None:
        """End with a choice."""
        ...

    def tell(self, text: str, *, is_error: bool = False) -> None:
        """Show a notice."""
        ...

    def open_dialog(self, dialog: Screen[str | None]) -> None:
        """Open a dialog whose result is a choice to leave for."""
        ...


class Switch:
    """Opens the dialogs."""

    def __init__(self, console: Leaving, contexts: Sequence[StartChoice]) -> None:
        self._console = console
        self._contexts = list(contexts)

    def run(self, command: str, argument: str) -> None:
        """Carry out what the command line asks: "ctx" or "connect"."""
        if command == "ctx":
            self.open_contexts(argument)
        else:
            self.open_connect(argument)

    def candidates(self) -> Iterator[str]:
        """Return what the command line completes to."""
        return (f"ctx {choice.label}" for choice in self._contexts)

    def open_contexts(self, name: str) -> None:
        """Go to a context, or let one be picked."""
        if not self._contexts:
            self._console.tell(f"No contexts are saved: they stand in {contexts_path()}")
            return
        if name:
            self._go_to(name)
            return
        choices = [
            Choice(choice.value, choice.label, str(number) if number < 10 else "", choice.note)
            for number, choice in enumerate(self._contexts, 1)
        ]
        self._console.open_dialog(Menu("Contexts", choices))

    def open_connect(self, url: str) -> None:
        """Go to a broker, or ask for its URL."""
        if not url:
            self._console.open_dialog(ConnectDialog(wrong_url, url_forms()))
            return
        wrong = wrong_url(url)
        if wrong:
            self._console.tell(wrong, is_error=True)
        else:
            self._console.leave_for(url)

    def _go_to(self, name: str) -> None:
        for choice in self._contexts:
            if choice.label == name:
                self._console.leave_for(choice.value)
                return
        known = ", ".join(choice.label for choice in self._contexts)
        self._console.tell(f"No context is called {name!r}; there are: {known}", is_error=True)

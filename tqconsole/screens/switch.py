"""The ways to another cluster or time: saved contexts, a broker's URL, a place in a replay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from textual.screen import Screen

from tqconsole.core.broker_url import url_forms, wrong_url
from tqconsole.core.contexts import contexts_path
from tqconsole.core.errors import ConsoleError
from tqconsole.core.port import ConsoleSession
from tqconsole.core.replay import ReplaySession
from tqconsole.screens.connect import ConnectDialog
from tqconsole.screens.start import StartChoice
from tqconsole.widgets.menu import Choice, Menu


class Leaving(Protocol):
    """What the console does for it."""

    session: ConsoleSession

    def go_on_with(self, session: ConsoleSession) -> None:
        """End, so that the console goes on with that session, on the same screen."""
        ...

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
        """Carry out what the command line asks: "ctx", "connect", "seek" or "speed"."""
        match command:
            case "ctx":
                self.open_contexts(argument)
            case "connect":
                self.open_connect(argument)
            case _:
                self._wind(command, argument)

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

    def _wind(self, command: str, argument: str) -> None:
        """Go to another time of a replay, or change its speed."""
        session = self._console.session
        if not isinstance(session, ReplaySession):
            self._console.tell(f":{command} is for replays (tqconsole --replay FILE)")
            return
        try:
            if command == "speed":
                self._console.tell(f"{session.set_speed(argument):g} times as fast as it was")
                return
            earlier = session.wind(argument)
        except ConsoleError as error:
            self._console.tell(str(error), is_error=True)
            return
        if earlier is not None:
            self._console.go_on_with(earlier)

    def _go_to(self, name: str) -> None:
        for choice in self._contexts:
            if choice.label == name:
                self._console.leave_for(choice.value)
                return
        known = ", ".join(choice.label for choice in self._contexts)
        self._console.tell(f"No context is called {name!r}; there are: {known}", is_error=True)

"""The console: one Textual app over one session.

It owns the frame clock, the main screens, the way back, and everything screens may not do
themselves: it opens dialogs, sends what was confirmed, and takes in the answers. It waits for
nothing: futures are looked at once per frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from tqconsole.core.port import ConsoleSession
from tqconsole.screens.dashboard import DashboardScreen
from tqconsole.screens.tasks import TasksScreen
from tqconsole.widgets.frame import ConsoleScreen, Handler
from tqconsole.widgets.look import LookApp
from tqconsole.widgets.requests import Awaited, BackAsked, Goto, KeyAsked
from tqconsole.widgets.task_columns import TimeMode

#: Frames per second: what the eye takes for live, at a tenth of a core.
FPS = 12


class Console(LookApp):
    """The app."""

    CSS_PATH = "console.tcss"
    TITLE = "tqconsole"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", show=False, priority=True),
    ]

    def __init__(
        self,
        session: ConsoleSession,
        *,
        screen: str | None = None,
        is_ascii: bool = False,
        theme: str | None = None,
    ) -> None:
        super().__init__(is_ascii=is_ascii)
        self.session = session
        self.times = TimeMode()
        self._first_screen = screen or "dashboard"
        self._awaited: list[Awaited] = []
        self._mains: dict[str, Callable[[], Screen[None]]] = {
            "dashboard": lambda: DashboardScreen(session),
            "tasks": lambda: TasksScreen(session, self.times),
        }
        for name, make in self._mains.items():
            self.add_mode(name, make)
        if theme:
            self.theme = theme

    def on_mount(self) -> None:
        """Start to listen and to draw."""
        self.session.start()
        self.switch_mode(self._first_screen)
        self.set_interval(1 / FPS, self._frame)

    def _frame(self) -> None:
        """Take in what came, draw what is on top."""
        self._settle()
        changes = self.session.drain()
        if not changes.is_any:
            return
        shown = self._shown_screen()
        if shown is not None and shown.is_mounted:
            shown.show(self.session.snapshot(), changes)

    def _shown_screen(self) -> ConsoleScreen | None:
        for screen in reversed(self.screen_stack):
            if isinstance(screen, ConsoleScreen):
                return screen
        return None

    def _settle(self) -> None:
        """Deliver the futures that are done."""
        for awaited in [item for item in self._awaited if item.future.done()]:
            self._awaited.remove(awaited)
            error = awaited.future.exception()
            if error is None:
                awaited.deliver(awaited.future.result())
            elif awaited.fail is not None:
                awaited.fail(error)

    def on_awaited(self, message: Awaited) -> None:
        """Look at a future each frame until it is done."""
        self._awaited.append(message)

    def on_key_asked(self, message: KeyAsked) -> None:
        """Do what a key means on every screen."""
        handler = self._handlers().get(message.binding_id)
        if handler is not None:
            handler()

    def _handlers(self) -> dict[str, Handler]:
        return {f"screen.{name}": self._goer(name) for name in self._mains}

    def _goer(self, name: str) -> Handler:
        return lambda: self.post_message(Goto(name))

    def on_goto(self, message: Goto) -> None:
        """Go to a screen."""
        if message.screen in self._mains:
            self.switch_mode(message.screen)

    def on_back_asked(self, _message: BackAsked) -> None:
        """Leave a screen."""
        self.exit(0)

    def action_interrupt(self) -> None:
        """Leave at once."""
        self.exit(0)

"""The console: one Textual app over one session.

It owns the frame clock, the main screens, the way back, and everything screens may not do
themselves: it opens dialogs, sends what was confirmed, and takes in the answers. It waits for
nothing: futures are looked at once per frame.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.scrollbar import ScrollBar

from tqconsole.core.port import ConsoleSession
from tqconsole.core.setup import Setup
from tqconsole.core.views import Snapshot
from tqconsole.screens.asking import Asking
from tqconsole.screens.audit import AuditScreen
from tqconsole.screens.beat import BeatScreen
from tqconsole.screens.commanding import Commanding
from tqconsole.screens.dashboard import DashboardScreen
from tqconsole.screens.events import EventsScreen
from tqconsole.screens.flow import FlowScreen
from tqconsole.screens.flows import FlowsScreen
from tqconsole.screens.help import HelpScreen, help_groups
from tqconsole.screens.palette import ConsoleCommands
from tqconsole.screens.queue import QueueScreen
from tqconsole.screens.queues import QueuesScreen
from tqconsole.screens.replies import RepliesDialog
from tqconsole.screens.setting import Setting
from tqconsole.screens.start import CONNECT, STAY, StartFacts, StartScreen
from tqconsole.screens.switch import Switch
from tqconsole.screens.task import TaskScreen
from tqconsole.screens.tasks import TasksScreen
from tqconsole.screens.types import TypesScreen
from tqconsole.screens.worker import WorkerScreen
from tqconsole.screens.workers import WorkersScreen
from tqconsole.widgets.base_app import BaseApp
from tqconsole.widgets.frame import Handler
from tqconsole.widgets.look import PlainScrollBar
from tqconsole.widgets.requests import (
    ActionAsked,
    BackAsked,
    Goto,
    GroupAsked,
    KeyAsked,
    RepliesAsked,
    UndoAsked,
)
from tqconsole.widgets.sorted_screen import FilteredScreen, SortedScreen
from tqconsole.widgets.task_columns import TimeMode

#: Garbage collection for many long-lived rows: rare, and nothing of the start is looked at again.
GC_THRESHOLD = (5000, 20, 1000)
#: Given a choice's value, opens what was chosen; None: whoever ran the console goes on.
Connect = Callable[[str], ConsoleSession | None]


class Console(BaseApp):
    """The app. Its return value is the exit code."""

    CSS_PATH = Path(__file__).with_name("console.tcss")
    TITLE = "tqconsole"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal")]  # noqa: RUF012 - Textual's own
    VERTICAL_BREAKPOINTS = [(0, "-short"), (33, "-tall")]  # noqa: RUF012 - Textual's own
    COMMANDS = frozenset({ConsoleCommands})  # type: ignore[assignment]  # a set, of one provider
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "interrupt", show=False)]

    def __init__(
        self,
        session: ConsoleSession,
        *,
        screen: str | None = None,
        expression: str | None = None,
        is_ascii: bool = False,
        theme: str | None = None,
        start: StartFacts | None = None,
        setup: Setup | None = None,
    ) -> None:
        super().__init__(session, is_ascii=is_ascii, setup=setup)
        #: What comes after this one, once it was left for something else.
        self.next_session: ConsoleSession | None = None
        self.next_screen = "dashboard"
        self.connect: Connect | None = None
        start = start or StartFacts()
        self._switch = Switch(self, start.contexts)
        self._asking = Asking(self)
        self._setting = Setting(self)
        self._times = TimeMode()
        self._first = Goto(screen or "dashboard", expression=expression)
        self._may_start = screen is None
        self._visits: list[Goto] = []
        self._visit_index = -1
        self._commanding = Commanding(
            self,
            self._asking,
            self._setting,
            self._switch,
            lambda binding_id: self.on_key_asked(KeyAsked(binding_id)),
        )
        self._mains: dict[str, Callable[[], Screen[None]]] = {
            "dashboard": lambda: DashboardScreen(session),
            "tasks": lambda: TasksScreen(session, self._times),
            "workers": lambda: WorkersScreen(session),
            "queues": lambda: QueuesScreen(session),
            "types": lambda: TypesScreen(session),
            "beat": lambda: BeatScreen(session),
            "flows": lambda: FlowsScreen(session),
            "events": lambda: EventsScreen(session),
            "audit": lambda: AuditScreen(session),
            "start": lambda: StartScreen(session, start),
        }
        for name, make in self._mains.items():
            self.add_mode(name, make)
        theme = theme or self.setup.theme
        if theme in self.available_themes:
            self.theme = theme

    async def on_mount(self) -> None:
        """Start to listen and to draw."""
        self.begin()
        await self.on_goto(self._first)

    def after_frame(self, snapshot: Snapshot) -> None:
        """Show the start screen on an embedded queue that nobody uses yet; leave it when used."""
        if not self._may_start or snapshot.link != "live":
            return
        is_used = bool(snapshot.workers or snapshot.rows_kept or snapshot.totals.queued_count)
        is_embedded = snapshot.broker_url.startswith("sqlite") and not snapshot.is_demo
        if self.current_mode == "dashboard" and is_embedded and not is_used:
            self.post_message(Goto("start"))
        elif self.current_mode == "start" and is_used:
            self._may_start = False
            self.post_message(Goto("dashboard"))
        elif is_used or not is_embedded:
            self._may_start = False

    # going somewhere

    async def on_goto(self, message: Goto) -> None:
        """Go to a screen and remember the way."""
        self._visits = [*self._visits[: self._visit_index + 1], message]
        self._visit_index = len(self._visits) - 1
        await self._visit(message)

    async def _visit(self, message: Goto) -> None:
        if message.screen not in self._mains:
            details = self._details(message)
            if details is not None:
                await self.push_screen(details)
            return
        if self.current_mode != message.screen:
            await self.switch_mode(message.screen)
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        self.call_after_refresh(self._aim, self.screen, message)

    def _aim(self, screen: Screen[object], message: Goto) -> None:
        """Put the filter or the cursor where it was wanted."""
        if isinstance(screen, FilteredScreen) and message.expression is not None:
            screen.look_for(message.expression)
        if isinstance(screen, SortedScreen) and message.target:
            screen.go_to(message.target)

    def _details(self, message: Goto) -> Screen[None] | None:
        session, target = self.session, message.target
        match message.screen:
            case "task":
                return TaskScreen(session, target, message.siblings)
            case "worker":
                return WorkerScreen(session, target, message.expression or "active")
            case "queue":
                return QueueScreen(session, target)
            case "flow":
                return FlowScreen(session, target)
            case "dead":
                return QueueScreen(session, target, is_dead=True)
            case _:
                return None

    async def _travel(self, index: int) -> None:
        if 0 <= index < len(self._visits) and index != self._visit_index:
            self._visit_index = index
            await self._visit(self._visits[index])

    def _history(self, step: int) -> None:
        self.call_later(self._travel, self._visit_index + step)

    def on_back_asked(self, _message: BackAsked) -> None:
        """Leave a detail screen; a main one only on the second press."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
            self.redraw()
        else:
            self.quit_on_second("app.back")

    # keys of every screen

    def on_key_asked(self, message: KeyAsked) -> None:
        """Do what a key means on every screen."""
        handler = self._handlers().get(message.binding_id)
        if handler is not None:
            handler()

    def _handlers(self) -> dict[str, Handler]:
        return {
            **{f"screen.{name}": self._goer(name) for name in self._mains},
            "app.command": self._commanding.open,
            "app.help": self._open_help,
            "app.setup": self._setting.open,
            "app.palette": self.action_command_palette,
            "app.escape": self._escape,
            "app.quit": lambda: self.exit(0),
            "app.interrupt": self.action_interrupt,
            "app.suspend": self._suspend,
            "app.history_back": lambda: self._history(-1),
            "app.history_forward": lambda: self._history(1),
            "app.last_view": self._last_view,
            "app.pause": self._toggle_pause,
            "app.refresh": self._refresh_now,
            "app.time": self._turn_time,
            "app.header": lambda: self.toggle_class("-no-header"),
            "app.mouse": self.toggle_mouse,
            "task.call": self._open_new_call,
        }

    def _goer(self, name: str) -> Handler:
        return lambda: self.post_message(Goto(name))

    def _suspend(self) -> None:
        if self._driver is not None and self._driver.can_suspend:
            self.action_suspend_process()
        else:
            self.tell("Nothing can be suspended here: there is no shell to return to.")

    def _escape(self) -> None:
        if self.session.snapshot().link == "paused":
            self.session.resume()
        elif len(self.screen_stack) > 1:
            self.on_back_asked(BackAsked())

    def _last_view(self) -> None:
        if self._visit_index > 0:
            self.post_message(self._visits[self._visit_index - 1])

    def _toggle_pause(self) -> None:
        if self.session.snapshot().link == "paused":
            self.session.resume()
        else:
            self.session.pause()

    def _refresh_now(self) -> None:
        self.session.refresh()
        self.tell("asking the cluster now")

    def _turn_time(self) -> None:
        self.tell(f"times: {self._times.turn()}")
        self.redraw()

    # dialogs

    def _open_help(self) -> None:
        groups = help_groups(self.shown_screen())
        read_only = self.session.is_read_only
        self.push_screen(HelpScreen(groups, self.key_table, is_read_only=read_only))

    def _open_new_call(self) -> None:
        shown = self.shown_screen()
        self._asking.call(shown.call_preset() if shown is not None else {})

    def lines(self) -> list[str]:
        """Return command lines that the palette offers."""
        return self._commanding.lines()

    def run_line(self, text: str) -> None:
        """Carry out a command line."""
        self._commanding.run(text)

    def on_group_asked(self, message: GroupAsked) -> None:
        """Open the dialog of a group of actions."""
        if message.group == "call":
            self._open_new_call()
        else:
            self._asking.group(message)

    def on_undo_asked(self, message: UndoAsked) -> None:
        """Ask before an action is taken back."""
        self._asking.undo(message.line)

    def on_replies_asked(self, message: RepliesAsked) -> None:
        """Show the answers to an earlier action."""
        self.push_screen(RepliesDialog(message.done))

    def on_action_asked(self, message: ActionAsked) -> None:
        """Carry out what needs no asking."""
        self._asking.perform(message.request)

    def on_start_screen_picked(self, message: StartScreen.Picked) -> None:
        """Stay, ask for a URL, or leave with what was chosen."""
        match message.choice.value:
            case STAY.value:
                self._may_start = False
                self.post_message(Goto("dashboard"))
            case CONNECT.value:
                self._switch.open_connect("")
            case value:
                self.leave_for(value)

    def open_dialog(self, dialog: Screen[str | None]) -> None:
        """Open a dialog whose result is a choice to leave for."""
        self.push_screen(dialog, lambda choice: self.leave_for(choice) if choice else None)

    def leave_for(self, choice: str) -> None:
        """Open another cluster and end, so that the console goes on with it."""
        if self.connect is None:
            self.tell("This console belongs to its cluster. Start another one: tqconsole")
            return
        try:
            self.next_session = self.connect(choice)
        except Exception as error:  # noqa: BLE001 - a context's app may raise anything
            self.tell(str(error) or type(error).__name__, is_error=True)
        else:
            self.exit(0)

    def go_on_with(self, session: ConsoleSession) -> None:
        """End, so that the console goes on with that session, on the same screen."""
        self.next_session, self.next_screen = session, self.current_mode
        self.exit(0)


def run_console(  # noqa: PLR0913 - each is one thing that the command line says
    session: ConsoleSession,
    *,
    screen: str | None = None,
    expression: str | None = None,
    is_ascii: bool | None = None,
    theme: str | None = None,
    start: StartFacts | None = None,
    connect: Connect | None = None,
    setup: Setup | None = None,
) -> int:
    """Run the console until it is left; returns the exit code.

    The session is not started yet, and is stopped when this returns. `is_ascii` None means: when
    the terminal cannot write UTF-8. `start` is what the start screen says beyond what the session
    knows; `connect` opens what is picked there, and the console goes on with that.
    """
    if is_ascii is None:
        is_ascii = "utf" not in (sys.stdout.encoding or "").lower()
    if is_ascii:
        ScrollBar.renderer = PlainScrollBar
    gc.set_threshold(*GC_THRESHOLD)
    while True:
        app = Console(
            session,
            screen=screen,
            expression=expression,
            is_ascii=is_ascii,
            theme=theme,
            start=start,
            setup=setup,
        )
        app.connect = connect
        try:
            code = app.run()
        finally:
            app.left()
            session.stop()
        if app.next_session is None:
            return code if code is not None else app.return_code or 0
        setup = app.setup
        session, screen, expression = app.next_session, app.next_screen, None

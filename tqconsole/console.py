"""The console: one Textual app over one session.

It owns the frame clock, the main screens, the way back, and everything screens may not do
themselves: it opens dialogs, sends what was confirmed, and takes in the answers. It waits for
nothing: futures are looked at once per frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from tqconsole.core.actions import ActionRequest
from tqconsole.core.port import ConsoleSession
from tqconsole.core.views import ActionDone, Changes, TaskFacts
from tqconsole.screens.call import CallDialog
from tqconsole.screens.command_line import CommandLine, parse
from tqconsole.screens.control import group_dialog
from tqconsole.screens.dashboard import DashboardScreen
from tqconsole.screens.events import EventsScreen
from tqconsole.screens.help import HelpScreen
from tqconsole.screens.palette import ConsoleCommands
from tqconsole.screens.queue import QueueScreen
from tqconsole.screens.queues import QueuesScreen
from tqconsole.screens.replies import RepliesDialog
from tqconsole.screens.start import STAY, StartFacts, StartScreen
from tqconsole.screens.task import TaskScreen
from tqconsole.screens.tasks import TasksScreen
from tqconsole.screens.worker import WorkerScreen
from tqconsole.screens.workers import WorkersScreen
from tqconsole.widgets.crash import crash_text, write_crash
from tqconsole.widgets.files import write_export
from tqconsole.widgets.frame import ConsoleScreen, Handler
from tqconsole.widgets.look import LookApp
from tqconsole.widgets.requests import (
    ActionAsked,
    Awaited,
    BackAsked,
    CopyAsked,
    ExportAsked,
    Goto,
    GroupAsked,
    KeyAsked,
)
from tqconsole.widgets.task_columns import TimeMode

#: Frames per second: what the eye takes for live, at a tenth of a core.
FPS = 12
#: Of how many frames one is drawn while the terminal is not looked at.
BLURRED_EVERY = 12
#: Seconds in which a second press of q or ctrl+c quits.
TWICE_S = 2.0
#: Garbage collection for many long-lived rows: rare, and nothing of the start is looked at again.
GC_THRESHOLD = (50_000, 50, 1000)
#: Rows, imports and screens have settled by then.
GC_FREEZE_AFTER_S = 10.0

#: Given a start choice's value, opens what was chosen.
Connect = Callable[[str], ConsoleSession]


class Console(LookApp):
    """The app. Its return value is the exit code; `choice` what was picked at the start."""

    CSS_PATH = "console.tcss"
    TITLE = "tqconsole"
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
    ) -> None:
        super().__init__(is_ascii=is_ascii)
        self.session = session
        self.choice = ""
        self._times = TimeMode()
        self._first = Goto(screen or "dashboard", expression=expression)
        self._may_start = screen is None
        self._awaited: list[Awaited] = []
        self._visits: list[Goto] = []
        self._visit_index = -1
        self._command_history: list[str] = []
        self._is_armed = False
        self._is_blurred = False
        self._has_mouse = True
        self._frame_count = 0
        self._unseen = Changes()
        self._mains: dict[str, Callable[[], Screen[None]]] = {
            "dashboard": lambda: DashboardScreen(session),
            "tasks": lambda: TasksScreen(session, self._times),
            "workers": lambda: WorkersScreen(session),
            "queues": lambda: QueuesScreen(session),
            "events": lambda: EventsScreen(session),
            "start": lambda: StartScreen(session, start or StartFacts()),
        }
        for name, make in self._mains.items():
            self.add_mode(name, make)
        if theme and theme in self.available_themes:
            self.theme = theme

    async def on_mount(self) -> None:
        """Start to listen and to draw."""
        self._catch_signals()
        self.session.start()
        await self.on_goto(self._first)
        self.set_interval(1 / FPS, self._frame)
        self.set_timer(GC_FREEZE_AFTER_S, gc.freeze)

    def _catch_signals(self) -> None:
        """Leave in order on TERM and HUP, so that the terminal is given back."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            # Not in the main thread (tests), or a platform without them: then as usual.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, lambda n=number: self.exit(128 + n))

    # frames

    def _frame(self) -> None:
        """Take in what came, draw what is on top."""
        self._settle()
        changes = self.session.drain()
        self._frame_count += 1
        self._unseen = merged(self._unseen, changes)
        if not self._unseen.is_any or (self._is_blurred and self._frame_count % BLURRED_EVERY):
            return
        shown = self.shown_screen()
        if shown is None or not shown.is_mounted:
            return
        snapshot = self.session.snapshot()
        drawn, self._unseen = self._unseen, Changes()
        shown.show(snapshot, drawn)
        self._consider_start(len(snapshot.workers), snapshot.rows_kept, snapshot.link)

    def _consider_start(self, worker_count: int, row_count: int, link: str) -> None:
        """Show the start screen on an embedded queue that nobody uses yet, leave it when used."""
        if not self._may_start or link != "live":
            return
        snapshot = self.session.snapshot()
        is_unused = not worker_count and not row_count and not snapshot.totals.queued_count
        if self.current_mode == "start" and not is_unused:
            self._may_start = False
            self.post_message(Goto("dashboard"))
        elif self.current_mode == "dashboard" and is_unused:
            if snapshot.broker_url.startswith("sqlite") and not snapshot.is_demo:
                self.post_message(Goto("start"))
            else:
                self._may_start = False
        elif not is_unused:
            self._may_start = False

    def shown_screen(self) -> ConsoleScreen | None:
        """Return the full screen that is visible, perhaps below a dialog."""
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
            else:
                self._tell(str(error) or type(error).__name__, is_error=True)

    def on_awaited(self, message: Awaited) -> None:
        """Look at a future each frame until it is done."""
        self._awaited.append(message)

    def on_app_blur(self) -> None:
        """Nobody looks: one frame a second is enough."""
        self._is_blurred = True

    def on_app_focus(self) -> None:
        """Draw at full rate again."""
        self._is_blurred = False

    def _tell(self, text: str, *, is_error: bool = False) -> None:
        severity = "error" if is_error else "information"
        self.notify(text, severity=severity, markup=False, timeout=8 if is_error else 3)

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
        screen = self.screen
        if isinstance(screen, TasksScreen | EventsScreen) and message.expression is not None:
            screen.set_expression(message.expression)
        if isinstance(screen, WorkersScreen) and message.target:
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
            self._redraw()
        else:
            self._quit_on_second("q")

    def _quit_on_second(self, key: str) -> None:
        if self._is_armed:
            self.exit(0)
            return
        self._is_armed = True
        self._tell(f"{key} again quits")
        self.set_timer(TWICE_S, self._disarm)

    def _disarm(self) -> None:
        self._is_armed = False

    def _redraw(self) -> None:
        self.call_after_refresh(self._redraw_now)

    def _redraw_now(self) -> None:
        shown = self.shown_screen()
        if shown is not None:
            shown.redraw()

    # keys of every screen

    def on_key_asked(self, message: KeyAsked) -> None:
        """Do what a key means on every screen."""
        handler = self._handlers().get(message.binding_id)
        if handler is not None:
            handler()

    def _handlers(self) -> dict[str, Handler]:
        return {
            **{f"screen.{name}": self._goer(name) for name in self._mains},
            "app.command": self._open_command_line,
            "app.help": self._open_help,
            "app.palette": self.action_command_palette,
            "app.escape": self._escape,
            "app.quit": lambda: self.exit(0),
            "app.interrupt": self.action_interrupt,
            "app.suspend": self.action_suspend_process,
            "app.history_back": lambda: self._history(-1),
            "app.history_forward": lambda: self._history(1),
            "app.last_view": self._last_view,
            "app.pause": self._toggle_pause,
            "app.refresh": self._refresh_now,
            "app.time": self._turn_time,
            "app.header": lambda: self.toggle_class("-no-header"),
            "app.mouse": self._toggle_mouse,
            "task.call": lambda: self._open_call({}),
        }

    def _goer(self, name: str) -> Handler:
        return lambda: self.post_message(Goto(name))

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
        self._tell("asking the cluster now")

    def _turn_time(self) -> None:
        self._tell(f"times: {self._times.turn()}")
        self._redraw()

    def _toggle_mouse(self) -> None:
        driver = self._driver
        if driver is None:
            return
        self._has_mouse = not self._has_mouse
        # Textual has no public switch for it; without the methods (browser) nothing happens.
        name = "_enable_mouse_support" if self._has_mouse else "_disable_mouse_support"
        getattr(driver, name, lambda: None)()
        self._tell("mouse on" if self._has_mouse else "mouse off: the terminal selects text")

    def action_interrupt(self) -> None:
        """Copy the selection if there is one, else quit on the second press."""
        selected = self.screen.get_selected_text()
        if selected:
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            self._tell("copied")
        else:
            self._quit_on_second("ctrl+c")

    # dialogs

    def _open_help(self) -> None:
        shown = self.shown_screen()
        groups = [shown.TAB] if shown is not None and shown.TAB else []
        if shown is not None and not groups:
            groups = [type(shown).__name__.removesuffix("Screen").lower()]
        groups += ["dead"] if groups == ["queue"] else []
        self.push_screen(
            HelpScreen([*groups, "list", "global"], is_read_only=self.session.is_read_only)
        )

    def _open_command_line(self) -> None:
        def candidates() -> list[str]:
            snapshot = self.session.snapshot()
            return [
                *(f"worker {row.name}" for row in snapshot.workers),
                *(f"queue {row.name}" for row in snapshot.queues),
                *(f"call {name}" for name in snapshot.task_names),
                *(f"theme {name}" for name in self.available_themes),
            ]

        self.push_screen(CommandLine(self._command_history, candidates), self._run_command)

    def _run_command(self, text: str | None) -> None:
        if not text:
            return
        self._command_history.append(text)
        parsed = parse(text)
        if parsed is None:
            self._tell(f"No command {text!r}. ? shows help.", is_error=True)
            return
        command, argument = parsed
        match command.name:
            case "tasks" | "events":
                self.post_message(Goto(command.name, expression=argument or None))
            case "task" | "worker" | "queue" | "dead":
                self.post_message(Goto(command.name, argument))
            case "call":
                self._open_call({"task_name": argument} if argument else {})
            case "theme":
                self._set_theme(argument)
            case "pause":
                self._toggle_pause()
            case "help":
                self._open_help()
            case "quit":
                self.exit(0)
            case _:
                self.post_message(Goto(command.name))

    def _set_theme(self, name: str) -> None:
        if name in self.available_themes:
            self.theme = name
        else:
            self._tell(f"No theme {name!r}: {', '.join(self.available_themes)}", is_error=True)

    def _refused(self) -> bool:
        if self.session.is_read_only:
            self._tell("This console is read-only.", is_error=True)
        return self.session.is_read_only

    def _open_call(self, preset: dict[str, str]) -> None:
        if not self._refused():
            self.push_screen(CallDialog(self.session, preset=preset), self._perform)

    def on_group_asked(self, message: GroupAsked) -> None:
        """Open the dialog of a group of actions."""
        if self._refused():
            return
        if message.group == "call":
            self._open_call(message.preset)
            return
        if message.group == "rerun" and len(message.targets) == 1:
            self._open_rerun(message.targets[0])
            return
        dialog = group_dialog(
            self.session,
            message.target_kind,
            message.group,
            message.targets,
            action_id=message.action_id,
            chosen_by=message.chosen_by,
            preset=message.preset,
        )
        self.push_screen(dialog, self._perform)

    def _open_rerun(self, task_id: str) -> None:
        def deliver(facts: TaskFacts) -> None:
            dialog = CallDialog(self.session, rerun_of=task_id, facts=facts)
            self.push_screen(dialog, self._perform)

        self._awaited.append(Awaited(self.session.fetch_task(task_id), deliver))

    # doing

    def on_action_asked(self, message: ActionAsked) -> None:
        """Carry out what needs no asking."""
        self._perform(message.request)

    def _perform(self, request: ActionRequest | None) -> None:
        if request is not None:
            self._awaited.append(Awaited(self.session.perform(request), self._performed))

    def _performed(self, done: ActionDone) -> None:
        self.push_screen(RepliesDialog(done))

    def on_copy_asked(self, message: CopyAsked) -> None:
        """Copy through the terminal (OSC 52): works over SSH."""
        self.copy_to_clipboard(message.text)
        self._tell(f"copied the {message.what}, {len(message.text):,} characters")

    def on_export_asked(self, message: ExportAsked) -> None:
        """Write a file into the working folder and say where."""
        text = message.text if message.suffix != "svg" else self.export_screenshot()
        now_at = self.session.snapshot().now_at
        try:
            path = write_export(message.stem, message.suffix, text, now_at, Path.cwd())
        except OSError as error:
            self._tell(f"Not written: {error}", is_error=True)
        else:
            self._tell(f"written: {path}")

    def on_start_screen_picked(self, message: StartScreen.Picked) -> None:
        """Stay, or leave with what was chosen."""
        if message.choice.value == STAY.value:
            self._may_start = False
            self.post_message(Goto("dashboard"))
        else:
            self.choice = message.choice.value
            self.exit(0)

    def on_tab_line_picked(self, message: object) -> None:
        """Nothing: the screen has asked already."""

    def _fatal_error(self) -> None:
        """Say in one line that it crashed; the traceback, without locals, goes to a file."""
        error = self._exception or RuntimeError("unknown")
        self.bell()
        self._exit_renderables.append(crash_text(error, write_crash(error)))
        self._close_messages_no_wait()


def merged(before: Changes, after: Changes) -> Changes:
    """Return what either changed."""
    if not before.is_any:
        return after
    return Changes(
        before.row_count + after.row_count,
        before.has_evicted or after.has_evicted,
        before.workers or after.workers,
        before.queues or after.queues,
        before.stats or after.stats,
        before.events or after.events,
        before.link or after.link,
        after.is_behind,
    )


def run_console(
    session: ConsoleSession,
    *,
    screen: str | None = None,
    expression: str | None = None,
    is_ascii: bool | None = None,
    theme: str | None = None,
    start: StartFacts | None = None,
    connect: Connect | None = None,
) -> int:
    """Run the console until it is left; returns the exit code.

    Args:
        session: not started yet; it is stopped when this returns.
        is_ascii: None: when the terminal cannot write UTF-8.
        start: what the start screen says; None: only what the session knows.
        connect: opens what was picked on the start screen, the console then runs on that.
    """
    if is_ascii is None:
        is_ascii = "utf" not in (sys.stdout.encoding or "").lower()
    gc.set_threshold(*GC_THRESHOLD)
    while True:
        app = Console(
            session,
            screen=screen,
            expression=expression,
            is_ascii=is_ascii,
            theme=theme,
            start=start,
        )
        try:
            code = app.run()
        finally:
            session.stop()
        if not app.choice or connect is None:
            return code if code is not None else app.return_code or 0
        session, screen = connect(app.choice), None

"""The `:` line at work: opens it, and carries out what was typed."""

from __future__ import annotations

from collections.abc import Callable

from tqconsole.core.errors import FilterError
from tqconsole.core.setup import FILTER_NAME
from tqconsole.screens.asking import Asking
from tqconsole.screens.command_line import Command, CommandLine, completions, parse
from tqconsole.screens.events import EventsScreen
from tqconsole.screens.setting import Setting
from tqconsole.screens.switch import Switch
from tqconsole.screens.tasks import TasksScreen
from tqconsole.widgets.base_app import BaseApp
from tqconsole.widgets.requests import Goto, GroupAsked


class Commanding:
    """Knows what each command does. `press` does what a key of every screen means."""

    def __init__(
        self,
        app: BaseApp,
        asking: Asking,
        setting: Setting,
        switch: Switch,
        press: Callable[[str], None],
    ) -> None:
        self._app = app
        self._asking = asking
        self._setting = setting
        self._switch = switch
        self._press = press
        self._history: list[str] = []

    def open(self) -> None:
        """Open the line."""
        self._app.push_screen(CommandLine(self._history, self.lines), self.run)

    def lines(self) -> list[str]:
        """Return command lines on what this cluster has, for completion and the palette."""
        themes = [f"theme {name}" for name in self._app.available_themes]
        filters = [f"tasks @{name}" for name in self._app.setup.filters]
        known = completions(self._app.session.snapshot())
        return [*known, *filters, *themes, *self._switch.candidates()]

    def run(self, text: str | None) -> None:
        """Carry out a line; None and "" do nothing."""
        if not text:
            return
        self._history.append(text)
        parsed = parse(text)
        if parsed is None:
            help_key = self._app.look.keys["app.help"]
            self._app.tell(f"No command {text!r}. {help_key} shows help.", is_error=True)
            return
        self._do(*parsed)

    def _do(self, command: Command, argument: str) -> None:
        match command.name:
            case "tasks" | "events":
                self._app.post_message(Goto(command.name, expression=argument or None))
            case "task" | "worker" | "queue" | "dead" | "types" | "beat" | "flow":
                self._app.post_message(Goto(command.name, argument))
            case "call":
                self._asking.call({"task_name": argument} if argument else {})
            case "revoke":
                self._asking.group(revoke_asked(argument))
            case "ctx" | "connect" | "seek" | "speed":
                self._switch.run(command.name, argument)
            case "save":
                self._save_filter(argument)
            case "theme":
                self._setting.set_theme(argument)
            case "pause" | "help" | "quit" | "setup":
                self._press(f"app.{command.name}")
            case _:
                self._app.post_message(Goto(command.name))

    def _save_filter(self, name: str) -> None:
        """Keep the filter of the screen on top by a name, in this console and in its file."""
        screen = self._app.shown_screen()
        if not isinstance(screen, TasksScreen | EventsScreen):
            self._app.tell("Filters of tasks and events can be saved: go there first.")
        elif not FILTER_NAME.fullmatch(name):
            self._app.tell(f"{name!r} is no name for a filter: letters, digits, - and _ are")
        else:
            try:
                self._app.session.save_filter(name, screen.expression)
            except FilterError as error:
                self._app.tell(f"Not saved: {error.message}", is_error=True)
            else:
                self._setting.keep_filter(name, screen.expression)


def revoke_asked(argument: str) -> GroupAsked:
    """Return what `:revoke` asks for: ids are tasks, `name=value` and nothing are stamps."""
    words = argument.removeprefix("--headers").split()
    if words and not any("=" in word for word in words):
        return GroupAsked("task", "revoke", tuple(dict.fromkeys(words)))
    return GroupAsked("cluster", "stamps", (), preset={"stamps": " ".join(words)})

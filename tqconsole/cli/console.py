"""Bare `tqconsole`: opens the console, or prints one page where there is no terminal for it."""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tqconsole.cli.invocation import Invocation
from tqconsole.cli.status_page import print_page
from tqconsole.cli.terminal import has_terminal
from tqconsole.core.filter import compile_filter

if TYPE_CHECKING:
    from tqconsole.cli.celery_app import CeleryReader
    from tqconsole.core.contexts import Context
    from tqconsole.core.history import History
    from tqconsole.core.session import Session
    from tqconsole.engine.app import App

#: Value of the start screen's choice that starts the demo, and what a context's begins with.
DEMO, CONTEXT = "demo", "context:"


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """How the console is opened."""

    read_only: bool = False
    screen: str | None = None
    expression: str | None = None
    theme: str | None = None
    is_ascii: bool = False
    plain: bool = False
    once: bool = False
    #: Rows kept in memory and in the history's file; None: the usual number.
    history: int | None = None
    no_history: bool = False
    #: Filter of the events screen, where that is the first.
    events_filter: str = ""
    record: Path | None = None
    replay: Path | None = None
    speed: float = 1.0


def open_console(invocation: Invocation, options: ConsoleOptions) -> int:
    """Open the console and return its exit code; without a terminal print one page."""
    is_page = options.plain or options.once or invocation.options.json or not has_terminal()
    _check_files(invocation, options, is_page=is_page)
    if options.expression:
        # A mistake in it is told on the shell's line, not on a screen that hides that line.
        compile_filter(options.expression)
    if options.replay is not None:
        from tqconsole.cli.replay import open_replay  # noqa: PLC0415 - the console's mind

        return open_replay(invocation, options, is_page=is_page)
    if is_page:
        return print_page(invocation)
    if invocation.options.no_color:
        os.environ["NO_COLOR"] = "1"
    app = invocation.app()
    app.broker.connect()
    # Textual and the console's mind: a quarter of a second that no other verb should wait for.
    from tqconsole.cli.start import start_facts  # noqa: PLC0415 - see above
    from tqconsole.console import run_console  # noqa: PLC0415 - see above
    from tqconsole.core.setup import load_setup  # noqa: PLC0415 - the console's own settings

    theme = theme_named(options.theme)
    setup = load_setup()
    with ExitStack() as opened:
        opened.callback(app.close)
        opener = Opener(options, opened)
        code = run_console(
            opener.own(invocation, app),
            screen=options.screen or ("tasks" if options.expression else None),
            expression=options.expression or options.events_filter or None,
            is_ascii=options.is_ascii or None,
            theme=theme,
            start=start_facts(app, DEMO, CONTEXT, is_app_named=invocation.has_app),
            connect=opener.picked,
            setup=setup,
        )
        if not opener.is_demo_picked:
            return code
    from tqconsole.cli.demo_run import show_demo  # noqa: PLC0415 - see above

    return show_demo(theme=theme, is_ascii=options.is_ascii or None, setup=setup)


def _check_files(invocation: Invocation, options: ConsoleOptions, *, is_page: bool) -> None:
    """Refuse what would be ignored. Raises: UsageError."""
    if options.replay is None:
        if options.speed != 1.0:
            raise click.UsageError("--speed goes with --replay FILE")
        if options.record is not None and is_page:
            raise click.UsageError(
                "--record goes with the screen; without one: tqconsole events --json > FILE"
            )
        return
    if options.record is not None:
        raise click.UsageError("--record and --replay: a replay is recorded already")
    given = invocation.options
    for name, value in (("-b", given.broker), ("--context", given.context), ("-A", given.app)):
        if value:
            raise click.UsageError(f"--replay shows a file and asks no cluster: leave out {name}")


def theme_named(name: str | None) -> str | None:
    """Return a theme's full name. Raises: UsageError naming the nearest."""
    if name is None:
        return None
    from tqconsole.widgets.look import theme_names  # noqa: PLC0415 - Textual, the console only

    names = theme_names()
    if f"tqconsole-{name}" in names:
        return f"tqconsole-{name}"
    if name in names:
        return name
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {nearest[0]}?" if nearest else f"There are: {', '.join(names)}"
    raise click.UsageError(f"No theme is called {name}. {hint}")


class Opener:
    """Makes the sessions, and keeps the apps that are to be closed after them."""

    def __init__(self, options: ConsoleOptions, opened: ExitStack) -> None:
        self._options = options
        self._opened = opened
        #: Of the first session only: a recording is of one cluster.
        self._record = options.record
        #: The demo was picked on the start screen: it brings a console of its own.
        self.is_demo_picked = False

    def own(self, invocation: Invocation, app: App) -> Session:
        """Return a session on what the command line means."""
        tasks_app = (invocation.celery or app) if invocation.has_app else None
        reached_by = invocation.reached_by()
        return self._session(app, invocation.reason, invocation.context, tasks_app, reached_by)

    def picked(self, choice: str) -> Session | None:
        """Return a session on what was picked: a URL or a context's name; None for the demo."""
        from tqconsole.core.contexts import load_contexts  # noqa: PLC0415 - only if picked
        from tqconsole.engine.app import App  # noqa: PLC0415 - only when something was picked

        self.is_demo_picked = choice == DEMO
        if self.is_demo_picked:
            return None
        if not choice.startswith(CONTEXT):
            app = App("default", broker=choice)
            self._opened.callback(app.close)
            reached_by = ("-b", app.broker.url)
            return self._session(app, "picked in the console", None, None, reached_by)
        invocation = Invocation()
        context = load_contexts().get(choice.removeprefix(CONTEXT))
        invocation.take({"context": context.name})
        app = invocation.app()
        self._opened.callback(app.close)
        return self.own(invocation, app)

    def _session(
        self,
        app: App,
        reason: str,
        context: Context | None,
        tasks_app: App | CeleryReader | None,
        reached_by: tuple[str, ...],
    ) -> Session:
        from tqconsole.core.recording import Recorder  # noqa: PLC0415 - console only
        from tqconsole.core.schedules import AppSchedule  # noqa: PLC0415 - as above
        from tqconsole.core.session import Session, SessionOptions  # noqa: PLC0415 - as above
        from tqconsole.core.store import ROWS_LIMIT  # noqa: PLC0415 - as above

        reader = _AppReader(tasks_app) if tasks_app is not None else None
        name = context.name if context is not None else ""
        path, self._record = self._record, None
        recorder = Recorder(path, broker_url=app.broker.url, context=name) if path else None

        return Session(
            app.broker,
            app.backend if app.backend.is_enabled else None,
            app.control,
            context=name,
            reason=reason,
            is_read_only=self._options.read_only or (context is not None and context.is_read_only),
            options=SessionOptions(
                rows_limit=self._options.history or ROWS_LIMIT,
                mailboxes=app.mailboxes,
                default_queue=app.conf.task_default_queue,
                history=self._history(app, context),
                recorder=recorder,
                reached_by=reached_by,
                context_color=context.color if context is not None else "",
                saved_filters=dict(context.filters) if context is not None else None,
                read_tasks=reader.tasks if reader is not None else None,
                schedule=AppSchedule(reader.schedule, tasks_app) if reader is not None else None,
            ),
        )

    def _history(self, app: App, context: Context | None) -> History | None:
        """Return where tasks outlive the console: not of a broker that lives in this process."""
        from tqconsole.core.history import History  # noqa: PLC0415 - console only
        from tqconsole.core.history_file import ROWS_LIMIT, history_path  # noqa: PLC0415 - as above

        is_off = self._options.no_history or (context is not None and not context.has_history)
        if is_off or not app.broker.capabilities.is_shared_between_processes:
            return None
        name = context.name if context is not None else ""
        path = history_path(name, app.broker.url)
        return History(path, rows_limit=self._options.history or ROWS_LIMIT)


class _AppReader:
    """Imports the app's tasks: done in threads, since users' modules may take long."""

    def __init__(self, app: App | CeleryReader) -> None:
        self._app = app
        self._lock = threading.Lock()

    def tasks(self) -> Mapping[str, Any]:
        """Return the tasks by name."""
        self._import()
        return dict(self._app.tasks)

    def schedule(self) -> Mapping[Any, Any]:
        """Return the entries of the schedule by name."""
        self._import()
        return dict(self._app.conf.beat_schedule or {})

    def _import(self) -> None:
        with self._lock:
            self._app.import_modules()

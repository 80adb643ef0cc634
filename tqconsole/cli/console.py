"""Bare `tqconsole`: opens the console, or prints one page where there is no terminal for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tqconsole.cli.invocation import Invocation
from tqconsole.cli.status_page import print_page
from tqconsole.cli.terminal import has_terminal
from tqconsole.core.filter import compile_filter

if TYPE_CHECKING:
    from tqconsole.core.session import Session
    from tqconsole.engine.app import App

#: Value of the start screen's choice that starts the demo.
DEMO = "demo"


class DemoChosenError(Exception):
    """On the start screen the demo was picked: it brings a console of its own."""


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """How the console is opened."""

    read_only: bool = False
    screen: str | None = None
    expression: str | None = None
    plain: bool = False
    once: bool = False


def open_console(invocation: Invocation, options: ConsoleOptions) -> int:
    """Open the console and return its exit code; without a terminal print one page."""
    if options.plain or options.once or invocation.options.json or not has_terminal():
        return print_page(invocation)
    if options.expression:
        # A mistake in it is told on the shell's line, not on a screen that hides that line.
        compile_filter(options.expression)
    app = invocation.app()
    app.broker.connect()
    # Textual and the console's mind: a quarter of a second that no other verb should wait for.
    from tqconsole.cli.start import start_facts  # noqa: PLC0415 - see above
    from tqconsole.console import run_console  # noqa: PLC0415 - see above

    try:
        return run_console(
            _session(app, app.broker_resolved.reason, options),
            screen=options.screen or ("tasks" if options.expression else None),
            expression=options.expression,
            start=start_facts(app, DEMO),
            connect=lambda choice: _picked(choice, options),
        )
    except DemoChosenError:
        from tqconsole.cli.demo_run import show_demo  # noqa: PLC0415 - see above

        return show_demo()
    finally:
        app.close()


def _picked(choice: str, options: ConsoleOptions) -> Session:
    """Open the broker that was picked on the start screen."""
    from tqconsole.engine.app import App  # noqa: PLC0415 - only when something was picked

    if choice == DEMO:
        raise DemoChosenError
    return _session(App("default", broker=choice), "picked on the start screen", options)


def _session(app: App, reason: str, options: ConsoleOptions) -> Session:
    from tqconsole.core.session import Session, SessionOptions  # noqa: PLC0415 - the console only

    return Session(
        app.broker,
        app.backend if app.backend.is_enabled else None,
        app.control,
        reason=reason,
        is_read_only=options.read_only,
        options=SessionOptions(default_queue=app.conf.task_default_queue),
    )

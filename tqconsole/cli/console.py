"""Bare `tqconsole`: opens the console, or prints one page where there is no terminal for it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from tqconsole.cli.invocation import Invocation
from tqconsole.cli.status_page import print_page


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
    if options.plain or options.once or invocation.options.json or not _has_terminal():
        return print_page(invocation)
    app = invocation.app()
    app.broker.connect()
    # Textual and the console's mind: a quarter of a second that no other verb should wait for.
    from tqconsole.console import run_console  # noqa: PLC0415 - see above
    from tqconsole.core.session import open_session  # noqa: PLC0415 - see above

    session = open_session(app, is_read_only=options.read_only)
    return run_console(session, screen=options.screen)


def _has_terminal() -> bool:
    is_terminal = sys.stdout.isatty() and sys.stdin.isatty()
    return is_terminal and os.environ.get("TERM", "dumb") != "dumb"

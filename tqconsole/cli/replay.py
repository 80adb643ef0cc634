"""`tqconsole --replay FILE`: the console on a recording, or its last page without a terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tqconsole.cli import exits
from tqconsole.cli.top import print_snapshot
from tqconsole.core.replay import ReplaySession
from tqconsole.core.store import ROWS_LIMIT

if TYPE_CHECKING:
    from tqconsole.cli.console import ConsoleOptions
    from tqconsole.cli.invocation import Invocation


def open_replay(invocation: Invocation, options: ConsoleOptions, *, is_page: bool) -> int:
    """Show a recording and return the exit code. Raises: RecordingError.

    `is_page`: print what stood on the screen when it ended, as `tqconsole top` does.
    """
    assert options.replay is not None  # noqa: S101 - who calls this has looked
    session = ReplaySession(
        options.replay, speed=options.speed, rows_limit=options.history or ROWS_LIMIT
    )
    if is_page:
        return _print_end(invocation, session)
    if invocation.options.no_color:
        os.environ["NO_COLOR"] = "1"
    from tqconsole.cli.console import theme_named  # noqa: PLC0415 - Textual, for the screen only
    from tqconsole.console import run_console  # noqa: PLC0415 - as above

    return run_console(
        session,
        screen=options.screen or ("tasks" if options.expression else "dashboard"),
        expression=options.expression,
        is_ascii=options.is_ascii or None,
        theme=theme_named(options.theme),
    )


def _print_end(invocation: Invocation, session: ReplaySession) -> int:
    session.play_out()
    print_snapshot(invocation.output, session.snapshot())
    session.stop()
    return exits.OK

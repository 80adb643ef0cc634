"""`tqconsole events`: the console's Events screen, or every event as a line of text."""

from __future__ import annotations

import click

from tqconsole.cli import exits
from tqconsole.cli.event_dump import dump
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import verb as make_verb


@make_verb(
    "events",
    click.Option(["-d", "--dump", "is_dump"], is_flag=True, help="Print events as text."),
    click.Option(
        ["--limit"], type=click.IntRange(min=1), help="With --dump: end after so many events."
    ),
)
def verb(
    invocation: Invocation,
    is_dump: bool,  # noqa: FBT001 - click passes options by name
    limit: int | None,
) -> int:
    """Watch events: a screen, or with --dump a line for each (with --json a JSON object)."""
    if is_dump or invocation.options.json:
        dump(invocation.cluster().broker, invocation.output, limit)
        return exits.OK
    from tqconsole.cli.console import (  # noqa: PLC0415 - Textual, which a dump does not need
        ConsoleOptions,
        open_console,
    )

    return open_console(invocation, ConsoleOptions(screen="events"))

"""Makes the verbs `inspect` and `control`: one command line over the table of commands."""

from __future__ import annotations

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.remote import find_command, print_help, print_list, remote_options, run_remote
from tqconsole.cli.verb import Verb
from tqconsole.engine.control.table import Kind


def remote_verb(kind: Kind, summary: str) -> Verb:
    """Return the verb for one kind of commands. `inspect COMMAND --help` explains the command."""

    def run(
        invocation: Invocation,
        words: tuple[str, ...],
        timeout: float,
        destination: tuple[str, ...] | None,
        terminate: str | None = None,
        *,
        is_list: bool,
        is_help: bool,
    ) -> int:
        output = invocation.output
        if is_list:
            invocation.import_modules()
            print_list(output, kind)
            return exits.OK
        if is_help and words:
            print_help(output, find_command(invocation, kind, words[0]))
            return exits.OK
        if is_help:
            output.line(click.get_current_context().get_help())
            output.line()
            print_list(output, kind)
            return exits.OK
        if not words:
            raise click.UsageError(f"Which command? tqconsole {kind} --list shows them.")
        return run_remote(invocation, kind, words, destination, timeout, terminate)

    return Verb(
        str(kind),
        callback=run,
        help=summary,
        add_help_option=False,
        params=[
            click.Argument(["words"], nargs=-1, metavar="COMMAND [ARGS]..."),
            *remote_options(),
            *_options_of(kind),
            click.Option(
                ["--list", "is_list"], is_flag=True, help=f"List the {kind} commands and end."
            ),
            click.Option(
                ["-h", "--help", "is_help"], is_flag=True, help="Show help, also of one command."
            ),
        ],
    )


def _options_of(kind: Kind) -> list[click.Parameter]:
    """Return the options that only one of the verbs has."""
    if kind is not Kind.CONTROL:
        return []
    return [
        click.Option(
            ["--terminate"],
            metavar="SIGNAL",
            help="With revoke and revoke_by_stamped_headers: kill what runs of it already.",
        )
    ]

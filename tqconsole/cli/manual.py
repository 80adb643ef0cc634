"""`tqconsole help [VERB]`: the same as `--help`."""

from __future__ import annotations

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import verb as make_verb


@make_verb("help", click.Argument(["words"], nargs=-1, metavar="[VERB]..."))
def verb(invocation: Invocation, words: tuple[str, ...]) -> int:
    """Show help, also of one verb."""
    # The program is the context above: it knows the verbs, this module does not.
    top = click.get_current_context().find_root()
    top.command.main(
        [*words, "--help"], prog_name=top.info_name, standalone_mode=False, obj=invocation
    )
    return exits.OK

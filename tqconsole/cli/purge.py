"""`tqconsole purge`: drop all waiting messages of queues."""

from __future__ import annotations

import sys

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.output import plural
from tqconsole.cli.values import COMMA_LIST
from tqconsole.cli.verb import verb as make_verb


@make_verb(
    "purge",
    click.Option(["-f", "--force"], is_flag=True, help="Do not ask."),
    click.Option(["-Q", "--queues"], type=COMMA_LIST, help="These queues only."),
    click.Option(["-X", "--exclude-queues"], type=COMMA_LIST, help="Not these queues."),
)
def verb(
    invocation: Invocation,
    force: bool,  # noqa: FBT001 - click passes options by name
    queues: tuple[str, ...] | None,
    exclude_queues: tuple[str, ...] | None,
) -> int:
    """Drop all waiting messages of the app's queues. There is no undo."""
    invocation.require_writable()
    app = invocation.cluster()
    output = invocation.output
    wanted = set(queues) if queues else {queue.name for queue in app.queues()}
    names = sorted(wanted - set(exclude_queues or ()))
    if not names:
        raise click.UsageError("No queue is left to purge: every one is excluded with -X.")
    if not force:
        _confirm(names)
    counts = {name: app.broker.purge(name) for name in names}
    total = sum(counts.values())
    if output.is_json:
        output.json({"purged": total, "queues": counts})
    elif total:
        output.line(
            f"Purged {plural(total, 'message')} from {len(names)} known task "
            f"{'queue' if len(names) == 1 else 'queues'}."
        )
    else:
        output.line(f"No messages purged from {plural(len(names), 'queue')}.")
    return exits.OK


def _confirm(names: list[str]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to be asked; say -f to purge without a question.")
    click.confirm(
        f"This drops all waiting messages of {', '.join(names)}, and nothing brings them back.\n"
        "Drop them?",
        abort=True,
        err=True,
    )

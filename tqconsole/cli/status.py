"""`tqconsole status`: which workers are online."""

from __future__ import annotations

from tqconsole.cli.invocation import Invocation
from tqconsole.cli.remote import ask, exit_code, print_count, remote_options
from tqconsole.cli.verb import verb as make_verb


@make_verb("status", *remote_options())
def verb(invocation: Invocation, timeout: float, destination: tuple[str, ...] | None) -> int:
    """Show which workers are online."""
    answers = ask(invocation, "ping", {}, destination, timeout)
    output = invocation.output
    if answers.replies and output.is_json:
        output.json(answers.replies)
    elif answers.replies:
        for node, value in sorted(answers.replies.items()):
            output.reply(node, value, has_body=False)
        print_count(output, answers)
    return exit_code(invocation, answers)

"""What `inspect`, `control` and `status` share: asking workers and printing who said what."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from typing import Any

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.output import Output
from tqconsole.cli.values import COMMA_LIST
from tqconsole.core.sanitize import clean
from tqconsole.engine.control import Panel
from tqconsole.engine.control.answer import Answers
from tqconsole.engine.control.table import Command, Danger, Kind
from tqconsole.engine.exceptions import DuplicateNodenameWarning
from tqconsole.remote_control import RemoteControl

NO_REPLY = "No nodes replied within time constraint"
#: Commands that can kill what runs already.
_ENDING = ("revoke", "revoke_by_stamped_headers")
#: Nodes named to somebody who asked for one that is not there.
_NAMED = 5


def remote_options() -> list[click.Parameter]:
    """Return the options of every verb that asks workers."""
    return [
        click.Option(
            ["-t", "--timeout"],
            type=click.FloatRange(min=0, min_open=True),
            default=1.0,
            show_default=True,
            help="Seconds to wait for workers that may not exist.",
        ),
        click.Option(
            ["-d", "--destination"],
            type=COMMA_LIST,
            help="Ask these nodes only: names, short names (w1), shell patterns; comma separated.",
        ),
    ]


def ask(
    invocation: Invocation,
    command_name: str,
    arguments: dict[str, Any],
    destination: Sequence[str] | None,
    timeout: float,
) -> Answers:
    """Ask the workers of the invocation's broker."""
    remote = RemoteControl(invocation.cluster().control, timeout_s=timeout)
    try:
        # A warning of Python's would show a line of our code.
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DuplicateNodenameWarning)
            answers = remote.run(command_name, arguments, destination)
    except ValueError as error:
        raise click.UsageError(f"--destination: {error}") from error
    for warning in caught:
        invocation.output.note(clean(warning.message))
    return answers


def exit_code(invocation: Invocation, answers: Answers) -> int:
    """Say who did not answer, and return the exit code: 69 for nobody, 1 for a refusal."""
    output = invocation.output
    if not answers.replies:
        names = f" ({', '.join(answers.missing)})" if answers.missing else ""
        hint = _online(invocation) if answers.missing else ""
        output.error(f"{NO_REPLY}{names}{hint or invocation.whereabouts()}")
        return exits.NO_REPLY
    if answers.missing:
        output.note(f"No answer from {', '.join(answers.missing)}.")
    return exits.FAILED if answers.errors else exits.OK


def _online(invocation: Invocation) -> str:
    """Return who could have been meant instead, "" for nobody or where the broker cannot tell."""
    broker = invocation.app().broker
    if not broker.capabilities.knows_workers:
        return ""
    names = sorted({clean(worker.worker_name) for worker in broker.live_workers()})
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"; online: {shown}" if names else ""


def run_remote(
    invocation: Invocation,
    kind: Kind,
    words: Sequence[str],
    destination: Sequence[str] | None,
    timeout: float,
    terminate: str | None = None,
) -> int:
    """Run `inspect` or `control` with the words behind it; `terminate` is a signal's name."""
    if kind is Kind.CONTROL:
        invocation.require_writable()
    command = find_command(invocation, kind, words[0])
    try:
        arguments = command.arguments_from(words[1:])
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    missing = command.missing_from(arguments)
    if missing:
        usage = f"tqconsole {kind} {command.name} {command.signature}"
        raise click.UsageError(f"{command.name} needs {missing[0]}: {usage}")
    if terminate is not None:
        if command.name not in _ENDING:
            raise click.UsageError(f"--terminate belongs to {' and '.join(_ENDING)}")
        arguments |= {"terminate": True, "signal": terminate}
    answers = ask(invocation, command.name, arguments, destination, timeout)
    if command.name == "shutdown" and not answers.replies:
        invocation.output.note("Celery's workers stop without an answer: see tqconsole status")
    _print(invocation.output, kind, answers)
    return exit_code(invocation, answers)


def find_command(invocation: Invocation, kind: Kind, name: str) -> Command:
    """Return a command of the table, also one that the user's app adds.

    Raises: UsageError naming the nearest, or the verb to which it belongs.
    """
    if name not in Panel:
        invocation.import_modules()
    command = Panel.get(name)
    if command is not None and command.kind is kind:
        return command
    if command is not None:
        raise click.UsageError(f"{name} is not for {kind}: tqconsole {command.kind} {name}")
    names = [command.name for command in Panel.of_kind(kind)]
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {nearest[0]}?" if nearest else f"Known: {', '.join(names)}"
    raise click.UsageError(f"Command {name} not recognized. {hint}")


def print_list(output: Output, kind: Kind) -> None:
    """Print the commands of a kind with their arguments and help."""
    if output.is_json:
        output.json([_described(command) for command in Panel.of_kind(kind)])
        return
    formatter = click.HelpFormatter(max_width=100)
    with formatter.section(f"{kind.capitalize()} Commands"):
        formatter.write_dl(
            [(f"{one.name} {one.signature}".strip(), one.help) for one in Panel.of_kind(kind)]
        )
    output.line(formatter.getvalue().rstrip("\n"))


def print_help(output: Output, command: Command) -> None:
    """Print the help of one command."""
    output.line(f"Usage: tqconsole {command.kind} {command.name} {command.signature}".rstrip())
    output.line()
    output.line(f"  {command.help}")
    notes = {
        Danger.CHANGES: "Changes how workers behave until it is taken back or they restart.",
        Danger.ENDS: "Ends runs, children or workers.",
    }
    if command.danger in notes:
        output.line(f"  {notes[command.danger]}")
    if command.aliases:
        output.line(f"  Also known as {', '.join(command.aliases)}.")


def _described(command: Command) -> dict[str, Any]:
    return {
        "name": command.name,
        "aliases": list(command.aliases),
        "signature": command.signature,
        "danger": str(command.danger),
        "help": command.help,
    }


def _print(output: Output, kind: Kind, answers: Answers) -> None:
    if output.is_json:
        # Celery's shapes: a map for `inspect`, a list of maps for `control`.
        single = [{node: value} for node, value in answers.replies.items()]
        if answers.replies:
            output.json(answers.replies if kind is Kind.INSPECT else single)
        return
    for node, value in sorted(answers.replies.items()):
        output.reply(node, value)
    if kind is Kind.INSPECT and answers.replies:
        print_count(output, answers)


def print_count(output: Output, answers: Answers) -> None:
    """Print how many nodes are online, in Celery's words."""
    if not output.is_quiet:
        count = len(answers.replies)
        output.line(f"\n{count} {'node' if count == 1 else 'nodes'} online.")

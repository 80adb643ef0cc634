"""The `tqconsole` program: finds the verb, runs it, and turns every failure into one line.

This is the one edge of the command line: below it everything raises, above it there is only an
exit code. A traceback is a mistake of ours, unless `TQCONSOLE_TRACEBACK` asks for it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tqconsole import __version__
from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.loading import place_of
from tqconsole.cli.main import COMMANDS
from tqconsole.cli.output import Output
from tqconsole.cli.plugins import plugin_verb, plugins
from tqconsole.cli.user_options import with_user_options
from tqconsole.cli.verb import VerbGroup, format_sections
from tqconsole.core.errors import ConsoleError, ContextError, FilterError, SetupError
from tqconsole.engine.exceptions import (
    EncodeError,
    EngineError,
    ImproperlyConfigured,
    OperationalError,
)

#: Screens that the console can begin with.
SCREENS = (
    "dashboard",
    "tasks",
    "workers",
    "queues",
    "types",
    "beat",
    "flows",
    "events",
    "audit",
)
#: Name of a parameter -> the option as it is typed, where the two differ.
_OPTIONS = {
    "expression": "--filter",
    "is_ascii": "--ascii",
    "read_only": "--read-only",
    "no_history": "--no-history",
}


class Program(VerbGroup):
    """The top: verbs by name, imported when asked for; the console when there is none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return [*COMMANDS, *(name for name in plugins() if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb, and add what the app adds to it."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return plugin_verb(cmd_name)
        command: click.Command = importlib.import_module(entry[0]).verb
        return with_user_options(command, ctx.ensure_object(Invocation))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs, without importing them, then the options."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        foreign = [(name, point.value) for name, point in plugins().items() if name not in COMMANDS]
        if foreign:
            with formatter.section("Commands of other packages"):
                formatter.write_dl(foreign)
        format_sections(self.get_params(ctx), ctx, formatter)


def _bare(ctx: click.Context, **options: Any) -> int | None:
    """Open the console when no verb was given."""
    if options.pop("version"):
        click.echo(f"tqconsole {__version__}")
        ctx.exit()
    if ctx.invoked_subcommand is not None:
        given = [
            _OPTIONS.get(name, f"--{name}")
            for name, value in options.items()
            if value and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        ]
        if given:
            raise click.UsageError(
                f"{given[0]} belongs to the console: leave out {ctx.invoked_subcommand}", ctx
            )
        return None
    invocation = ctx.ensure_object(Invocation)
    invocation.prepare()
    console = importlib.import_module("tqconsole.cli.console")
    code: int = console.open_console(invocation, console.ConsoleOptions(**options))
    return code


def program() -> Program:
    """Return the program; a new one each time, since click keeps state in its objects."""
    return Program(
        "tqconsole",
        callback=click.pass_context(_bare),
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        params=[
            click.Option(["--version"], is_flag=True, help="Print the version."),
            click.Option(["--read-only"], is_flag=True, help="Console: nothing can be changed."),
            click.Option(
                ["--screen"],
                type=click.Choice(SCREENS),
                help="Console: the screen to begin with.",
            ),
            click.Option(["--filter", "expression"], help="Console: filter of the task list."),
            click.Option(["--theme"], help="Console: its colours, as dark or light."),
            click.Option(["--ascii", "is_ascii"], is_flag=True, help="Console: plain signs only."),
            click.Option(
                ["--history"],
                type=click.IntRange(min=1000),
                metavar="ROWS",
                help="Console: tasks kept in memory, and in its file over restarts. 100000.",
            ),
            click.Option(
                ["--no-history"],
                is_flag=True,
                envvar="TQCONSOLE_NO_HISTORY",
                help="Console: keep nothing over restarts ($TQCONSOLE_NO_HISTORY).",
            ),
            click.Option(
                ["--record"],
                type=click.Path(path_type=Path, dir_okay=False),
                help="Console: write what it hears into this new file (.gz: compressed).",
            ),
            click.Option(
                ["--replay"],
                type=click.Path(path_type=Path, dir_okay=False),
                help="Console: show a recording, or what `events --json` has written.",
            ),
            click.Option(
                ["--speed"],
                type=click.FloatRange(min=0.01, max=10_000),
                default=1.0,
                help="Console: with --replay, how many times as fast. 1 by default.",
            ),
            click.Option(["--plain"], is_flag=True, help="Print one page of status, no screen."),
            click.Option(["--once"], is_flag=True, help="The same as --plain."),
        ],
        help="A distributed task queue that speaks Celery, and its console.\n\n"
        "Without a command it opens the console.",
    )


def run(words: Sequence[str], app: Any = None) -> int:
    """Run the command line; never raises but what ends the process itself."""
    invocation = Invocation(app, words)
    try:
        code = program().main(
            list(words), prog_name="tqconsole", standalone_mode=False, obj=invocation
        )
        # There is none in a process that was started with it closed.
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us has left. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    except BaseException as error:  # noqa: BLE001 - the edge: it is told to the user as one line
        return _told(error, invocation.output)
    return code if isinstance(code, int) else exits.OK


def _told(error: BaseException, output: Output) -> int:
    """Say what went wrong and return the exit code. Re-raises what is nobody's error."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt) or (
        isinstance(error, click.Abort) and isinstance(error.__cause__, KeyboardInterrupt)
    ):
        return exits.INTERRUPTED
    if isinstance(error, click.Abort):
        output.note("Nothing done.")
        return exits.FAILED
    if isinstance(error, SystemExit):
        raise error
    if os.environ.get("TQCONSOLE_TRACEBACK"):
        raise error
    text, code = _explained(error)
    output.error(" ".join(text.split()))
    return code


def _explained(error: BaseException) -> tuple[str, int]:
    match error:
        case click.UsageError():
            return _usage(error), exits.USAGE
        case click.ClickException():
            return error.format_message(), error.exit_code
        case ImproperlyConfigured() | EncodeError() | FilterError() | ContextError() | SetupError():
            return str(error), exits.USAGE
        case OperationalError():
            return str(error), exits.UNREACHABLE
        case EngineError() | ConsoleError():
            return str(error) or type(error).__name__, exits.FAILED
        case OSError() if error.strerror:
            place = f"{error.filename}: " if error.filename else ""
            return f"{place}{error.strerror}", exits.FAILED
        case _:
            reason = f"{type(error).__name__}: {error}"
            return f"{reason} ({place_of(error)}; TQCONSOLE_TRACEBACK=1 shows more)", exits.FAILED


def _usage(error: click.UsageError) -> str:
    """Return a usage error as one line, with where to read more."""
    text = error.format_message()
    path = error.ctx.command_path if error.ctx is not None else "tqconsole"
    return f"{text} (see {path} --help)"

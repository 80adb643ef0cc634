"""What all verbs share: the global options behind the verb's name, and help in sections."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tqconsole.cli.invocation import GLOBAL_NAMES, Invocation

_SECTION = "Global options (before or after the verb; the later wins)"


def global_options() -> list[click.Parameter]:
    """Return new global options: they belong to one command each."""
    return [
        click.Option(["-A", "--app"], help="The app: a module, a package or module:name."),
        click.Option(["-b", "--broker"], help="The broker's URL."),
        click.Option(["--context"], help="A cluster of contexts.toml ($TQCONSOLE_CONTEXT)."),
        click.Option(
            ["--result-backend"], envvar="TQCONSOLE_RESULT_BACKEND", help="The result store's URL."
        ),
        click.Option(["--config"], help="Module with settings (CELERY_CONFIG_MODULE)."),
        click.Option(
            ["--loader"], help="Celery's; only its own two names are taken: app, default."
        ),
        click.Option(["--skip-checks"], is_flag=True, help="No effect: there are no checks."),
        click.Option(["--workdir"], type=click.Path(path_type=Path), help="Change there first."),
        click.Option(["-C", "--no-color"], is_flag=True, help="Print without colours."),
        click.Option(["-q", "--quiet"], is_flag=True, help="Say nothing beside the data."),
        click.Option(["-j", "--json"], is_flag=True, help="Print data as JSON."),
    ]


class _Global:
    """Takes the global options out of what a command's function receives."""

    params: list[click.Parameter]

    def take_globals(self, ctx: click.Context) -> Invocation:
        invocation = ctx.ensure_object(Invocation)
        invocation.take({name: ctx.params.pop(name, None) for name in GLOBAL_NAMES})
        return invocation


class Verb(click.Command, _Global):
    """A verb. Its function gets the invocation, then its own options; it returns an exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *global_options()]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb's function."""
        invocation = self.take_globals(ctx)
        invocation.prepare()
        assert self.callback is not None  # noqa: S101 - every verb has its function
        return ctx.invoke(self.callback, invocation, **ctx.params)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verb's own options first, then the global ones."""
        format_sections(self.get_params(ctx), ctx, formatter)


class VerbGroup(click.Group, _Global):
    """A verb with verbs below it (`dead list`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *global_options()]
        self.no_args_is_help = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs below in the order they were given."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Take the options given so far, then go on to the verb below."""
        self.take_globals(ctx)
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if error.message != "Missing command.":
                raise
            names = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"Say one of {names}.", ctx) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; a word that is none names the nearest."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            nearest = difflib.get_close_matches(args[0], names, n=1)
            hint = f" Did you mean {nearest[0]}?" if nearest else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs below first, then the global options."""
        self.format_commands(ctx, formatter)
        format_sections(self.get_params(ctx), ctx, formatter)


def format_sections(
    params: Sequence[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write two sections of options: a command's own, and the global ones."""
    for title, is_global in (("Options", False), (_SECTION, True)):
        records = [
            record
            for param in params
            if isinstance(param, click.Option)
            and (param.name in GLOBAL_NAMES) is is_global
            and (record := param.get_help_record(ctx)) is not None
        ]
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def verb(
    name: str, *params: click.Parameter, **settings: Any
) -> Callable[[Callable[..., int]], Verb]:
    """Make a function a verb; its docstring is the help."""

    def decorate(function: Callable[..., int]) -> Verb:
        return Verb(name, callback=function, params=list(params), help=function.__doc__, **settings)

    return decorate

"""Verbs of other packages: entry points of `tqconsole.commands`, and those for Celery's program.

An entry point names a click command. It finds in `ctx.obj`, as with Celery, the `app`, `quiet`,
`no_color` and `workdir`. One of `celery.commands` (Flower's) uses parts of Celery that our app has
not, so its app is one of Celery's, with the addresses, settings and tasks of ours.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

import click

from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import Verb

#: Groups of entry points; the first wins.
OWN, CELERYS = "tqconsole.commands", "celery.commands"


class CommandContext(NamedTuple):
    """What a command finds in `ctx.obj`."""

    app: Any
    quiet: bool = False
    no_color: bool = False
    workdir: str | None = None


def plugins() -> Mapping[str, EntryPoint]:
    """Return name -> entry point, sorted; nothing of them is imported."""
    found = {point.name: point for group in (CELERYS, OWN) for point in entry_points(group=group)}
    return dict(sorted(found.items()))


def plugin_verb(name: str) -> click.Command | None:
    """Return the verb that runs a plug-in, None when there is none of that name."""
    point = plugins().get(name)
    if point is None:
        return None
    found = point

    def run(invocation: Invocation, words: Sequence[str]) -> int:
        command: click.Command = found.load()
        invocation.import_modules()
        app = invocation.cluster(needs_queue=False)
        options = invocation.options
        obj = CommandContext(
            app if found.group == OWN else celery_app(app),
            quiet=bool(options.quiet),
            no_color=bool(options.no_color),
            workdir=str(options.workdir) if options.workdir else None,
        )
        code = command.main(
            list(words), found.name, standalone_mode=False, obj=obj,
            parent=click.get_current_context().parent,
        )  # fmt: skip
        return code if isinstance(code, int) else 0

    # Its words are its own: no option behind the verb is ours.
    return _Foreign(
        name,
        callback=run,
        params=[click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)],
        help=f"A plug-in: {found.value}.",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )


class _Foreign(Verb):
    """A verb whose options all belong to the plug-in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [param for param in self.params if isinstance(param, click.Argument)]


def celery_app(app: Any) -> Any:
    """Return an app of Celery's with the addresses, settings and tasks of one of ours."""
    settings = {**app.conf.without_defaults(), "broker_url": app.broker_resolved.url}
    theirs = importlib.import_module("celery").Celery(
        app.main, changes=settings, set_as_current=False
    )
    for name, task in app.tasks.items():
        if name not in theirs.tasks:
            theirs.task(name=name)(task.run)
    return theirs

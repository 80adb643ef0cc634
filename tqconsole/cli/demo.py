"""`tqconsole demo`: a small real cluster on this machine, and the console on it."""

from __future__ import annotations

import click

from tqconsole.cli.invocation import Invocation
from tqconsole.cli.terminal import has_terminal
from tqconsole.cli.verb import verb as make_verb


@make_verb(
    "demo",
    click.Option(["--headless", "is_headless"], is_flag=True, help="No screen: counts at the end."),
    click.Option(
        ["--seconds", "duration_s"],
        type=click.FloatRange(min=0, min_open=True),
        help="With --headless: send for so many seconds (20).",
    ),
    click.Option(
        ["--directory"],
        type=click.Path(file_okay=False),
        help="Keep the cluster's files there; else they are temporary.",
    ),
    click.Option(["--theme"], help="The console's colours, as dark or light."),
    click.Option(["--ascii", "is_ascii"], is_flag=True, help="Draw with plain signs only."),
)
def verb(
    invocation: Invocation,
    is_headless: bool,  # noqa: FBT001 - click passes options by name
    duration_s: float | None,
    directory: str | None,
    theme: str | None,
    is_ascii: bool,  # noqa: FBT001 - as above
) -> int:
    """Run a small real cluster (embedded broker, workers, tasks) and watch it.

    With -b URL it runs on that broker: a place where nothing else is, since it fills queues.
    """
    # The demo brings the engine's worker side: the other verbs do without.
    from tqconsole.cli.console import theme_named  # noqa: PLC0415 - see above
    from tqconsole.cli.demo_run import count_demo, show_demo  # noqa: PLC0415 - see above

    named = (invocation.options.broker, invocation.options.result_backend)
    if is_headless:
        return count_demo(invocation.output, duration_s, directory, named)
    if duration_s is not None:
        raise click.UsageError("--seconds goes with --headless; the console ends when you leave it")
    if not has_terminal():
        raise click.UsageError("No terminal to draw on. Try: tqconsole demo --headless")
    return show_demo(directory, named, theme=theme_named(theme), is_ascii=is_ascii or None)

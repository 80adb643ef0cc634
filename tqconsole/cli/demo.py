"""`tqconsole demo`: a small real cluster on this machine, and the console on it."""

from __future__ import annotations

import click

from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import verb as make_verb


@make_verb(
    "demo",
    click.Option(["--headless", "is_headless"], is_flag=True, help="No screen: counts at the end."),
    click.Option(
        ["--seconds", "duration_s"],
        type=click.FloatRange(min=0, min_open=True),
        help="End after so many seconds.",
    ),
    click.Option(
        ["--directory"],
        type=click.Path(file_okay=False),
        help="Keep the cluster's files there; else they are temporary.",
    ),
)
def verb(
    invocation: Invocation,
    is_headless: bool,  # noqa: FBT001 - click passes options by name
    duration_s: float | None,
    directory: str | None,
) -> int:
    """Run a small real cluster (embedded broker, workers, tasks) and watch it."""
    from tqconsole.core.demo.run import run_demo  # noqa: PLC0415 - the demo brings all parts

    return run_demo(
        is_headless=is_headless,
        duration_s=duration_s,
        directory=directory,
        json_output=invocation.options.json,
    )

"""`tqconsole watch`: wait until a condition holds; for cron jobs, deploy scripts and pagers."""

from __future__ import annotations

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import verb as make_verb
from tqconsole.core.errors import FilterError


@make_verb(
    "watch",
    click.Argument(["condition"], metavar="CONDITION"),
    click.Option(
        ["--for", "for_s"],
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="SECONDS",
        help="It must hold for so long without a break. 0 by default.",
    ),
    click.Option(
        ["-t", "--timeout", "timeout_s"],
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="End with 0 when it did not hold until then. For ever by default.",
    ),
    click.Option(
        ["-s", "--seconds", "interval_s"],
        type=click.FloatRange(min=0.1),
        default=1.0,
        help="Seconds between two looks. 1 by default.",
    ),
)
def verb(
    invocation: Invocation,
    condition: str,
    for_s: float,
    timeout_s: float | None,
    interval_s: float,
) -> int:
    """Wait until CONDITION holds, say what does, and exit with 3.

    Conditions are comparisons joined by "and" and "or": "queued > 1000 or fail > 5%",
    "queue:mail.oldest > 5m", "type:img.resize.p95 > 2s", "workers < 2"; or "tasks:" and a filter
    of tasks: "tasks: state:FAILURE name:img". What is not known fulfils nothing.
    """
    from tqconsole.cli.watching import snapshots, watched  # noqa: PLC0415 - the console's mind
    from tqconsole.core.watching import Condition  # noqa: PLC0415 - likewise

    try:
        wanted = Condition(condition)
    except FilterError as error:
        raise click.UsageError(f"{error.message} (column {error.column + 1})") from error
    since_at: float | None = None
    began_at: float | None = None
    with watched(invocation) as session:
        for snapshot in snapshots(session, interval_s):
            began_at = snapshot.now_at if began_at is None else began_at
            reason = wanted.reason(snapshot, session)
            since_at = (since_at or snapshot.now_at) if reason else None
            if since_at is not None and snapshot.now_at - since_at >= for_s:
                _tell(invocation, reason, snapshot.now_at)
                return exits.WATCHED
            if timeout_s is not None and snapshot.now_at - began_at >= timeout_s:
                return exits.OK
    return exits.OK


def _tell(invocation: Invocation, reason: str, at: float) -> None:
    output = invocation.output
    if output.is_json:
        output.json({"holds": reason, "at": at})
    else:
        output.text(reason)

"""`tqconsole events`: the console's Events screen, every event as a line of text, or a camera."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

import click

from tqconsole.cli import exits
from tqconsole.cli.daemon import (
    daemon_options,
    detach,
    is_to_detach,
    settle_privileges,
    take_daemon_options,
    tell_ready,
)
from tqconsole.cli.event_dump import DUMP_CONTEXT, Sieve, dump
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.loading import importing_app
from tqconsole.cli.terminal import has_terminal
from tqconsole.cli.values import DURATION
from tqconsole.cli.verb import verb as make_verb
from tqconsole.core.event_filter import compile_event_filter
from tqconsole.engine.log import LEVEL_NAMES


@make_verb(
    "events",
    click.Option(["-d", "--dump", "is_dump"], is_flag=True, help="Print events as text."),
    click.Option(
        ["--filter", "expression"],
        help="Only these, in the filter language: type:task-failed, 'name:img runtime>2s'.",
    ),
    click.Option(
        ["--limit"], type=click.IntRange(min=1), help="With --dump: end after so many events."
    ),
    click.Option(["-c", "--camera"], help="Take pictures with this class: module:Class."),
    click.Option(
        ["-F", "--freq", "--frequency", "freq"],
        type=DURATION,
        default=1.0,
        show_default=True,
        help="With --camera: seconds between two pictures.",
    ),
    click.Option(["-r", "--maxrate"], help="With --camera: at most so many, as 10/m."),
    click.Option(
        ["-l", "--loglevel"],
        type=click.Choice(LEVEL_NAMES, case_sensitive=False),
        default="INFO",
        help="With --camera: least level that is logged.",
    ),
    click.Option(["-f", "--logfile"], help="With --camera: log there. Else stderr."),
    click.Option(["--pidfile"], help="With --camera: hold this file while it runs."),
    *daemon_options("--detach"),
)
def verb(invocation: Invocation, **given: Any) -> int:
    """Watch events: a screen; with --dump, or without a terminal, a line for each (with --json a
    JSON object a line). With --camera a class of yours gets pictures of the cluster's state.
    """
    expression = given["expression"] or ""
    if expression and given["camera"]:
        raise click.UsageError("--filter: a camera takes its pictures of the whole")
    check = compile_event_filter(expression, DUMP_CONTEXT)
    daemon = take_daemon_options(given)
    if given["camera"]:
        return _photograph(invocation, daemon, given)
    if is_to_detach(daemon):
        raise click.UsageError("--detach goes with --camera: a screen needs its terminal")
    if given["is_dump"] or invocation.options.json or not has_terminal():
        app = invocation.cluster()
        sieve = Sieve(check) if expression else None
        dump(app.broker, app.mailboxes, invocation.output, given["limit"], sieve)
        return exits.OK
    from tqconsole.cli.console import (  # noqa: PLC0415 - Textual, which a dump does not need
        ConsoleOptions,
        open_console,
    )

    return open_console(invocation, ConsoleOptions(screen="events", events_filter=expression))


def _photograph(invocation: Invocation, daemon: dict[str, Any], given: dict[str, Any]) -> int:
    from tqconsole.engine.app.registry import load_object  # noqa: PLC0415 - few need it
    from tqconsole.engine.events.snapshot import run_camera  # noqa: PLC0415 - few need it
    from tqconsole.engine.log import LogPlan, level_number, setup_logging  # noqa: PLC0415 - as above
    from tqconsole.engine.worker.pidfile import PidfileTakenError, held_pidfile  # noqa: PLC0415 - as above

    if is_to_detach(daemon):
        return detach(invocation, daemon, given["logfile"])
    settle_privileges(daemon)
    invocation.import_modules()
    app = invocation.cluster()
    conf = app.conf
    setup_logging(
        LogPlan(
            level_number(given["loglevel"]),
            conf.worker_log_format,
            conf.worker_task_log_format,
            logfile=given["logfile"] or "",
        )
    )
    with importing_app(given["camera"]):
        kind = load_object(given["camera"])
    camera = kind(app.events.State(), freq=given["freq"], maxrate=given["maxrate"], app=app)
    receiver = app.events.Receiver()
    try:
        with held_pidfile(given["pidfile"]), _stopped_by_signals(receiver):
            app.broker.connect()
            tell_ready(daemon)
            invocation.output.note(f"-> evcam: Taking snapshots with {given['camera']}")
            run_camera(camera, receiver)
    except PidfileTakenError as error:
        invocation.output.error(str(error))
        return exits.CANNOT_CREATE
    finally:
        receiver.close()
    return exits.OK


@contextlib.contextmanager
def _stopped_by_signals(receiver: Any) -> Any:
    """Let TERM and INT end the camera between two pictures."""

    def stop(*_: object) -> None:
        receiver.should_stop = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

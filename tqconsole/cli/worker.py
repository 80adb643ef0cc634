"""`tqconsole worker`: Celery's options under Celery's spellings, handed to the engine's worker."""

from __future__ import annotations

import importlib
import signal
import socket
from typing import Any

import click

from tqconsole.cli import exits
from tqconsole.cli.daemon import (
    daemon_options,
    detach,
    is_to_detach,
    settle_privileges,
    start_again,
    take_daemon_options,
    tell_ready,
)
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.loading import importing_app
from tqconsole.cli.values import AUTOSCALE, COMMA_LIST, DURATION, NAME
from tqconsole.cli.verb import verb as make_verb
from tqconsole.engine.log import LEVEL_NAMES

_COUNT = click.IntRange(min=1)


@make_verb(
    "worker",
    click.Option(
        ["-n", "--hostname"], type=NAME, help="Node name: w1, w1@%h (%h host, %n name, %d domain)."
    ),
    click.Option(
        ["-l", "--loglevel"],
        type=click.Choice(LEVEL_NAMES, case_sensitive=False),
        default="WARNING",
        help="Least level that is logged.",
    ),
    click.Option(["-f", "--logfile"], help="Log there; %i is the child's number. Else stderr."),
    click.Option(["--pidfile"], help="Hold this file with the process's id while it runs."),
    *daemon_options("-D", "--detach"),
    click.Option(["-S", "--statedb"], help="Keep revoked ids and the clock in this file."),
    click.Option(["-c", "--concurrency"], help="How many tasks run at once: a number, or auto."),
    click.Option(
        ["-P", "--pool"],
        help="Where tasks run: prefork (default), threads, solo, asyncio, gevent, eventlet.",
    ),
    click.Option(
        ["--pool-start-method", "start_method"],
        type=click.Choice(["fork", "spawn"]),
        help="How prefork's children start: copied from a clean process (fork, the default), or"
        " as fresh interpreters that import the app (spawn).",
    ),
    click.Option(
        ["-O", "--optimization"],
        type=click.Choice(["default", "fair"]),
        help="Celery's choice; both give a task to whoever is free.",
        expose_value=False,
    ),
    click.Option(
        ["-E", "--task-events", "--events", "task_events"],
        is_flag=True,
        default=None,
        help="Send task events always; without it while somebody listens.",
    ),
    click.Option(
        ["--prefetch-multiplier"],
        type=click.IntRange(min=0),
        help="Tasks fetched ahead for each slot.",
    ),
    click.Option(
        ["--disable-prefetch"], is_flag=True, default=None, help="Fetch for free slots only."
    ),
    click.Option(["--time-limit"], type=DURATION, help="Seconds after which a task is killed."),
    click.Option(["--soft-time-limit"], type=DURATION, help="Seconds after which a task is told."),
    click.Option(
        ["--max-tasks-per-child"], type=_COUNT, help="Tasks after which a child is renewed."
    ),
    click.Option(
        ["--max-memory-per-child"], type=_COUNT, help="KiB after which a child is renewed."
    ),
    click.Option(["--autoscale"], type=AUTOSCALE, help="Bounds of the number of slots: max,min."),
    click.Option(["-Q", "--queues"], type=COMMA_LIST, help="Consume from these queues only."),
    click.Option(["-X", "--exclude-queues"], type=COMMA_LIST, help="Not from these queues."),
    click.Option(["-I", "--include"], type=COMMA_LIST, help="Import these modules too."),
    click.Option(["--purge", "--discard", "purge"], is_flag=True, help="Empty the queues first."),
    click.Option(
        ["--without-gossip"], is_flag=True, help="Do not listen to the other workers' heartbeats."
    ),
    click.Option(["--without-mingle"], is_flag=True, help="Do not ask other workers at start."),
    click.Option(["--without-heartbeat"], is_flag=True, help="Send no heartbeats."),
    click.Option(["--heartbeat-interval"], type=DURATION, help="Seconds between two heartbeats."),
    click.Option(
        ["--grace"],
        type=click.FloatRange(min=0),
        help="Seconds a shutdown waits for running tasks; without it as long as they take.",
    ),
)
def verb(invocation: Invocation, **given: Any) -> int:
    """Run a worker until it is told to stop (Ctrl-C or TERM: finish what runs; QUIT: at once;
    HUP: finish what runs and start anew).

    With --json its log is JSON, one object a line.
    """
    # The worker brings multiprocessing and the pools: `--help` can do without.
    from tqconsole.engine.app.config import with_cwd_on_path  # noqa: PLC0415 - see above
    from tqconsole.engine.worker.options import WorkerOptions  # noqa: PLC0415 - see above
    from tqconsole.engine.worker.pidfile import PidfileTakenError  # noqa: PLC0415 - see above
    from tqconsole.engine.worker.program import RESTART, run_worker  # noqa: PLC0415 - see above

    global_options = invocation.options
    daemon = take_daemon_options(given)
    for name in ("exclude_queues", "include"):
        given[name] = given[name] or ()
    options = WorkerOptions(
        **given,
        color=False if global_options.no_color or global_options.json else None,
        is_quiet=global_options.quiet or global_options.json,
        is_json_log=global_options.json,
    )
    try:
        if is_to_detach(daemon):
            return _detached(invocation, daemon, options)
        settle_privileges(daemon)
        app = invocation.own_app()
        with_cwd_on_path()
        for module in options.include:
            with importing_app(module):
                importlib.import_module(module)
        code = run_worker(app, options, on_waker=lambda _: tell_ready(daemon))
    except PidfileTakenError as error:
        invocation.output.error(str(error))
        return exits.CANNOT_CREATE
    if code == RESTART:
        start_again(invocation)
    for signum in (signal.SIGTERM, signal.SIGINT):
        # It has stopped as it was told: who tells it again must not change how that ended.
        signal.signal(signum, signal.SIG_IGN)
    return code


def _detached(invocation: Invocation, daemon: dict[str, Any], options: Any) -> int:
    """Start the worker in the background. Raises: PidfileTakenError."""
    from tqconsole.engine.worker.nodename import expand_path, node_name  # noqa: PLC0415 - as above
    from tqconsole.engine.worker.pidfile import refuse_taken  # noqa: PLC0415 - as above

    hostname = node_name(options.hostname, socket.gethostname())
    if options.pidfile:
        refuse_taken(expand_path(options.pidfile, hostname))
    return detach(invocation, daemon, expand_path(options.logfile or "", hostname) or None)

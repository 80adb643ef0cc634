"""`worker`: from the command line's options to the exit code.

The order matters. Modules are imported and the app is finalised first, then logging is set up, then
the pool forks its template: everything a child needs is there, and no thread, socket or connection
is. Only then does the worker connect.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any, TextIO

import msgspec

from tqconsole.engine import log, signals
from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.current import get_current_task
from tqconsole.engine.exceptions import ImproperlyConfigured, OperationalError, SecurityError
from tqconsole.engine.pools import find_pool
from tqconsole.engine.pools.base import Pool, PoolOptions
from tqconsole.engine.pools.process import set_process_title
from tqconsole.engine.protocol.transfer import QueueSpec
from tqconsole.engine.routing import worker_direct
from tqconsole.engine.settings_told import contradictions, unheeded
from tqconsole.engine.worker.assembly import Site, Worker
from tqconsole.engine.worker.autoscale import Autoscaler
from tqconsole.engine.worker.banner import Identity, banner
from tqconsole.engine.worker.nodename import expand_path, node_name
from tqconsole.engine.worker.options import (
    WorkerOptions,
    concurrency_of,
    events_mode,
    overrides,
)
from tqconsole.engine.worker.pidfile import held_pidfile
from tqconsole.engine.worker.run import TaskRunner, make_runner
from tqconsole.engine.worker.shortfalls import shortfalls
from tqconsole.engine.worker.spawning import new_program
from tqconsole.engine.worker.waker import SignalWatch, Waker

__all__ = ["RESTART", "WorkerOptions", "run_worker"]

logger = logging.getLogger(__name__)

#: What HUP ends with: nobody's exit code, whoever runs the worker starts it anew.
RESTART = -1
#: Between two attempts to connect at the start, seconds: the first, and the most.
_CONNECT_FIRST_S, _CONNECT_MOST_S = 0.1, 2.0
#: Seconds that the pool's first process may take, at least (a busy machine forks slowly).
_START_S = 10.0


class WorkerInstance(msgspec.Struct, frozen=True):
    """What the signals of a starting worker call `instance`."""

    app: Any
    hostname: str
    options: WorkerOptions


def run_worker(
    app: Any,
    options: WorkerOptions,
    clock: Clock = SYSTEM_CLOCK,
    on_waker: Callable[[Waker], None] | None = None,
) -> int:
    """Run a worker in this process until it is told to stop; return its exit code: 0 after a warm
    shutdown, 1 after a cold one; RESTART when another one is to take its place.

    `on_waker` is given what other threads can stop it by, as soon as there is a loop to stop.
    Raises: ImproperlyConfigured, PidfileTakenError, OperationalError (no broker, and no retry).
    """
    hostname = node_name(options.hostname, socket.gethostname())
    instance = WorkerInstance(app, hostname, options)
    signals.celeryd_init.send(sender=hostname, instance=instance, conf=app.conf, options=options)
    app.conf.override(overrides(options))
    signals.worker_init.send(sender=instance)
    queues = _prepare(app, options, hostname)
    signals.celeryd_after_setup.send(sender=hostname, instance=instance, conf=app.conf)
    with (
        held_pidfile(options.pidfile and expand_path(options.pidfile, hostname)),
        logging_set_up(app, options, hostname) as stdout,
    ):
        _check(app, options)
        pool = _pool(app, options, hostname)
        pool.start()
        with contextlib.closing(Waker()) as waker, SignalWatch(waker) as signal_watch:
            if on_waker is not None:
                on_waker(waker)
            site = _site(instance, queues, clock, waker)
            worker = _assembled(site, pool, signal_watch, stdout)
            code = 0 if worker is None else worker.run(signal_watch)
            return RESTART if signal_watch.is_restart_asked and code == 0 else code


def _prepare(app: Any, options: WorkerOptions, hostname: str) -> list[QueueSpec]:
    """Import and finalise; return the queues to consume from. Raises: ImproperlyConfigured."""
    if options.include:
        app.conf.include = (*app.conf.include, *options.include)
    app.import_modules()
    app.finalize()
    if options.queues:
        app.select_queues(options.queues)
    if options.exclude_queues:
        app.deselect_queues(options.exclude_queues)
    queues: list[QueueSpec] = app.queues()
    if app.conf.worker_direct:
        queues = [*queues, app.queue_spec(worker_direct(hostname))]
    if not queues:
        raise ImproperlyConfigured("no queue is left to consume from (-Q, -X, task_queues)")
    return queues


def _site(instance: WorkerInstance, queues: list[QueueSpec], clock: Clock, waker: Waker) -> Site:
    statedb_path = expand_path(instance.app.conf.worker_state_db or "", instance.hostname)
    return Site(
        instance.app, instance.options, instance.hostname, queues, clock, waker, statedb_path
    )


def _assembled(site: Site, pool: Pool, signal_watch: SignalWatch, stdout: TextIO) -> Worker | None:
    """Say who is there, connect, and put the worker together; None when told to stop meanwhile.

    The pool is ended unless a worker takes it over.
    """
    with contextlib.ExitStack() as unless_taken_over:
        unless_taken_over.callback(pool.stop, 0)
        if threading.current_thread() is threading.main_thread():
            title = f"[celeryd: {site.hostname}:MainProcess] -active- ({' '.join(sys.argv[1:])})"
            set_process_title(title, f"tq-{site.hostname}")
        if not site.options.is_quiet:
            _introduce(site, pool, stdout)
        consumer = _connected(site, signal_watch)
        if consumer is None:
            return None
        lacking = shortfalls(site.app.broker.transport, site.app.broker.capabilities)
        if lacking:
            logger.warning("%s", lacking)
        worker = Worker(site, pool, site.app.broker, consumer)
        unless_taken_over.pop_all()
        return worker


def _connected(site: Site, signal_watch: SignalWatch) -> Consumer | None:
    """Connect, purge if asked to, and begin to consume; None when told to stop meanwhile.

    Raises: ImproperlyConfigured, OperationalError when the settings want no further attempt.
    """
    broker: Broker = site.app.broker
    random = Random()  # noqa: S311 - jitter
    pause_s, first_mono = _CONNECT_FIRST_S, site.clock.mono()
    for attempt_count in itertools.count(1):
        try:
            broker.connect()
            if site.options.purge:
                erased_count = sum(broker.purge(queue.name) for queue in site.queues)
                logger.warning("Purged %s messages", erased_count)
            consumer = broker.consumer(site.queues, site.hostname)
        except OperationalError as error:
            if not _may_retry(site.app.conf, attempt_count):
                raise
            if attempt_count == 1:
                text = "Cannot connect to %s: %s; trying again until it answers"
                logger.error(text, broker.url, error)  # noqa: TRY400 - it says it all
        else:
            if attempt_count > 1:
                logger.warning("The broker answers after %.1fs", site.clock.mono() - first_mono)
            return consumer
        select.select([site.waker], [], [], pause_s * random.uniform(0.5, 1.0))
        site.waker.take()
        if signal_watch.take():
            return None
        pause_s = min(pause_s * 2, _CONNECT_MOST_S)
    return None


def _may_retry(conf: Any, attempt_count: int) -> bool:
    wants = conf.broker_connection_retry_on_startup
    if not (conf.broker_connection_retry if wants is None else wants):
        return False
    most = conf.broker_connection_max_retries
    return not most or attempt_count < most


def _pool(app: Any, options: WorkerOptions, hostname: str) -> Pool:
    conf = app.conf
    name = str(conf.worker_pool)
    pool_class = find_pool(name)
    slot_count = concurrency_of(conf, pool_class.default_slot_count)
    if options.autoscale is not None:
        if not pool_class.can_resize:
            raise ImproperlyConfigured(
                f"--autoscale: the pool {name} cannot be resized. Take -P prefork or threads, or"
                " -c with a fixed number"
            )
        slot_count = max(1, options.autoscale[1])
    if pool_class.can_limit_time is False and (conf.task_time_limit or conf.task_soft_time_limit):
        logger.warning("The pool %s cannot end tasks: time limits are not in force here", name)
    awaits = pool_class.runs_coroutines
    runner = _awaiting_runner(app, hostname) if awaits else make_runner(app, hostname)
    pool_options = child_options(app, runner, options, hostname)
    if (program := new_program(app, options, hostname)) is not None:
        pool_options = msgspec.structs.replace(pool_options, new_program=program)
    run = runner.run_here if pool_class.shares_memory and not awaits else runner
    return pool_class(run, slot_count, pool_options)  # type: ignore[call-arg]  # Pool is the port: how adapters are made is PoolFactory


def child_options(
    app: Any, runner: TaskRunner, options: WorkerOptions, hostname: str
) -> PoolOptions:
    """Return what the settings say of the pool's processes."""
    conf = app.conf
    return PoolOptions(
        max_jobs_per_child=conf.worker_max_tasks_per_child,
        max_memory_per_child_kib=conf.worker_max_memory_per_child,
        start_timeout_s=max(_START_S, conf.worker_proc_alive_timeout or 0),
        on_child_start=lambda: _begin_child(app, runner, options, hostname),
        on_child_stop=runner.stop_child,
        before_fork=runner.before_fork,
    )


def _awaiting_runner(app: Any, hostname: str) -> TaskRunner:
    from tqconsole.engine.worker.run_awaited import AwaitingTaskRunner  # noqa: PLC0415 - brings asyncio

    return AwaitingTaskRunner(app, hostname)


def _begin_child(app: Any, runner: TaskRunner, options: WorkerOptions, hostname: str) -> None:
    """Run in each new child, or once where the pool has none."""
    name = multiprocessing.current_process().name
    if options.logfile and name != "MainProcess" and ("%i" in options.logfile.lower()):
        number = int("".join(filter(str.isdigit, name)) or 0)
        log.reopen(expand_path(options.logfile, hostname, number))
    app.set_current()
    runner.start_child()


@contextlib.contextmanager
def logging_set_up(app: Any, options: WorkerOptions, hostname: str) -> Iterator[TextIO]:
    """Set up logging and redirect prints while the worker lives; hand out the real stdout."""
    conf, level = app.conf, options.level()
    stdout = sys.stdout
    logfile = expand_path(options.logfile or "", hostname)
    told = {
        "loglevel": level,
        "logfile": logfile or None,
        "format": conf.worker_log_format,
        "colorize": options.color,
    }
    if signals.setup_logging.receivers:
        signals.setup_logging.send(sender=None, **told)
    else:
        log.setup_logging(_log_plan(conf, options, level, logfile))
        if options.is_json_log:
            log.write_json()
        signals.after_setup_logger.send(sender=None, logger=logging.getLogger(), **told)
        task_logger = logging.getLogger(log.TASK_LOGGER_NAME)
        told["format"] = conf.worker_task_log_format
        signals.after_setup_task_logger.send(sender=None, logger=task_logger, **told)
    redirect_level = str(conf.worker_redirect_stdouts_level) if conf.worker_redirect_stdouts else ""
    with _told_to_children(level, logfile, redirect_level):
        if not redirect_level:
            yield stdout
            return
        with log.redirected_stdouts(log.level_number(redirect_level)):
            yield stdout


@contextlib.contextmanager
def _told_to_children(level: int, logfile: str, redirect_level: str) -> Iterator[None]:
    """Have every process that is begun meanwhile, also one of a task's, find in its environment how
    this one logs, under Celery's names.
    """
    told = {
        "CELERY_LOG_LEVEL": str(level),
        "CELERY_LOG_FILE": logfile,
        "CELERY_LOG_REDIRECT": "1" if redirect_level else "",
        "CELERY_LOG_REDIRECT_LEVEL": redirect_level,
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _log_plan(conf: Any, options: WorkerOptions, level: int, logfile: str) -> log.LogPlan:
    return log.LogPlan(
        level=level,
        process_format=conf.worker_log_format,
        task_format=conf.worker_task_log_format,
        datefmt=conf.worker_log_datefmt,
        task_datefmt=conf.worker_task_log_datefmt,
        logfile=logfile,
        is_coloured=conf.worker_log_color if options.color is None else options.color,
        hijacks_root=bool(conf.worker_hijack_root_logger),
        current_task=_current_task,
    )


def _current_task() -> tuple[str, str] | None:
    task = get_current_task()
    return None if task is None else (task.name, str(task.request.id))


def _check(app: Any, options: WorkerOptions) -> None:
    """Refuse what is unsafe or cannot work. Raises: ImproperlyConfigured, SecurityError."""
    if sys.platform != "win32" and os.geteuid() == 0:
        reads_pickle = "application/x-python-serialize" in app.accept_content
        if reads_pickle and not os.environ.get("C_FORCE_ROOT"):
            raise SecurityError(
                "This worker would read pickle as root: whoever reaches the broker could run"
                " anything. Use another user (or set C_FORCE_ROOT=1 if you must)."
            )
        logger.warning("This worker runs as root, and so do its tasks: another user is safer")
    if app.conf.old_names:
        logger.warning(
            "The configuration has old names (%s): `tqconsole upgrade settings FILE` renames them",
            ", ".join(app.conf.old_names),
        )
    told = unheeded(app.conf, app.broker.transport, app.backend.url)
    for line in (*contradictions(app.conf), *told):
        logger.warning("%s", line)
    if app.conf.worker_prefetch_multiplier < 0:
        raise ImproperlyConfigured("worker_prefetch_multiplier is 0 (no limit) or more")
    if options.autoscale is not None:
        try:
            Autoscaler(*options.autoscale)
        except ValueError as error:
            raise ImproperlyConfigured(str(error)) from error


def _introduce(site: Site, pool: Pool, stdout: TextIO) -> None:
    """Print the banner to stdout, as Celery does, and which broker it is and why to stderr."""
    app, options, conf = site.app, site.options, site.app.conf
    level = options.level()
    task_names = None
    if level <= logging.INFO:
        task_names = [
            name for name in app.tasks if level <= logging.DEBUG or not name.startswith("celery.")
        ]
    concurrency = str(pool.slot_count)
    if options.autoscale is not None:
        concurrency = f"{{min={options.autoscale[1]}, max={options.autoscale[0]}}}"
    identity = Identity(
        hostname=site.hostname,
        app_text=f"{app.main or '__main__'}:{id(app):#x}",
        broker_url=app.broker.url,
        backend_url=app.backend.url,
        concurrency=concurrency,
        pool_name=str(conf.worker_pool),
        events_mode=events_mode(conf),
        queues=site.queues,
        task_names=task_names,
    )
    stdout.write(banner(identity, datetime.fromtimestamp(site.clock.now(), UTC).astimezone()))
    stdout.flush()
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"broker: {app.broker.url} ({app.broker_resolved.reason})\n")

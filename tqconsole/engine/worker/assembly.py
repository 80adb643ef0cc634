"""Puts a worker together around a pool that runs: broker, machine, heart, panel, loop.

Called after the pool has forked its template, because everything made here has threads, sockets or
files that a child must not inherit.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import msgspec

from tqconsole.engine import signals
from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.brokers.resolution import note_worker
from tqconsole.engine.clock import Clock
from tqconsole.engine.events.dispatcher import Dispatcher
from tqconsole.engine.exceptions import EngineError, OperationalError
from tqconsole.engine.middleware.chords import return_part
from tqconsole.engine.pools.base import Pool
from tqconsole.engine.pools.trimming import make_trimmer
from tqconsole.engine.protocol.transfer import QueueSpec
from tqconsole.engine.worker.absence import Absence
from tqconsole.engine.worker.autoscale import Autoscaler
from tqconsole.engine.worker.carrier import Carrier, Rim
from tqconsole.engine.worker.gossip import LOOK_S, TRANSPORTS, Gossip, is_worth_hearing
from tqconsole.engine.worker.handed import HandedNotes
from tqconsole.engine.worker.heart import Heart, HeartParts, HeartPlan
from tqconsole.engine.worker.loop import Loop
from tqconsole.engine.worker.loop_parts import LoopParts
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.machine_options import MachineOptions
from tqconsole.engine.worker.mingle import Mingle
from tqconsole.engine.worker.notices import Notices
from tqconsole.engine.worker.options import WorkerOptions, busy_poll_s, events_mode
from tqconsole.engine.worker.panel import PanelParts, WorkerPanel
from tqconsole.engine.worker.policies import policies_of
from tqconsole.engine.worker.reading import Reader
from tqconsole.engine.worker.remote import Remote
from tqconsole.engine.worker.revoked_records import RevokedRecords
from tqconsole.engine.worker.run import make_failure_links, make_fallout
from tqconsole.engine.worker.statedb import StateFile
from tqconsole.engine.worker.turns import TURNS_S, Turns, check_shared
from tqconsole.engine.worker.values import Happening, LossReported, RevokeAsked
from tqconsole.engine.worker.waker import SignalWatch, Waker
from tqconsole.engine.worker.window import MAX_BATCH, MAX_INLINE_BATCH
from tqconsole.engine.worker.writing import Writing

logger = logging.getLogger(__name__)

#: Deaths after which a task is a dead letter (reliability.md row 6).
MAX_DEATHS = 5
_AUTOSCALE_S = 1.0
_MINGLE_S = 0.1
_SAVE_S = 10.0
#: Between two looks at the memory, and how much later an idle worker may look.
_TRIM_S, _TRIM_SLACK_S = 1.0, 5.0


class Site(msgspec.Struct, frozen=True):
    """Where and as what a worker runs."""

    app: Any
    options: WorkerOptions
    hostname: str
    queues: Sequence[QueueSpec]
    clock: Clock
    waker: Waker
    #: The state file's path with its marks expanded, "" for none.
    statedb_path: str = ""


class Worker:
    """One worker from its connection to its end."""

    def __init__(self, site: Site, pool: Pool, broker: Broker, consumer: Consumer) -> None:
        app = site.app
        self._site = site
        self._pool = pool
        self._broker = broker
        self._consumer = consumer
        self._dispatcher = Dispatcher(
            broker, site.hostname, site.clock, app.clock, mailboxes=app.mailboxes
        )
        self._reader = Reader(app.accept_content, app.timezone)
        bounds = site.options.autoscale
        self._autoscaler = Autoscaler(*bounds) if bounds else None
        self._state = StateFile(site.statedb_path) if site.statedb_path else None
        options = _machine_options(site, pool, broker)
        self._handed_notes = (
            HandedNotes(app.backend, site.hostname, app) if options.notes_handed else None
        )
        policies = policies_of(app)
        has_shared_rates = check_shared(list(policies.values()), app.backend)
        self._machine = Machine(
            options,
            policies,
            Random(),  # noqa: S311 - jitter
            Writing(
                app.result_write,
                make_failure_links(app, site.hostname),
                make_fallout(app, site.hostname),
            ),
        )
        self._absence = Absence(site.clock)
        self._heart = Heart(
            HeartParts(
                broker,
                consumer,
                self._dispatcher,
                site.waker,
                site.clock,
                self._absence,
                self._counts,
            ),
            _heart_plan(site, broker),
        )
        self._carrier = self._make_carrier()
        self._panel = self._make_panel()
        is_controlled = app.conf.worker_enable_remote_control and broker.capabilities.can_fanout
        self._remote = Remote(broker, self._panel, app.mailboxes) if is_controlled else None
        self._loop = self._make_loop()
        if has_shared_rates:
            turns = Turns(self._machine, app.backend, site.clock)
            self._loop.add_chore("turns of the cluster", TURNS_S, turns.take)
        self._greeting: Mingle | None = None
        self._gossip = _make_gossip(site, broker, self._remote)

    def _make_carrier(self) -> Carrier:
        site, app = self._site, self._site.app
        return Carrier(
            Rim(
                site.hostname,
                self._consumer,
                app.backend,
                self._pool,
                self._reader,
                self._dispatcher,
                Notices(app, site.hostname),
                RevokedRecords(app, site.clock),
                None if app.write_broker is app.broker else app.write_broker,
                self._handed_notes,
                partial(return_part, app),
                self._absence,
            )
        )

    def _make_panel(self) -> WorkerPanel:
        site = self._site
        return WorkerPanel(
            PanelParts(
                site.app,
                site.hostname,
                self._machine.hand,
                self._pool,
                self._broker,
                self._consumer,
                self._heart,
                site.clock,
                self._tell,
                {queue.name: queue for queue in site.queues},
                self._autoscaler,
            )
        )

    def _make_loop(self) -> Loop:
        site = self._site
        parts = LoopParts(
            self._machine,
            self._carrier,
            self._broker,
            self._consumer,
            self._pool,
            self._reader,
            site.waker,
            site.clock,
            _on_signal,
            float(site.app.conf.worker_soft_shutdown_timeout or 0),
            absence=self._absence,
            busy_poll_s=busy_poll_s(site.app.conf),
        )
        return Loop(parts, self._remote, MAX_DEATHS)

    def run(self, signal_watch: SignalWatch) -> int:
        """Work until told to stop; return the exit code. Raises: ImproperlyConfigured."""
        self._prepare()
        self._heart.start()
        try:
            with self._noted():
                logger.info("%s ready.", self._site.hostname)
                signals.worker_ready.send(sender=self._panel)
                return self._loop.run(signal_watch)
        finally:
            self._end()

    def _tell(self, happening: Happening) -> None:
        self._loop.tell(happening)

    def _counts(self) -> tuple[int, int]:
        hand = self._machine.hand
        return len(hand.running), hand.totals.total()

    def _prepare(self) -> None:
        site = self._site
        if self._state is not None:
            revoked_ids, lamport = self._state.load()
            site.app.clock.adjust(lamport)
            if revoked_ids:
                self._tell(RevokeAsked(revoked_ids))
            self._loop.add_chore("saving the state", _SAVE_S, self._save, _SAVE_S)
        if self._handed_notes is not None:
            self._report_lost(self._handed_notes)
        if self._remote is not None:
            with contextlib.suppress(OperationalError):  # the loop opens it later
                self._remote.open()
        if (trimmer := make_trimmer()) is not None:
            self._loop.add_chore("giving memory back", _TRIM_S, trimmer.look, slack_s=_TRIM_SLACK_S)
        if self._autoscaler is not None:
            self._loop.add_chore("autoscale", _AUTOSCALE_S, self._scale)
        if self._gossip is not None:
            look = self._gossip.look
            self._loop.add_chore("gossip", LOOK_S, look, asks_broker=True)
        if not site.options.without_mingle and self._broker.capabilities.can_fanout:
            mingle = self._greeting = Mingle(
                self._broker,
                site.hostname,
                site.clock,
                site.app.clock,
                self._panel.merge_revoked,
                site.app.mailboxes,
            )
            chore = self._loop.add_chore("mingle", _MINGLE_S, lambda: None, asks_broker=True)
            chore.work = lambda: self._mingle(mingle, chore.rest)

    def _report_lost(self, notes: HandedNotes) -> None:
        """Report what an earlier worker of this name had begun and acknowledged: before this one
        overwrites its notes.
        """
        try:
            lost = notes.lost()
        except OperationalError as error:
            logger.warning("What was lost is not reported, the result store is away: %s", error)
            return
        if lost:
            logger.warning("An earlier %s died with %s tasks", self._site.hostname, len(lost))
            self._tell(LossReported(self._reader.read(lost)))

    def _mingle(self, mingle: Mingle, rest: Callable[[], None]) -> None:
        if not mingle.has_asked:
            mingle.ask(self._panel.revoked_ids())
        mingle.poll()
        if not mingle.is_open:
            rest()

    def _save(self) -> None:
        if self._state is not None:
            self._state.save(self._panel.revoked_ids(), self._site.app.clock.value)

    def _scale(self) -> None:
        hand, pool = self._machine.hand, self._pool
        if self._autoscaler is None or hand.is_stopping:
            return
        in_hand_count = len(hand.running) + len(hand.ready)
        change = self._autoscaler.change(pool.slot_count, in_hand_count, self._site.clock.mono())
        if change > 0:
            logger.info("Scaling up %s processes.", change)
            pool.grow(change)
        elif change < 0:
            logger.info("Scaling down %s processes.", -change)
            pool.shrink(-change)
        if change:
            self._loop.look_at_pool()

    @contextlib.contextmanager
    def _noted(self) -> Any:
        """Leave a note while it lives, by which an empty queue can say where a worker is."""
        path = None
        if self._broker.transport == "sqlite":
            try:
                path = note_worker(self._broker.url, self._site.hostname, os.getpid(), os.environ)
            except OSError as error:
                logger.debug("No note of this worker: %s", error)
        try:
            yield
        finally:
            if path is not None:
                path.unlink(missing_ok=True)

    def _end(self) -> None:
        """Let go of everything, in the order of who needs whom; a failure of one stops no other."""
        steps: list[Callable[[], object]] = [
            self._save,
            self._heart.stop,
            self._carrier.stop_pool,
            self._consumer.close,
        ]
        if self._remote is not None:
            steps.append(self._remote.lose)
        if self._gossip is not None:
            steps.append(self._gossip.close)
        if self._greeting is not None:
            steps.append(self._greeting.close)  # one that stops in its first second is still at it
        for step in steps:
            try:
                step()
            except EngineError as error:
                logger.warning("While stopping: %s", error)
        signals.worker_shutdown.send(sender=self._panel)


def _make_gossip(site: Site, broker: Broker, remote: Remote | None) -> Gossip | None:
    if site.options.without_gossip or broker.transport not in TRANSPORTS:
        return None
    if not is_worth_hearing():
        return None
    app = site.app
    find_host = None if remote is None else lambda: remote.subscription
    return Gossip(broker, site.hostname, site.clock, app.clock, app.mailboxes, find_host)


def _on_signal(signum: Any, is_cold: bool) -> None:  # noqa: FBT001 - as SignalWatch tells it
    how = "Cold" if is_cold else "Warm"
    logger.warning("worker: %s shutdown (MainProcess) on %s", how, signum.name)
    if signum.name == "SIGINT" and not is_cold:
        logger.warning("worker: Hitting Ctrl+C again will end what still runs")
    signals.worker_shutting_down.send(
        sender=None, sig=signum.name, how=how.lower(), exitcode=int(is_cold)
    )


def _machine_options(site: Site, pool: Pool, broker: Broker) -> MachineOptions:
    conf = site.app.conf
    backend = site.app.backend
    return MachineOptions(
        hostname=site.hostname,
        prefetch_multiplier=int(conf.worker_prefetch_multiplier),
        fetches_ahead=not conf.worker_disable_prefetch,
        can_park=broker.capabilities.can_park,
        stores_results=backend.is_enabled,
        store_rides=backend.rides_on(broker.place),
        max_batch=MAX_INLINE_BATCH if pool.is_inline else MAX_BATCH,
        follows_batches=pool.takes_behind,
        # Where a run holds the loop there is nothing to hand over meanwhile.
        starts_beside=broker.capabilities.can_start_beside and not pool.is_inline,
        max_deaths=MAX_DEATHS,
        grace_s=site.options.grace,
        notes_handed=not broker.capabilities.keeps_handed
        and backend.is_enabled
        and backend.is_readable_by_others
        and backend.can_keep_keys,
        store_patience=site.app.store_patience,
        is_result_extended=bool(conf.result_extended),
        no_ack_queues=site.app.no_ack_queues,
        logs_info=logging.getLogger("tqconsole.worker").isEnabledFor(logging.INFO),
        tells_received=bool(signals.task_received.receivers),
    )


def _heart_plan(site: Site, broker: Broker) -> HeartPlan:
    options = site.options
    interval_s = options.heartbeat_interval or 2.0
    return HeartPlan(
        renew_s=broker.renew_interval_s,
        heartbeat_s=None if options.without_heartbeat else interval_s,
        events_mode=events_mode(site.app.conf),
        events=site.app.mailboxes.events,
    )

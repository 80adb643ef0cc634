"""The worker's mind: happenings in, actions out. No threads, sockets, clocks or logging.

Every cycle makes at most one exchange with the broker: it settles what has ended, writes down what
is about to start, and fetches up to the window. The same code runs in production, in unit tests and
in a seeded simulation. One thread (the loop's) calls `step`.

The phases are files of their own: `admission` (arrivals), `handing` (slots), `ending` (ends);
what they share is `hand.Hand`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from tqconsole.engine.pools.base import JobLost, JobStarted
from tqconsole.engine.protocol.transfer import Verdict
from tqconsole.engine.worker.admission import Admission
from tqconsole.engine.worker.ending import Endings
from tqconsole.engine.worker.exchanging import Exchanging
from tqconsole.engine.worker.forfeits import Forfeits
from tqconsole.engine.worker.hand import Hand
from tqconsole.engine.worker.handing import Handing
from tqconsole.engine.worker.machine_options import MachineOptions, TaskPolicy
from tqconsole.engine.worker.rates import SharedBucket
from tqconsole.engine.worker.revokes import carries_stamp
from tqconsole.engine.worker.values import (
    Action,
    Arrived,
    Caught,
    Emit,
    Entry,
    EventsSwitched,
    ExchangeDone,
    ExchangeFailed,
    ExchangeWritten,
    Exit,
    Forfeited,
    Happening,
    KillAll,
    LossReported,
    Notify,
    Now,
    Rang,
    RateSet,
    RecordRevoked,
    RecordsLeft,
    RevokeAsked,
    RunEnded,
    SlotsChanged,
    StampsRevoked,
    StartFailed,
    StartWritten,
    Stop,
    StoreDone,
    StoreFailed,
    Terminate,
    Tick,
    TimeLimitSet,
    Withdrawn,
)
from tqconsole.engine.worker.writing import PLAIN_WRITING, Writing


class Machine:
    """One worker's state machine."""

    def __init__(
        self,
        options: MachineOptions,
        policies: Mapping[str, TaskPolicy],
        random: Random,
        writing: Writing = PLAIN_WRITING,
    ) -> None:
        self._hand = Hand(options, dict(policies))
        self._endings = Endings(self._hand, writing)
        self._forfeits = Forfeits(self._hand)
        self._admission = Admission(self._hand, self._endings, self._forfeits)
        self._handing = Handing(self._hand, self._endings)
        self._exchanging = Exchanging(self._hand, self._handing, self._admission, random)
        self._stopped_mono = 0.0
        self._exit_code = 0
        self._is_cold = False
        self._cold_mono: float | None = None
        self._has_exited = False
        exchanging = self._exchanging
        self._handlers: dict[type, Callable[[Any], None]] = {
            ExchangeWritten: exchanging.written,
            StartWritten: exchanging.start_written,
            StartFailed: exchanging.start_failed,
            ExchangeDone: exchanging.done,
            ExchangeFailed: exchanging.failed,
            Arrived: exchanging.arrived,
            Caught: lambda caught: self._admission.admit(caught.arrivals),
            Forfeited: self._on_forfeited,
            StoreDone: exchanging.stored,
            StoreFailed: exchanging.not_stored,
            Rang: exchanging.ring,
            SlotsChanged: self._on_slots,
            JobStarted: self._on_started,
            RunEnded: self._on_ended,
            JobLost: self._on_lost,
            Withdrawn: lambda withdrawn: self._handing.take_back(withdrawn.job_ids),
            RevokeAsked: self._on_revoke,
            RecordsLeft: lambda left: self._record_revoked(left.task_ids),
            StampsRevoked: self._on_stamps,
            RateSet: self._on_rate,
            TimeLimitSet: self._on_time_limit,
            EventsSwitched: self._on_events,
            LossReported: self._on_losses,
            Stop: self._on_stop,
            Tick: lambda _: None,
        }

    @property
    def hand(self) -> Hand:
        """What is in hand, to look at (panel, heartbeat); only `step` changes it."""
        return self._hand

    def shared_rates(self) -> list[tuple[str, SharedBucket]]:
        """Return (task, bucket) of the rates that wait for turns of the whole cluster."""
        return self._admission.shared_buckets()

    @property
    def is_stopping(self) -> bool:
        """True from the first `Stop` on."""
        return self._hand.is_stopping

    @property
    def is_failing(self) -> bool:
        """True while the broker or the result store does not take what is owed."""
        return self._exchanging.is_failing

    def step(self, now: Now, happenings: Sequence[Happening]) -> list[Action]:
        """Take in what happened, in order, and return what to do, in order. Never raises."""
        hand = self._hand
        hand.now = now
        hand.submitted_count = hand.followable_count = 0
        handlers = self._handlers
        for happening in happenings:
            handlers[type(happening)](happening)
        if hand.ended_count:
            hand.window.note_ended(hand.ended_count, now.mono)
            hand.ended_count = 0
        if hand.waiting or hand.held:
            self._admission.release()
        self._handing.break_up()
        if hand.is_stopping:
            self._shut_down()
        else:
            self._handing.fill()
        if hand.unsaved:
            self._exchanging.store()
        self._exchanging.exchange()
        self._exchanging.read()
        if hand.is_stopping:
            self._finish()
        if hand.events:
            hand.actions.append(Emit(hand.events))
            hand.events = []
        actions, hand.actions = hand.actions, []
        return actions

    def next_mono(self) -> float | None:
        """Return when `step` must be called at the latest (monotonic), None for "no hurry"."""
        next_mono = self._handing.next_mono()
        for due_mono in (
            self._admission.next_mono(),
            self._exchanging.next_mono(),
            self._cold_mono,
        ):
            if due_mono is not None and (next_mono is None or due_mono < next_mono):
                next_mono = due_mono
        return next_mono

    def _on_forfeited(self, forfeited: Forfeited) -> None:
        self._forfeits.lose(forfeited.tags, self._exchanging.in_flight())

    # --- the pool -----------------------------------------------------------------------------

    def _on_slots(self, slots: SlotsChanged) -> None:
        self._hand.slot_count = slots.slot_count
        # Counted before this step, so what the step has submitted is not in it yet.
        self._hand.free_count = slots.free_count - self._hand.submitted_count
        self._hand.behind_count = slots.behind_count + self._hand.followable_count

    def _on_started(self, started: JobStarted) -> None:
        hand = self._hand
        entry = hand.running.get(started.job_id)
        if entry is None:
            return
        entry.pid = started.pid
        entry.started_at = hand.now.at - (hand.now.mono - started.started_mono)
        if hand.has_listeners:
            self._tell_started(entry)
        if entry.policy.has_request:
            hand.actions.append(Notify("started", entry, entry.delivery))

    def _tell_started(self, entry: Entry) -> None:
        if self._hand.has_listeners and entry.policy.sends_events:
            self._hand.emit("task-started", {"uuid": entry.header.task_id}, entry.started_at)

    def _on_ended(self, ended: RunEnded) -> None:
        entry = self._handing.leave(ended.job_id)
        if entry is None:
            return
        if entry.started_at is None:
            entry.started_at = self._hand.now.at - ended.outcome.runtime_s
            self._tell_started(entry)
        self._hand.ended_count += 1
        self._endings.end(entry, ended.outcome)
        if entry.policy.has_request:
            details = {"outcome": ended.outcome}
            self._hand.actions.append(Notify("ended", entry, entry.delivery, details))

    def _on_lost(self, loss: JobLost) -> None:
        if not loss.was_started and not loss.is_terminated:
            self._handing.take_back([loss.job_id])
            return
        entry = self._handing.leave(loss.job_id)
        if entry is None:
            return
        self._endings.lose(entry, loss)
        is_by_request = entry.signum is not None or (loss.is_terminated and not loss.is_time_limit)
        if entry.policy.has_request and not is_by_request:
            self._hand.actions.append(Notify("lost", entry, entry.delivery, {"loss": loss}))

    # --- commands -----------------------------------------------------------------------------

    def _on_revoke(self, asked: RevokeAsked) -> None:
        hand = self._hand
        hand.revokes.add(asked.task_ids, hand.now.mono)
        task_ids = set(asked.task_ids)
        entries = self._revoke_in_hand(lambda entry: entry.header.task_id in task_ids)
        for entry in hand.running.values():
            if entry.header.task_id in task_ids:
                entries.append(entry)
                self._handing.withdraw_revoked(entry)
                if asked.signum is not None:
                    entry.signum = asked.signum
                    hand.actions.append(Terminate(entry.job_id, asked.signum))
        if asked.is_recorded:
            seen_ids = {entry.header.task_id for entry in entries} | hand.owed_ids()
            self._record_revoked([each for each in asked.task_ids if each not in seen_ids])

    def _record_revoked(self, task_ids: Sequence[str]) -> None:
        if task_ids and self._hand.options.stores_results:
            self._hand.actions.append(RecordRevoked(task_ids))

    def _on_stamps(self, asked: StampsRevoked) -> None:
        self._hand.revokes.add_stamps(asked.stamps)
        self._revoke_in_hand(lambda entry: carries_stamp(entry.header, asked.stamps))

    def _revoke_in_hand(self, is_meant: Callable[[Entry], bool]) -> list[Entry]:
        """End what has not started; what is being handed over ends when that is written. Return
        both.
        """
        removed = self._hand.remove(is_meant)
        for entry in removed:
            self._endings.revoke(entry)
        leaving = [entry for entry in self._exchanging.in_flight() if is_meant(entry)]
        for entry in leaving:
            entry.is_revoked = True
        return removed + leaving

    def _on_rate(self, asked: RateSet) -> None:
        policies = self._hand.policies
        policy = msgspec.structs.replace(policies[asked.task_name], rate_per_s=asked.rate_per_s)
        policies[asked.task_name] = policy
        self._admission.set_rate(policy)

    def _on_time_limit(self, asked: TimeLimitSet) -> None:
        policies = self._hand.policies
        policies[asked.task_name] = msgspec.structs.replace(
            policies[asked.task_name], hard_limit_s=asked.hard_s, soft_limit_s=asked.soft_s
        )

    def _on_events(self, switched: EventsSwitched) -> None:
        self._hand.has_listeners = switched.is_on

    def _on_losses(self, reported: LossReported) -> None:
        self._endings.report_losses(reported.lost, is_dead=False)
        self._endings.report_losses(reported.dead, is_dead=True)

    # --- the end ------------------------------------------------------------------------------

    def _on_stop(self, stop: Stop) -> None:
        hand = self._hand
        grace_s = hand.options.grace_s if stop.grace_s is None else stop.grace_s
        if not hand.is_stopping and not stop.is_cold and grace_s is not None:
            self._cold_mono = hand.now.mono + grace_s
        if not hand.is_stopping:
            self._stopped_mono = hand.now.mono
        hand.is_stopping = True
        if stop.is_cold:
            self._cold_mono = hand.now.mono

    def _shut_down(self) -> None:
        """Give back what has not begun; at a cold shutdown also end what runs."""
        hand = self._hand
        returned = hand.remove(lambda entry: not entry.is_acked)
        for entry in returned:
            hand.settle(entry.delivery.tag, Verdict.RETURN)
        # What was acknowledged and taken back from behind a slow task still runs.
        self._handing.fill()
        if self._cold_mono is not None and hand.now.mono >= self._cold_mono:
            self._go_cold()

    def _go_cold(self) -> None:
        hand = self._hand
        self._cold_mono = None
        if self._is_cold:
            return
        self._is_cold = True
        self._exit_code = 1
        hand.actions.append(KillAll())
        for entry in hand.remove(lambda _: True):
            self._endings.cut_off(entry)
        for job_id in list(hand.running):
            if (running := self._handing.leave(job_id)) is not None:
                self._endings.cut_off(running)

    def _finish(self) -> None:
        hand = self._hand
        if self._has_exited:
            return
        is_settled = self._exchanging.is_idle()
        if not is_settled and (
            hand.running or not self._exchanging.has_given_up(self._stopped_mono)
        ):
            return
        self._has_exited = True
        if not is_settled:
            self._exit_code = 1
            hand.log(
                logging.ERROR,
                "Gave up on a broker or store that does not answer: what was not acknowledged"
                " comes back when this worker's lease ends",
            )
        hand.actions.append(Exit(self._exit_code))

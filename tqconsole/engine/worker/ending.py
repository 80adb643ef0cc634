"""The last phase: what an end means for the message, the record, the events and the log.

Ends come from the child (an outcome), from the pool (a death), from the rules (revoked, expired,
refused, unknown) and from dead workers. Pure: part of the state machine.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence

from tqconsole.engine import states
from tqconsole.engine.exceptions import (
    InvalidTaskError,
    NotRegistered,
    RefusedError,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)
from tqconsole.engine.pools.base import JobLost
from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.limits import Reason
from tqconsole.engine.protocol.result import ResultRecord
from tqconsole.engine.protocol.transfer import Delivery, ResultWrite, Settlement, Verdict
from tqconsole.engine.worker.hand import Debt, Hand
from tqconsole.engine.worker.machine_options import TaskPolicy
from tqconsole.engine.worker.next_attempt import may_retry, next_attempt
from tqconsole.engine.worker.outcome import Outcome
from tqconsole.engine.worker.values import Arrival, Entry, Notify
from tqconsole.engine.worker.writing import Writing

#: Around the repr of a reason that is a text; Celery shows the text itself.
_QUOTES = "'\""


class Endings:
    """Turns every end into settlements, records, events and lines."""

    def __init__(self, hand: Hand, writing: Writing) -> None:
        self._hand = hand
        self._record = writing.record
        self._failure_links = writing.failure_links
        self._fallout = writing.fallout

    # --- the child's word ---------------------------------------------------------------------

    def end(self, entry: Entry, outcome: Outcome) -> None:
        """Settle a run that came back."""
        hand = self._hand
        task_name = entry.policy.task_name
        hand.totals[task_name] += 1
        if outcome.state == states.SUCCESS:
            hand.run_times.note(task_name, outcome.runtime_s)
            self._succeed(entry, outcome)
            return
        if outcome.state == states.REJECTED and outcome.note:
            self._refuse_body(entry, outcome)
            return
        hand.run_times.note(task_name, outcome.runtime_s)
        verdict, reason = self._verdict(entry, outcome)
        hand.settle(
            entry.delivery.tag,
            verdict,
            reason,
            outcome.text if reason else "",
            results=outcome.results,
            publications=outcome.publications,
        )
        if outcome.state == states.REJECTED:
            hand.actions.append(
                Notify("rejected", entry, entry.delivery, {"requeue": outcome.is_requeued})
            )
        if hand.has_listeners and entry.policy.sends_events:
            self._emit_outcome(entry, outcome)
        self._log_outcome(entry, outcome)

    def _succeed(self, entry: Entry, outcome: Outcome) -> None:
        hand = self._hand
        if outcome.results or outcome.publications or hand.forfeited:
            hand.settle(
                entry.delivery.tag,
                Verdict.ACK,
                results=outcome.results,
                publications=outcome.publications,
            )
        else:
            # Nothing comes with it, as with most: not worth the questions.
            hand.settled.append(Settlement(entry.delivery.tag, Verdict.ACK))
        if hand.has_listeners and entry.policy.sends_events:
            self._emit_outcome(entry, outcome)
        if hand.options.logs_info:
            self._log_outcome(entry, outcome)

    def _refuse_body(self, entry: Entry, outcome: Outcome) -> None:
        """End a task whose body the child could not read: it is a dead letter, whatever its ack,
        and a failure for whoever waits.
        """
        # Whether it is part of a chord stood in what cannot be read.
        error = InvalidTaskError(f"{outcome.note}: {outcome.text}")
        self._hand.settle(
            entry.delivery.tag,
            Verdict.DEAD,
            outcome.note,
            outcome.text,
            results=self._failure_record(entry.delivery, entry.header, entry.policy, error),
        )
        self._tell_failed(entry.header, entry.policy, error)

    def _verdict(self, entry: Entry, outcome: Outcome) -> tuple[Verdict, str]:
        policy = entry.policy
        if outcome.state == states.REJECTED:
            if outcome.is_requeued and policy.acks_late:
                return Verdict.RETURN, ""
            if policy.acks_late:
                return Verdict.DEAD, Reason.REJECTED
        elif outcome.state == states.FAILURE and policy.acks_late:
            acks = policy.acks_on_timeout if outcome.is_timeout else policy.acks_on_failure
            if not acks:
                return Verdict.DEAD, Reason.REJECTED
        return Verdict.ACK, ""

    def _emit_outcome(self, entry: Entry, outcome: Outcome) -> None:
        uuid, emit, now_at = entry.header.task_id, self._hand.emit, self._hand.now.at
        # Its word may have come late, with those of a whole batch.
        at = min(now_at, (entry.started_at or now_at) + outcome.runtime_s)
        match outcome.state:
            case states.SUCCESS:
                fields = {"uuid": uuid, "result": outcome.text, "runtime": outcome.runtime_s}
                emit("task-succeeded", fields, at)
            case states.FAILURE | states.RETRY:
                kind = "task-failed" if outcome.state == states.FAILURE else "task-retried"
                fields = {"uuid": uuid, "exception": outcome.text, "traceback": outcome.traceback}
                emit(kind, fields, at)
            case states.REJECTED:
                if not outcome.is_requeued:
                    # It is recorded as a failure, and Celery tells it as one too.
                    text = f"reject requeue=False: {outcome.text.strip(_QUOTES)}"
                    fields = {"uuid": uuid, "exception": text, "traceback": outcome.traceback}
                    emit("task-failed", fields, at)
                emit("task-rejected", {"uuid": uuid, "requeue": outcome.is_requeued}, at)
            case _:
                return

    def _log_outcome(self, entry: Entry, outcome: Outcome) -> None:
        hand = self._hand
        task = f"Task {entry.header.shadow or entry.header.task_name}[{entry.header.task_id}]"
        match outcome.state:
            case states.SUCCESS:
                text = f"{task} succeeded in {outcome.runtime_s:.4f}s: {outcome.text}"
                hand.log(logging.INFO, text)
            case states.FAILURE if outcome.is_expected:
                hand.log(logging.INFO, f"{task} raised expected: {outcome.text}")
            case states.FAILURE:
                text = f"{task} raised unexpected: {outcome.text}"
                hand.log(logging.ERROR, text, outcome.traceback)
            case states.RETRY:
                hand.log(logging.INFO, f"{task} retry: {outcome.note}")
            case states.REJECTED:
                hand.log(logging.WARNING, f"{task} rejected: {outcome.text}")
            case states.IGNORED:
                hand.log(logging.INFO, f"{task} ignored")
            case _:
                hand.log(logging.INFO, f"{task} ended as {outcome.state}")

    # --- the pool's word ----------------------------------------------------------------------

    def lose(self, entry: Entry, loss: JobLost) -> None:
        """Settle a run whose process died."""
        self._hand.totals[entry.policy.task_name] += 1
        if entry.signum is not None or (loss.is_terminated and not loss.is_time_limit):
            self.revoke(entry, is_terminated=True)
        elif loss.is_time_limit:
            limit_s = entry.header.hard_limit_s or entry.policy.hard_limit_s
            verdict = self._failed_verdict(entry, is_acked=entry.policy.acks_on_timeout)
            self._fail(entry, TimeLimitExceeded(limit_s), verdict)
        else:
            self._lose_process(entry, loss)

    def _lose_process(self, entry: Entry, loss: JobLost) -> None:
        hand = self._hand
        error = WorkerLostError(_death_text(loss))
        if entry.policy.retries_lost and may_retry(entry):
            self._retry_lost(entry, error)
        elif not entry.policy.acks_late:
            self._fail(entry, error, Verdict.ACK)
        elif not entry.policy.returns_lost:
            self._fail(
                entry, error, self._failed_verdict(entry, is_acked=entry.policy.acks_on_failure)
            )
        elif entry.delivery.deaths + 1 >= hand.options.max_deaths:
            self._fail(entry, error, Verdict.DEAD)
        else:
            hand.settle(entry.delivery.tag, Verdict.DIED)
            self._emit(entry.policy, "task-rejected", entry.header, requeue=True)
            deaths = entry.delivery.deaths + 1
            hand.log(
                logging.WARNING,
                f"Task {_task(entry.header)} goes back to its queue: {error} (death {deaths} of"
                f" {hand.options.max_deaths})",
            )

    def _retry_lost(self, entry: Entry, error: Exception) -> None:
        """Send the call again as its next attempt, instead of failing it."""
        delivery, header, hand = entry.delivery, entry.header, self._hand
        delay_s = entry.policy.retry_delay_s
        results: tuple[ResultWrite, ...] = ()
        if hand.stores(header, entry.policy, is_error=True):
            results = (self._write(delivery, header, states.RETRY, error),)
        again = next_attempt(delivery, header.retries + 1, hand.now.at + delay_s)
        hand.settle(delivery.tag, Verdict.ACK, results=results, publications=(again,))
        self._emit(entry.policy, "task-retried", header, exception=repr(error), traceback=None)
        hand.log(logging.INFO, f"Task {_task(header)} retry: Retry in {delay_s:g}s: {error!r}")

    def _failed_verdict(self, entry: Entry, *, is_acked: bool) -> Verdict:
        return Verdict.ACK if is_acked or not entry.policy.acks_late else Verdict.DEAD

    def _fail(self, entry: Entry, error: Exception, verdict: Verdict) -> None:
        """End a task as FAILURE by the worker's own word."""
        is_dead = verdict is Verdict.DEAD
        reason = ""
        if is_dead:
            is_lost = isinstance(error, WorkerLostError)
            reason = Reason.WORKER_LOST if is_lost else Reason.REJECTED
        owed = self._owed(entry.delivery, entry.header, entry.policy, error)
        self._hand.settle(
            entry.delivery.tag,
            verdict,
            reason,
            str(error) if is_dead else "",
            results=owed.results,
            publications=owed.publications,
            parts=owed.parts,
        )
        self._tell_failed(entry.header, entry.policy, error)

    # --- the rules' word ----------------------------------------------------------------------

    def revoke(
        self, entry: Entry, *, is_expired: bool = False, is_terminated: bool = False
    ) -> None:
        """End a task as REVOKED: flagged, expired or terminated."""
        hand, header = self._hand, entry.header
        word = "expired" if is_expired else "terminated" if is_terminated else "revoked"
        error = TaskRevokedError(word)
        results: tuple[ResultWrite, ...] = ()
        if hand.stores(header, entry.policy, is_error=False):
            results = (self._write(entry.delivery, header, states.REVOKED, error),)
        after = self._fallout(entry.delivery, header, states.REVOKED, error)
        results = (*results, *after.results)
        hand.settle(entry.delivery.tag, Verdict.ACK, results=results, parts=after.parts)
        details = {"terminated": is_terminated, "signum": entry.signum, "expired": is_expired}
        self._emit(entry.policy, "task-revoked", header, **details)
        hand.actions.append(Notify("revoked", entry, entry.delivery, details))
        text = f"Discarding {word} task: {_task(header)}"
        hand.log(logging.ERROR if is_terminated else logging.INFO, text)

    def refuse(self, delivery: Delivery, error: RefusedError) -> None:
        """Send a message that is no task to the dead letters."""
        hand = self._hand
        hand.settle(delivery.tag, Verdict.DEAD, error.reason, error.detail)
        hand.actions.append(Notify("rejected", None, delivery, {"requeue": False}))
        hand.log(
            logging.ERROR, f"Refused a message from queue {delivery.queue}: {error} (dead letter)"
        )

    def refuse_killer(self, entry: Entry) -> None:
        """Fail a task that has killed often enough; where a broker gives back by itself, nobody has
        done so before.
        """
        text = f"the process that ran it died {entry.delivery.deaths} times"
        self._fail(entry, WorkerLostError(text), Verdict.DEAD)

    def refuse_unknown(self, delivery: Delivery, header: TaskHeader) -> None:
        """Fail a task that nobody registered here, and keep its message as a dead letter."""
        hand = self._hand
        error = NotRegistered(header.task_name)
        owed = self._owed(delivery, header, None, error)
        hand.settle(
            delivery.tag,
            Verdict.DEAD,
            Reason.UNKNOWN_TASK,
            header.task_name,
            results=owed.results,
            publications=owed.publications,
            parts=owed.parts,
        )
        if hand.has_listeners:
            fields = {"uuid": header.task_id, "exception": repr(error)}
            hand.emit("task-failed", fields)
        hand.actions.append(Notify("unknown", None, delivery, {"header": header, "exc": error}))
        hand.log(
            logging.ERROR,
            f"Received unregistered task {_task(header)} from queue {delivery.queue}: it is a dead"
            " letter now. Is its module imported by this worker (include, imports)?",
        )

    def report_losses(self, lost: Sequence[Arrival], *, is_dead: bool) -> None:
        """Record what a dead worker had and nobody will run again. What is lost is in our hands
        until its record is there; what is dead has left them.
        """
        hand = self._hand
        for delivery, header in lost:
            owed = Debt(None, (), ())
            if not isinstance(header, RefusedError):
                error = WorkerLostError(
                    f"Worker died {delivery.deaths} times while it ran this task"
                    if is_dead
                    else "Worker died while it ran this task, which was acknowledged before"
                )
                policy = hand.policies.get(header.task_name)
                owed = self._owed(delivery, header, policy, error)
                self._tell_failed(header, policy, error)
            if not is_dead:
                owed.settlement = Settlement(delivery.tag, Verdict.ACK)
            hand.owe(owed)

    def cut_off(self, entry: Entry) -> None:
        """End what ran at a cold shutdown: late ack goes back uncounted, early ack is reported."""
        if entry.policy.acks_late:
            self._hand.settle(entry.delivery.tag, Verdict.RETURN)
            self._emit(entry.policy, "task-cancelled", entry.header)
            return
        self._hand.totals[entry.policy.task_name] += 1
        self._fail(
            entry, WorkerLostError("Worker was shut down while it ran this task"), Verdict.ACK
        )

    # --- what they share ----------------------------------------------------------------------

    def _tell_failed(self, header: TaskHeader, policy: TaskPolicy | None, error: Exception) -> None:
        self._emit(policy, "task-failed", header, exception=repr(error), traceback=None)
        self._hand.log(logging.ERROR, f"Task {_task(header)} raised unexpected: {error!r}")

    def _emit(
        self, policy: TaskPolicy | None, kind: str, header: TaskHeader, **fields: object
    ) -> None:
        if self._hand.has_listeners and (policy is None or policy.sends_events):
            self._hand.emit(kind, {"uuid": header.task_id, **fields})

    def _owed(
        self, delivery: Delivery, header: TaskHeader, policy: TaskPolicy | None, error: Exception
    ) -> Debt:
        """Return what a failure by the worker's own word owes, beside its settlement."""
        after = self._fallout(delivery, header, states.FAILURE, error)
        return Debt(
            None,
            (*self._failure_record(delivery, header, policy, error), *after.results),
            self._failure_links(delivery, header, error),
            after.parts,
        )

    def _failure_record(
        self, delivery: Delivery, header: TaskHeader, policy: TaskPolicy | None, error: Exception
    ) -> tuple[ResultWrite, ...]:
        if not self._hand.stores(header, policy, is_error=True):
            return ()
        return (self._write(delivery, header, states.FAILURE, error),)

    def _write(
        self, delivery: Delivery, header: TaskHeader, state: str, error: Exception
    ) -> ResultWrite:
        options = self._hand.options
        extended = {}
        if options.is_result_extended:
            extended = {
                "name": header.task_name,
                "worker": options.hostname,
                "retries": header.retries,
                "queue": delivery.routing_key or delivery.queue,
            }
        record = ResultRecord(
            task_id=header.task_id,
            state=state,
            result=error,
            traceback=None,
            children=None if state == states.REVOKED else [],
            date_done_at=self._hand.now.at,
            group_id=header.group_id,
            parent_id=header.parent_id,
            extended=extended,
        )
        return self._record(record, header.reply_to)


def _task(header: TaskHeader) -> str:
    return f"{header.shadow or header.task_name}[{header.task_id}]"


def _death_text(loss: JobLost) -> str:
    """Return Celery's words for a death (features.md 4.16)."""
    if loss.signal is not None:
        try:
            name = signal.Signals(loss.signal).name
        except ValueError:
            name = "unknown"
        return f"Worker exited prematurely: signal {loss.signal} ({name}) Job: {loss.job_id}."
    return f"Worker exited prematurely: exitcode {loss.exit_code} Job: {loss.job_id}."

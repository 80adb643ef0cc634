"""The middle phase: which ready tasks go to which free slot together, and what comes back unbegun.

A batch leaves in two steps: its handover is written by an exchange, then it is submitted. So what a
slot holds is always on record, and what died with it is known. Pure: part of the state machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.engine.protocol.transfer import Handover
from tqconsole.engine.worker.ending import Endings
from tqconsole.engine.worker.hand import Hand
from tqconsole.engine.worker.values import Entry, Order, Submit, Withdraw
from tqconsole.engine.worker.window import BATCH_S

#: Seconds after which a batch that should have taken one millisecond is taken apart: five times
#: over, so that a busy machine does not do it for nothing.
LATE_S = 0.005


class Handing:
    """Makes batches, submits them, and takes back what waits behind a slow task."""

    def __init__(self, hand: Hand, endings: Endings) -> None:
        self._hand = hand
        self._endings = endings
        self._last_batch_id = 0
        #: Batches of more than one: batch id -> [jobs not ended, submitted at (monotonic)].
        self._crowds: dict[int, list[float]] = {}

    def fill(self) -> None:
        """Make a batch for each free slot, from what is ready."""
        hand = self._hand
        free_count = hand.free_count - len(hand.batches) - hand.in_flight_count
        while free_count > 0 and hand.ready:
            # An equal share for each slot: nobody idles while another has forty.
            batch = self._next_batch(-(-len(hand.ready) // free_count))
            if batch:
                hand.batches.append(batch)
                free_count -= 1

    def _next_batch(self, share: int) -> list[Entry]:
        hand = self._hand
        ready, cost_s = hand.ready, hand.run_times.cost_s
        most, left_s = min(share, hand.options.max_batch), BATCH_S
        batch: list[Entry] = []
        while ready and len(batch) < most:
            entry = ready[0]
            expires_at = entry.header.expires_at
            if expires_at is not None and expires_at <= hand.now.at:
                self._endings.revoke(ready.popleft(), is_expired=True)
                continue
            entry_s = cost_s(entry.policy.task_name)
            if batch and entry_s > left_s:
                break
            batch.append(ready.popleft())
            left_s -= entry_s
            if left_s <= 0:
                break
        return batch

    def handovers(self) -> list[Handover]:
        """Return what the next exchange has to write down for the batches made."""
        return [
            Handover(entry.delivery.tag, not entry.policy.acks_late)
            for batch in self._hand.batches
            for entry in batch
            if not entry.is_handed
        ]

    def submit(self, batches: Sequence[Sequence[Entry]]) -> None:
        """Send batches whose handover is written to the pool; what was revoked or has expired
        meanwhile stays: a broker that is away may have taken its time.
        """
        hand = self._hand
        now_at = hand.now.at
        for batch in batches:
            orders = []
            for entry in batch:
                entry.is_handed = True
                entry.is_acked = not entry.policy.acks_late
                expires_at = entry.header.expires_at
                if entry.is_revoked:
                    self._endings.revoke(entry)
                elif expires_at is not None and expires_at <= now_at:
                    self._endings.revoke(entry, is_expired=True)
                else:
                    orders.append(self._order(entry))
            if orders:
                self._note_batch([order.entry for order in orders])
                hand.free_count -= 1
                hand.submitted_count += 1
                hand.actions.append(Submit(orders, hand.options.logs_info or hand.has_listeners))

    def _order(self, entry: Entry) -> Order:
        hand, header, policy = self._hand, entry.header, entry.policy
        hand.last_job_id += 1
        entry.job_id = hand.last_job_id
        hand.running[entry.job_id] = entry
        hand.late_count += policy.acks_late
        soft_s = policy.soft_limit_s if header.soft_limit_s is None else header.soft_limit_s
        hard_s = policy.hard_limit_s if header.hard_limit_s is None else header.hard_limit_s
        # Zero is "no limit", as in Celery.
        return Order(entry, soft_s or None, hard_s or None)

    def _note_batch(self, batch: Sequence[Entry]) -> None:
        self._last_batch_id += 1
        for entry in batch:
            entry.batch_id = self._last_batch_id
            entry.submitted_mono = self._hand.now.mono
        if len(batch) > 1:
            self._crowds[self._last_batch_id] = [len(batch), self._hand.now.mono]

    def leave(self, job_id: int) -> Entry | None:
        """Take a job off the running ones; None when it is not there (its end was told before)."""
        entry = self._hand.running.pop(job_id, None)
        if entry is None:
            return None
        self._hand.late_count -= entry.policy.acks_late
        crowd = self._crowds.get(entry.batch_id)
        if crowd is not None:
            crowd[0] -= 1
            if crowd[0] <= 1:
                del self._crowds[entry.batch_id]
        return entry

    def take_back(self, job_ids: Sequence[int]) -> None:
        """Put jobs that have not begun back in front of what is ready."""
        entries = [entry for job_id in job_ids if (entry := self.leave(job_id)) is not None]
        for entry in reversed(entries):
            entry.started_at = entry.pid = None
            if entry.is_revoked:
                self._endings.revoke(entry)
            else:
                self._hand.ready.appendleft(entry)

    def withdraw_revoked(self, entry: Entry) -> None:
        """Ask for a revoked job that may not have begun yet."""
        entry.is_revoked = True
        if entry.batch_id in self._crowds:
            self._hand.actions.append(Withdraw())

    def break_up(self) -> None:
        """Ask for what waits behind a task that turned out to be slow."""
        late_mono = self._hand.now.mono - LATE_S
        late_ids = [batch_id for batch_id, crowd in self._crowds.items() if crowd[1] <= late_mono]
        for batch_id in late_ids:
            del self._crowds[batch_id]
        if late_ids:
            self._hand.actions.append(Withdraw())

    def next_mono(self) -> float | None:
        """Return when `break_up` is due next."""
        return min((crowd[1] + LATE_S for crowd in self._crowds.values()), default=None)

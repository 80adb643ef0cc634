"""The middle phase: which ready tasks go to which free slot together, and what comes back unbegun.

A batch leaves in two steps: its handover is written, by an exchange or behind the one under way,
then it is submitted. So what a slot holds is always on record, and what died with it is known.
Pure: part of the state machine.
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
        #: Batches in which something may wait: batch id -> [jobs not ended, submitted at
        #: (monotonic), jobs of it that wait for none of it].
        self._crowds: dict[int, list[float]] = {}

    def fill(self) -> None:
        """Make a batch for each free slot, from what is ready, and one behind each that runs
        short tasks, so that it need not wait for this thread.
        """
        hand = self._hand
        if not hand.ready:
            return
        free_count = hand.free_count - len(hand.batches) - hand.in_flight_count
        # Each batch for a slot that is not free takes one of these places, and makes it less.
        place_count = free_count + hand.behind_count + self._followable_count()
        while hand.ready and place_count > 0:
            if free_count <= 0 and not self._is_short(hand.ready[0]):
                break
            # An equal share for each slot: nobody idles while another has forty.
            slot_count = free_count if free_count > 0 else place_count
            batch = self._next_batch(-(-len(hand.ready) // slot_count))
            if batch:
                hand.batches.append(batch)
                place_count -= 0 if free_count > 0 and self._is_followable(batch) else 1
                free_count -= 1

    def _followable_count(self) -> int:
        """Return how many of the batches that go to free slots may be followed by another."""
        hand = self._hand
        if not hand.batches:
            return 0
        first_count = max(0, hand.free_count - hand.in_flight_count)
        return sum(map(self._is_followable, hand.batches[:first_count]))

    def _is_followable(self, batch: Sequence[object]) -> bool:
        return len(batch) > 1 and self._hand.options.follows_batches

    def _is_short(self, entry: Entry) -> bool:
        """True for what may wait for a moment in a slot, since all that is there is as short."""
        return self._hand.run_times.cost_s(entry.policy.task_name) * 2 < BATCH_S

    def _next_batch(self, share: int) -> list[Entry]:
        hand = self._hand
        ready, cost_s = hand.ready, hand.run_times.cost_s
        most, left_s = min(share, hand.options.max_batch), BATCH_S
        batch: list[Entry] = []
        policy, entry_s = None, 0.0
        while ready and len(batch) < most:
            entry = ready[0]
            expires_at = entry.header.expires_at
            if expires_at is not None and expires_at <= hand.now.at:
                self._endings.revoke(ready.popleft(), is_expired=True)
                continue
            if entry.policy is not policy:
                policy = entry.policy
                entry_s = cost_s(policy.task_name)
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
                self._note_batch(orders, is_behind=hand.free_count <= 0)
                if hand.free_count > 0 and self._is_followable(orders):
                    hand.behind_count += 1
                    hand.followable_count += 1
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

    def _note_batch(self, batch: Sequence[Order], *, is_behind: bool) -> None:
        self._last_batch_id = batch_id = self._last_batch_id + 1
        for order in batch:
            order.entry.batch_id = batch_id
        if len(batch) > 1 or is_behind:
            first_count = 0 if is_behind else 1
            self._crowds[self._last_batch_id] = [len(batch), self._hand.now.mono, first_count]

    def leave(self, job_id: int) -> Entry | None:
        """Take a job off the running ones; None when it is not there (its end was told before)."""
        entry = self._hand.running.pop(job_id, None)
        if entry is None:
            return None
        if entry.policy.acks_late:
            self._hand.late_count -= 1
        crowd = self._crowds.get(entry.batch_id)
        if crowd is not None:
            crowd[0] -= 1
            if crowd[0] <= crowd[2]:
                del self._crowds[entry.batch_id]
        return entry

    def take_back(self, job_ids: Sequence[int]) -> None:
        """Put jobs that have not begun back in front of what is ready; what the broker has taken
        from us meanwhile is somebody else's.
        """
        hand = self._hand
        entries = [entry for job_id in job_ids if (entry := self.leave(job_id)) is not None]
        for entry in reversed(entries):
            entry.started_at = entry.pid = None
            if entry.is_revoked:
                self._endings.revoke(entry)
            elif entry.delivery.tag in hand.forfeited:
                del hand.forfeited[entry.delivery.tag]
            else:
                hand.ready.appendleft(entry)

    def withdraw_revoked(self, entry: Entry) -> None:
        """Ask for a revoked job that may not have begun yet."""
        entry.is_revoked = True
        if entry.batch_id in self._crowds:
            self._hand.actions.append(Withdraw())

    def break_up(self) -> None:
        """Ask for what waits behind a task that turned out to be slow."""
        if not self._crowds:
            return
        late_mono = self._hand.now.mono - LATE_S
        late_ids = [batch_id for batch_id, crowd in self._crowds.items() if crowd[1] <= late_mono]
        for batch_id in late_ids:
            del self._crowds[batch_id]
        if late_ids:
            self._hand.actions.append(Withdraw())

    def next_mono(self) -> float | None:
        """Return when `break_up` is due next."""
        if not self._crowds:
            return None
        return min(crowd[1] + LATE_S for crowd in self._crowds.values())

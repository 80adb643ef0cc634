"""The first phase: what becomes of a delivery when it arrives.

Refused, unknown, expired and revoked ones end here; those with a time or a rate wait (a few here,
the others in the broker); the rest is ready for a slot. Pure: part of the state machine.
"""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.transfer import Verdict
from tqconsole.engine.worker.ending import Endings
from tqconsole.engine.worker.forfeits import Forfeits
from tqconsole.engine.worker.hand import Hand
from tqconsole.engine.worker.machine_options import TaskPolicy
from tqconsole.engine.worker.rates import Bucket, SharedBucket
from tqconsole.engine.worker.values import Arrival, Entry, Notify

#: Seconds until its time below which a task is held here instead of parked: below that a trip to
#: the broker and back costs more than it saves.
HELD_S = 1.0
#: Rate-limited tasks of one name held here: enough that a late look never starves the rate.
HELD_COUNT = 4


class Admission:
    """Lets deliveries in, and lets those through whose time or token has come."""

    def __init__(self, hand: Hand, endings: Endings, forfeits: Forfeits) -> None:
        self._hand = hand
        self._endings = endings
        self._forfeits = forfeits
        self._buckets: dict[str, Bucket] = {
            name: _bucket(policy, policy.rate_per_s)
            for name, policy in hand.policies.items()
            if policy.rate_per_s
        }
        self._sequence = 0

    def admit(self, arrivals: Sequence[Arrival]) -> None:
        """Take in what an exchange brought."""
        hand = self._hand
        if hand.is_stopping:
            for delivery, _ in arrivals:
                hand.settle(delivery.tag, Verdict.RETURN)
            return
        policies, ready, max_deaths = hand.policies, hand.ready, hand.options.max_deaths
        asks_nothing = self._asks_nothing()
        for delivery, header in arrivals:
            if isinstance(header, RefusedError):
                self._endings.refuse(delivery, header)
                continue
            if hand.forfeited and self._forfeits.recognise(delivery, header):
                continue
            policy = policies.get(header.task_name)
            if policy and policy.acks_late and delivery.queue in hand.options.no_ack_queues:
                policy = msgspec.structs.replace(policy, acks_late=False)
            if policy is None:
                self._endings.refuse_unknown(delivery, header)
            elif delivery.deaths >= max_deaths:
                self._endings.refuse_killer(Entry(delivery, header, policy))
            elif asks_nothing and header.expires_at is None and header.eta_at is None:
                ready.append(Entry(delivery, header, policy))
            else:
                self._enter(Entry(delivery, header, policy))

    def _asks_nothing(self) -> bool:
        """Return whether a task without times of its own is ready when it has come: the same for
        all that came with it.
        """
        hand, options = self._hand, self._hand.options
        is_told = options.logs_info or options.tells_received or hand.has_listeners
        return not (is_told or hand.revokes or self._buckets)

    def _enter(self, entry: Entry) -> None:
        hand, header = self._hand, entry.header
        if hand.options.logs_info:
            hand.log(logging.INFO, f"Task {display_name(entry)}[{header.task_id}] received")
        if hand.revokes and hand.revokes.is_revoked(header):
            self._endings.revoke(entry)
            return
        if header.expires_at is not None and header.expires_at <= hand.now.at:
            self._endings.revoke(entry, is_expired=True)
            return
        if hand.options.tells_received:
            hand.actions.append(Notify("received", entry, entry.delivery))
        if hand.has_listeners and entry.policy.sends_events:
            hand.emit("task-received", received_fields(entry))
        if header.eta_at is not None and header.eta_at > hand.now.at:
            self._await_time(entry, header.eta_at)
        elif entry.policy.task_name in self._buckets:
            self._await_token(entry, self._buckets[entry.policy.task_name])
        else:
            hand.ready.append(entry)

    def _await_time(self, entry: Entry, due_at: float) -> None:
        hand = self._hand
        if hand.options.can_park and due_at - hand.now.at > HELD_S:
            hand.parked.append((entry.delivery.tag, due_at))
            return
        self._sequence += 1
        heapq.heappush(hand.waiting, (due_at, self._sequence, entry))

    def _await_token(self, entry: Entry, bucket: Bucket) -> None:
        hand = self._hand
        held = hand.held.get(entry.policy.task_name)
        if not held and bucket.take(hand.now.mono):
            hand.ready.append(entry)
            return
        held_count = len(held) if held else 0
        # Held is what will run within the second, and a few more for slow looks.
        most = max(HELD_COUNT, int(HELD_S / bucket.step_s))
        if hand.options.can_park and held_count >= most:
            turn_at = hand.now.at + bucket.turn_in_s(hand.now.mono, held_count)
            hand.parked.append((entry.delivery.tag, turn_at))
            return
        hand.held.setdefault(entry.policy.task_name, deque()).append(entry)

    def release(self) -> None:
        """Make ready what waited and may start now."""
        hand = self._hand
        waiting = hand.waiting
        while waiting and waiting[0][0] <= hand.now.at:
            entry = heapq.heappop(waiting)[2]
            bucket = self._buckets.get(entry.policy.task_name)
            if bucket is None:
                hand.ready.append(entry)
            else:
                self._await_token(entry, bucket)
        for name in list(hand.held) if hand.held else ():
            self._release_held(name)

    def _release_held(self, name: str) -> None:
        held, bucket = self._hand.held[name], self._buckets.get(name)
        while held and (bucket is None or bucket.take(self._hand.now.mono)):
            self._hand.ready.append(held.popleft())
        if not held:
            del self._hand.held[name]

    def shared_buckets(self) -> list[tuple[str, SharedBucket]]:
        """Return (task, bucket) of the rates that wait for turns of the whole cluster."""
        found = []
        for name, bucket in self._buckets.items():
            if isinstance(bucket, SharedBucket):
                bucket.want(len(self._hand.held.get(name, ())))
                if bucket.wanted_count:
                    found.append((name, bucket))
        return found

    def next_mono(self) -> float | None:
        """Return when `release` will have something next."""
        hand = self._hand
        if not (hand.held or hand.waiting):
            return None
        times = [self._buckets[name].next_mono() for name in hand.held if name in self._buckets]
        if hand.waiting:
            times.append(hand.now.mono + max(0.0, hand.waiting[0][0] - hand.now.at))
        return min(times, default=None)

    def set_rate(self, policy: TaskPolicy) -> None:
        """Take over a policy's new rate, also for what is held already."""
        if policy.rate_per_s:
            self._buckets[policy.task_name] = _bucket(policy, policy.rate_per_s)
        else:
            self._buckets.pop(policy.task_name, None)


def _bucket(policy: TaskPolicy, rate_per_s: float) -> Bucket:
    return SharedBucket(rate_per_s) if policy.is_rate_shared else Bucket(rate_per_s)


def display_name(entry: Entry) -> str:
    """Return the name for logs and events: the call's `shadow`, else the task's."""
    return entry.header.shadow or entry.header.task_name


def received_fields(entry: Entry) -> dict[str, object]:
    """Return task-received's own fields (wire.md §5.3)."""
    header = entry.header
    return {
        "uuid": header.task_id,
        "name": display_name(entry),
        "args": header.argsrepr,
        "kwargs": header.kwargsrepr,
        "root_id": header.root_id,
        "parent_id": header.parent_id,
        "retries": header.retries,
        "eta": iso(header.eta_at),
        "expires": iso(header.expires_at),
    }


def iso(instant_at: float | None) -> str | None:
    """Return an epoch instant as Celery writes it, None for None."""
    return None if instant_at is None else datetime.fromtimestamp(instant_at, UTC).isoformat()

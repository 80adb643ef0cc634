"""The state machine in a seeded world of faults: whatever happens, nothing is lost or done twice.

The world pretends a broker (with failures before it takes effect), a pool whose children die, and
commands, all drawn from one random number generator. At the end everything must be accounted for.
"""

from __future__ import annotations

from random import Random

import pytest

from tqconsole.engine.pools.base import JobLost, JobStarted
from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Delivery, Verdict
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.machine_options import MachineOptions, TaskPolicy
from tqconsole.engine.worker.outcome import Outcome
from tqconsole.engine.worker.values import (
    Action,
    Exchange,
    ExchangeDone,
    ExchangeFailed,
    Exit,
    Happening,
    KillAll,
    Now,
    Order,
    Rang,
    RateSet,
    RevokeAsked,
    RunEnded,
    SlotsChanged,
    Stop,
    Store,
    StoreDone,
    StoreFailed,
    Submit,
    Tick,
    Withdraw,
    Withdrawn,
)

TASKS = {
    "fast": TaskPolicy("fast"),
    "late": TaskPolicy("late", acks_late=True),
    "rated": TaskPolicy("rated", rate_per_s=200.0),
}


class World:
    """Broker, pool and people around one machine."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.rides = self.random.random() < 0.5
        self.machine = Machine(
            MachineOptions(
                "w", store_rides=self.rides, prefetch_multiplier=self.random.choice([0, 1, 4])
            ),
            TASKS,
            Random(seed),
        )
        self.slots = self.random.choice([1, 2, 5])
        self.now = Now(1_800_000_000.0, 100.0)
        self.made_count = 0
        self.queue: list[tuple[Delivery, TaskHeader]] = []
        self.parked: list[tuple[float, tuple[Delivery, TaskHeader]]] = []
        self.in_hand: dict[str, tuple[Delivery, TaskHeader]] = {}
        self.handed: dict[str, bool] = {}
        self.done: dict[str, str] = {}
        self.pool: list[list[Order]] = []
        self.started: dict[str, int] = {}
        self.is_down = False
        self.has_exited = False
        self.inbox: list[Happening] = [SlotsChanged(self.slots, self.slots)]

    def publish(self) -> None:
        name = self.random.choice(["fast", "fast", "fast", "late", "late", "rated", "nosuch"])
        task_id = f"{name}{self.made_count}"
        self.made_count += 1
        delay_s = self.random.choice([0, 0, 0, 0, 0.3, 5])
        header = TaskHeader(
            task_id=task_id,
            task_name=name,
            root_id=task_id,
            eta_at=self.now.at + delay_s if delay_s else None,
            expires_at=self.now.at + 0.01 if self.random.random() < 0.05 else None,
        )
        self.queue.append((Delivery(task_id, Message(b""), "celery"), header))

    def turn(self) -> None:
        happenings, self.inbox = self.inbox or [Tick()], []
        for action in self.machine.step(self.now, happenings):
            self.carry_out(action)

    def carry_out(self, action: Action) -> None:
        match action:
            case Exchange():
                self.inbox.append(self.exchange(action))
            case Store():
                is_away = self.is_down or self.random.random() < 0.1
                self.inbox.append(StoreFailed("away") if is_away else StoreDone())
            case Submit():
                self.submit(list(action.orders))
            case Withdraw():
                self.inbox.append(Withdrawn(self.withdraw()))
                self.count()
            case KillAll():
                self.pool.clear()
            case Exit():
                self.has_exited = True
            case _:
                return

    def exchange(self, action: Exchange) -> Happening:
        if self.is_down or self.random.random() < 0.05:
            return ExchangeFailed("away")
        for tag, due_at in action.parked:
            self.parked.append((due_at, self.in_hand.pop(tag)))
        for settlement in action.settled:
            self.settle(settlement.tag, settlement.verdict)
        for handover in action.started:
            assert handover.tag in self.in_hand, "handed over what is not in hand"
            assert handover.tag not in self.handed, "handed over twice"
            self.handed[handover.tag] = handover.is_acked
        due = [each for due_at, each in self.parked if due_at <= self.now.at]
        self.parked = [each for each in self.parked if each[0] > self.now.at]
        self.queue[:0] = due
        taken, self.queue = self.queue[: action.wanted], self.queue[action.wanted :]
        for delivery, header in taken:
            self.in_hand[delivery.tag] = (delivery, header)
        return ExchangeDone(taken)

    def settle(self, tag: str, verdict: Verdict) -> None:
        item = self.in_hand.pop(tag)
        was_acked = self.handed.pop(tag, False)
        match verdict:
            case Verdict.RETURN | Verdict.DIED:
                assert not (was_acked and verdict is Verdict.DIED), "an early ack came back"
                self.queue.insert(0, item)
            case _:
                assert tag not in self.done, "settled twice"
                self.done[tag] = verdict.value

    def submit(self, orders: list[Order]) -> None:
        assert len(self.pool) < self.slots, "more batches than slots"
        for order in orders:
            tag = order.entry.delivery.tag
            assert tag in self.handed, "submitted before its handover was written"
        self.pool.append(orders)
        if self.random.random() < 0.02:
            # The slot died before it took them.
            self.pool.remove(orders)
            self.inbox.append(Withdrawn([order.entry.job_id for order in orders]))
        self.count()

    def withdraw(self) -> list[int]:
        job_ids = [order.entry.job_id for batch in self.pool for order in batch[1:]]
        self.pool = [batch[:1] for batch in self.pool]
        return job_ids

    def count(self) -> None:
        self.inbox.append(SlotsChanged(self.slots, self.slots - len(self.pool)))

    def run_pool(self) -> None:
        """Each slot gets on with its work, or dies of it."""
        for batch in list(self.pool):
            order = batch[0]
            tag = order.entry.delivery.tag
            if self.random.random() < 0.3:
                self.inbox.append(JobStarted(order.entry.job_id, 1, self.now.mono))
            if self.random.random() < 0.6:
                batch.pop(0)
                self.started[tag] = self.started.get(tag, 0) + 1
                is_dead = self.random.random() < 0.05
                self.inbox.append(
                    JobLost(order.entry.job_id, was_started=True, pid=1, signal=9, exit_code=None)
                    if is_dead
                    else RunEnded(order.entry.job_id, Outcome("SUCCESS", 0.00001))
                )
                if is_dead and batch:
                    self.inbox.append(Withdrawn([each.entry.job_id for each in batch]))
                    batch.clear()
            if not batch:
                self.pool.remove(batch)
        self.count()

    def meddle(self) -> None:
        match self.random.randrange(12):
            case 0:
                self.inbox.append(
                    RevokeAsked([f"late{self.random.randrange(self.made_count + 1)}"])
                )
            case 1:
                self.inbox.append(RateSet("rated", self.random.choice([None, 50.0, 500.0])))
            case 2:
                self.is_down = True
            case 3 | 4:
                self.is_down = False
            case _:
                self.inbox.append(Rang())

    def pass_time(self) -> None:
        step_s = self.random.choice([0.0001, 0.001, 0.02, 0.5])
        self.now = Now(self.now.at + step_s, self.now.mono + step_s)

    def live(self, turn_count: int) -> None:
        for _ in range(turn_count):
            for _ in range(self.random.choice([0, 0, 1, 20])):
                self.publish()
            self.meddle()
            self.run_pool()
            self.turn()
            self.pass_time()

    def settle_down(self) -> None:
        """No more faults or tasks: what is there must come to an end."""
        self.is_down = False
        for _ in range(20_000):
            if not (self.queue or self.parked or self.in_hand):
                return
            self.inbox.append(Rang())
            self.run_pool()
            self.turn()
            self.now = Now(self.now.at + 0.05, self.now.mono + 0.05)


@pytest.mark.parametrize("seed", range(60))
def test_everything_published_comes_to_one_end(seed: int) -> None:
    world = World(seed)

    world.live(200)
    world.settle_down()

    assert len(world.done) == world.made_count
    assert not world.machine.hand.running
    fast = [count for tag, count in world.started.items() if not tag.startswith("late")]
    assert all(count == 1 for count in fast), "an early ack ran twice"


@pytest.mark.parametrize("is_cold", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_stop_leaves_everything_settled_or_in_the_queue(seed: int, *, is_cold: bool) -> None:
    world = World(seed)
    world.live(100)

    world.inbox.append(Stop(is_cold))
    for _ in range(2000):
        if world.has_exited:
            break
        world.is_down = False
        world.run_pool()
        world.turn()
        world.pass_time()

    assert world.has_exited
    assert world.in_hand == {}
    assert len(world.done) + len(world.queue) + len(world.parked) == world.made_count

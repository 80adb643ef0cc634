"""What an exchange brought may be read when the next one has left: the broker works meanwhile."""

from __future__ import annotations

from random import Random

from worker_rig import policies

from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Delivery, Verdict
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.machine_options import MachineOptions
from tqconsole.engine.worker.outcome import Outcome
from tqconsole.engine.worker.values import (
    Action,
    Arrival,
    Arrived,
    Caught,
    Exchange,
    ExchangeDone,
    ExchangeWritten,
    Exit,
    Now,
    Rang,
    Read,
    RevokeAsked,
    RunEnded,
    SlotsChanged,
    Stop,
    Submit,
    Tick,
)

NOW = Now(1_800_000_000.0, 1000.0)


def arrivals(*task_ids: str) -> list[Arrival]:
    return [
        (
            Delivery(f"tag-{task_id}", Message(b"[]"), "celery"),
            TaskHeader(task_id, "late", root_id=task_id),
        )
        for task_id in task_ids
    ]


def unread(*task_ids: str) -> list[Delivery]:
    return [delivery for delivery, _ in arrivals(*task_ids)]


def one(actions: list[Action], kind: type) -> Action:
    (found,) = [action for action in actions if type(action) is kind]
    return found


def machine_with_two_ready() -> Machine:
    """One slot runs `a`, `b` is ready, and the exchange that handed `a` over is not answered."""
    machine = Machine(MachineOptions("w1@here", prefetch_multiplier=0), policies(), Random(1))
    machine.step(NOW, [SlotsChanged(1, 1), Rang()])
    machine.step(NOW, [ExchangeDone(arrivals("a", "b"))])
    machine.step(NOW, [ExchangeWritten()])
    return machine


def test_an_exchange_says_whether_there_is_enough_in_hand() -> None:
    machine = Machine(MachineOptions("w1@here", prefetch_multiplier=0), policies(), Random(1))

    first = one(machine.step(NOW, [SlotsChanged(1, 1), Rang()]), Exchange)
    second = one(machine.step(NOW, [ExchangeDone(arrivals("a", "b"))]), Exchange)

    assert isinstance(first, Exchange)
    assert not first.is_ahead
    assert isinstance(second, Exchange)
    assert second.is_ahead


def test_what_came_is_read_behind_the_exchange_that_leaves() -> None:
    machine = machine_with_two_ready()

    actions = machine.step(NOW, [ExchangeDone(unread=unread("c", "d")), Rang()])

    assert [type(action) for action in actions][-2:] == [Exchange, Read]
    assert one(actions, Read) == Read(unread("c", "d"))


def test_what_is_not_read_yet_has_its_place_in_the_window() -> None:
    machine = machine_with_two_ready()

    actions = machine.step(NOW, [ExchangeDone(unread=unread("c", "d")), Rang()])
    exchange = one(actions, Exchange)
    # 200 are the most: `a` runs unacknowledged, `b` is ready, two are not read.
    assert isinstance(exchange, Exchange)
    assert exchange.wanted == 196


def test_it_is_read_once_and_then_ready() -> None:
    machine = machine_with_two_ready()
    machine.step(NOW, [ExchangeDone(unread=unread("c"))])

    again = machine.step(NOW, [Tick()])
    machine.step(NOW, [Arrived(arrivals("c"))])

    assert not [action for action in again if isinstance(action, Read)]
    assert [entry.header.task_id for entry in machine.hand.ready] == ["b", "c"]


def test_what_came_by_itself_is_ready_beside_what_is_not_read() -> None:
    machine = machine_with_two_ready()
    machine.step(NOW, [ExchangeDone(unread=unread("c"))])

    machine.step(NOW, [Caught(arrivals("d"))])
    machine.step(NOW, [Arrived(arrivals("c"))])

    assert [entry.header.task_id for entry in machine.hand.ready] == ["b", "d", "c"]


def test_it_can_be_revoked_before_it_is_read() -> None:
    machine = machine_with_two_ready()
    machine.step(NOW, [ExchangeDone(unread=unread("c"))])

    machine.step(NOW, [RevokeAsked(["c"])])
    machine.step(NOW, [Arrived(arrivals("c"))])

    assert [entry.header.task_id for entry in machine.hand.ready] == ["b"]


def test_a_worker_that_stops_gives_it_back_before_it_ends() -> None:
    machine = Machine(MachineOptions("w1@here", prefetch_multiplier=0), policies(), Random(1))
    machine.step(NOW, [SlotsChanged(1, 0), Rang()])
    actions = machine.step(NOW, [ExchangeDone(unread=unread("c")), Stop()])
    assert not [action for action in actions if isinstance(action, Exit)]

    actions = machine.step(NOW, [Arrived(arrivals("c"))])

    exchange = one(actions, Exchange)
    assert isinstance(exchange, Exchange)
    assert [(it.tag, it.verdict) for it in exchange.settled] == [("tag-c", Verdict.RETURN)]
    actions = machine.step(NOW, [ExchangeDone()])
    assert one(actions, Exit) == Exit(0)


def test_it_is_read_behind_what_slots_wait_for() -> None:
    machine = machine_with_two_ready()
    ended = RunEnded(1, Outcome("SUCCESS", 0.01))

    actions = machine.step(NOW, [ended, SlotsChanged(1, 1), ExchangeDone(unread=unread("c"))])
    assert isinstance(one(actions, Exchange), Exchange)
    assert not [action for action in actions if isinstance(action, Read)]

    actions = machine.step(NOW, [ExchangeWritten()])
    assert [type(action) for action in actions] == [Submit, Read]


def test_what_comes_before_it_is_read_is_read_with_it() -> None:
    machine = machine_with_two_ready()
    ended = RunEnded(1, Outcome("SUCCESS", 0.01))
    machine.step(NOW, [ended, SlotsChanged(1, 1), ExchangeDone(unread=unread("c"))])

    actions = machine.step(NOW, [ExchangeDone(unread=unread("d"))])

    assert one(actions, Read) == Read(unread("c", "d"))
    machine.step(NOW, [Arrived(arrivals("c", "d"))])
    assert [entry.header.task_id for entry in machine.hand.ready] == ["c", "d"]

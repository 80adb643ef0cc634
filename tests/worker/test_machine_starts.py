"""What slots wait for is handed over while an exchange is under way, behind it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from worker_rig import policies

from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Delivery, Handover
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.machine_options import MachineOptions
from tqconsole.engine.worker.outcome import Outcome
from tqconsole.engine.worker.values import (
    Action,
    Arrival,
    Exchange,
    ExchangeDone,
    ExchangeFailed,
    ExchangeWritten,
    Exit,
    Forfeited,
    Happening,
    Now,
    Rang,
    RevokeAsked,
    RunEnded,
    SlotsChanged,
    Start,
    StartFailed,
    StartWritten,
    Stop,
    Submit,
)

NOW = Now(1_800_000_000.0, 1000.0)
#: One slot; the run of `a` in it ends.
ENDED: Sequence[Happening] = (RunEnded(1, Outcome("SUCCESS", 0.01)), SlotsChanged(1, 1))


def arrivals(*task_ids: str) -> list[Arrival]:
    return [
        (
            Delivery(f"tag-{task_id}", Message(b"[]"), "celery"),
            TaskHeader(task_id, "late", root_id=task_id),
        )
        for task_id in task_ids
    ]


def found(actions: Sequence[Action], kind: type) -> list[Action]:
    return [action for action in actions if type(action) is kind]


def submitted(actions: Sequence[Action]) -> list[str]:
    return [
        order.entry.header.task_id
        for action in actions
        if isinstance(action, Submit)
        for order in action.orders
    ]


def busy_machine(*, starts_beside: bool = True) -> Machine:
    """Its one slot runs `a`, `b` is ready, and the exchange that handed `a` over is under way."""
    options = MachineOptions("w1@here", prefetch_multiplier=0, starts_beside=starts_beside)
    machine = Machine(options, policies(), Random(1))
    machine.step(NOW, [SlotsChanged(1, 1), Rang()])
    machine.step(NOW, [ExchangeDone(arrivals("a", "b"))])
    assert submitted(machine.step(NOW, [ExchangeWritten(), SlotsChanged(1, 0)])) == ["a"]
    return machine


def starting_machine() -> Machine:
    """The same when `a` has ended: `b` is being handed over."""
    machine = busy_machine()
    assert found(machine.step(NOW, ENDED), Start) == [
        Start([Handover("tag-b", is_acked=False)]),
    ]
    return machine


def test_a_slot_that_comes_free_waits_for_no_answer() -> None:
    machine = starting_machine()

    actions = machine.step(NOW, [StartWritten()])

    assert submitted(actions) == ["b"]
    assert not found(actions, Exchange), "there is never a second one under way"


def test_it_does_where_the_broker_notes_nothing_meanwhile() -> None:
    machine = busy_machine(starts_beside=False)

    assert not found(machine.step(NOW, ENDED), Start)

    (exchange,) = found(machine.step(NOW, [ExchangeDone()]), Exchange)
    assert isinstance(exchange, Exchange)
    assert exchange.started == [Handover("tag-b", is_acked=False)]


def test_what_could_not_be_noted_goes_with_the_next_exchange() -> None:
    machine = starting_machine()

    actions = machine.step(NOW, [StartFailed()])
    assert not found(actions, Start), "what is under way has failed as well"

    machine.step(NOW, [ExchangeFailed("connection refused")])
    later = Now(NOW.at + 10, NOW.mono + 10)
    (exchange,) = found(machine.step(later, [Rang()]), Exchange)
    assert isinstance(exchange, Exchange)
    assert exchange.started == [Handover("tag-b", is_acked=False)]
    assert submitted(machine.step(later, [ExchangeWritten()])) == ["b"]


@pytest.mark.parametrize("happening", [Forfeited(["tag-b"]), RevokeAsked(["b"])])
def test_what_is_taken_or_revoked_meanwhile_does_not_start(happening: Happening) -> None:
    machine = starting_machine()

    machine.step(NOW, [happening])

    assert submitted(machine.step(NOW, [StartWritten()])) == []


def test_no_slot_is_counted_on_twice() -> None:
    machine = busy_machine()
    machine.step(NOW, [ExchangeDone(arrivals("c"))])
    actions = machine.step(NOW, [Rang()])
    assert not found(actions, Start)

    machine.step(NOW, ENDED)

    assert machine.hand.in_flight_count == 1
    assert [entry.header.task_id for entry in machine.hand.ready] == ["c"]


def test_a_worker_that_stops_waits_for_it() -> None:
    machine = starting_machine()

    actions = machine.step(NOW, [Stop(), ExchangeDone()])
    assert not found(actions, Exit)

    assert submitted(machine.step(NOW, [StartWritten()])) == ["b"]

"""What a turn of the loop does, and what it need not do."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tests.worker.test_worker_loop import make_app, worker
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.worker.loop import Loop
from tqconsole.engine.worker.loop_parts import LoopParts
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.values import Action, ExchangeWritten, Happening, Now, RunEnded, Tick

#: Longer than all that is to be done at the start, seconds.
LATER_S = 0.5


class Selector(selectors.DefaultSelector):
    """Finds what it is told to find, or sleeps as long as it may."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.found: list[Any] = []

    def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
        return fileobj, events, data

    def select(self, timeout: float | None = None) -> list[Any]:
        found, self.found = self.found, []
        self._clock.sleep(LATER_S if found else timeout or 0.0)
        return [(SimpleNamespace(data=data), selectors.EVENT_READ) for data in found]


def idle_loop() -> tuple[Loop, Selector, list[Sequence[Happening]]]:
    """A loop with nothing to do, its selector, and what its machine is stepped for."""
    steps: list[Sequence[Happening]] = []

    def step(_: Now, happenings: Sequence[Happening]) -> list[Action]:
        steps.append(happenings)
        return []

    def nothing(*_: object) -> list[Any]:
        return []

    def never() -> None:
        return None

    clock = ManualClock()
    selector = Selector(clock)
    hand = SimpleNamespace(running={})
    parts: Any = SimpleNamespace(
        machine=SimpleNamespace(step=step, next_mono=never, is_stopping=False, hand=hand),
        carrier=SimpleNamespace(
            news=nothing, caught=nothing, carry_out=nothing, flush_events=nothing,
            finish_exchange=nothing, has_submitted=False, is_awaiting=False,
        ),
        broker=SimpleNamespace(
            give_back_interval_s=60.0, capabilities=SimpleNamespace(can_give_back=False)
        ),
        consumer=SimpleNamespace(
            fileno=lambda: 7, take_ring=nothing, prepare_wait=nothing, next_due_at=never
        ),
        pool=SimpleNamespace(
            filenos=nothing, next_deadline_mono=never, shares_memory=True, is_inline=True
        ),
        reader=None, waker=None, clock=clock, on_signal=nothing, selector=selector,
    )  # fmt: skip
    given = {name: getattr(parts, name) for name in vars(parts)}
    loop = Loop(LoopParts(**given), None, 5)
    loop.begin()
    return loop, selector, steps


NO_SIGNALS: Any = SimpleNamespace(take=list)


def test_what_wakes_the_loop_and_is_no_news_makes_no_step() -> None:
    loop, selector, steps = idle_loop()
    loop.turn(NO_SIGNALS)
    steps.clear()

    heard: list[str] = []
    selector.found = [lambda: heard.append("nothing new")]
    loop.turn(NO_SIGNALS)
    assert heard
    assert not steps

    selector.found = [lambda: loop.tell(Tick())]
    loop.turn(NO_SIGNALS)
    assert len(steps) == 1


def test_sleep_that_nothing_ended_makes_a_step() -> None:
    loop, _, steps = idle_loop()
    loop.turn(NO_SIGNALS)
    steps.clear()

    loop.turn(NO_SIGNALS)

    assert len(steps) == 1


def test_what_ended_in_the_loops_thread_leaves_in_the_turn_that_ran_it(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    #: A set of kinds for each step, None for each turn.
    told: list[set[type] | None] = []
    turn: Callable[..., None] = Loop.turn
    step: Callable[..., list[Action]] = Machine.step

    def noted_turn(*args: Any) -> None:
        told.append(None)
        turn(*args)

    def noted_step(machine: Machine, now: Now, happenings: Sequence[Happening]) -> list[Action]:
        told.append(set(map(type, happenings)))
        return step(machine, now, happenings)

    monkeypatch.setattr(Loop, "turn", noted_turn)
    monkeypatch.setattr(Machine, "step", noted_step)
    app = make_app(f"memory://{request.node.name}")
    with worker(app, pool="solo"):
        assert app.send_task("add", (2, 2)).get(timeout=20) == 4

    handed = next(at for at, kinds in enumerate(told) if kinds and ExchangeWritten in kinds)
    after = told[handed + 1]
    assert after is not None
    assert RunEnded in after

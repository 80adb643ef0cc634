"""A chord's body runs once, whatever comes twice, late, in another order, or not to its end."""

from __future__ import annotations

import random
from typing import Any

import pytest
from canvas_builder import Builder, canvases
from canvas_model import Oracle, agrees, told
from canvas_rig import Worker
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from test_canvas_laws import EXAMPLES, expected_of

from tqconsole.engine import chord
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.worker.payload import RunPayload
from tqconsole.engine.worker.run_awaited import AwaitingTaskRunner


def bodies(worker: Worker) -> list[Any]:
    return [it for it in worker.ran if it.headers["task"] == "xsum"]


def test_parts_that_come_twice_count_once(worker: Worker, t: Any) -> None:
    result = chord([t.add.s(1, 1), t.add.s(2, 2)], t.xsum.s())()
    worker.fetch()
    first, second = worker.pending
    worker.pending.clear()

    for message in (first, first, second, second, first):
        worker.run_one(message)
    worker.run_all()

    assert result.get(timeout=1) == 6
    assert len(bodies(worker)) == 1


def test_a_part_that_dies_after_its_return_sends_the_body_again(
    worker: Worker, t: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twins carry two marks, and one of them begins."""
    runs: list[Any] = []
    count = worker.app.task(name="count", lazy=False)(lambda values: runs.append(values))
    chord([t.add.s(1, 1)], count.s())()
    worker.fetch()
    part = worker.pending.popleft()
    monkeypatch.setattr(worker.app.backend.joiner, "close_chord", lambda group_id: None)
    worker.run_only(part)
    monkeypatch.undo()

    worker.run_one(part)
    worker.run_one(part)
    worker.run_all()

    assert [it.headers["task"] for it in worker.ran].count("count") == 2
    assert runs == [[2]]


async def test_of_two_bodies_that_are_coroutines_one_begins(worker: Worker, t: Any) -> None:
    runs: list[Any] = []

    @worker.app.task(name="count")
    async def count(values: Any) -> None:
        runs.append(values)

    chord([t.add.s(1, 1)], count.s())()
    worker.fetch()
    worker.run_one(worker.pending.popleft())
    worker.fetch()
    body = worker.pending.popleft()
    key, _ = body.headers["tq_once"]
    twin = Message(body.body, headers={**body.headers, "tq_once": [key, "another"]})
    runner = AwaitingTaskRunner(worker.app, "w1@host")

    ends = [await runner.run_awaited(RunPayload(it, "w1@host")) for it in (body, twin, body)]

    assert [end.state for end in ends] == ["SUCCESS", "IGNORED", "SUCCESS"]
    assert runs == [[2], [2]]


def test_a_body_that_is_delivered_again_runs_again(worker: Worker, t: Any) -> None:
    chord([t.add.s(1, 1)], t.xsum.s())()
    worker.fetch()
    worker.run_one(worker.pending.popleft())
    worker.fetch()
    (body,) = worker.pending

    assert worker.run_only(body).state == "SUCCESS"
    assert worker.run_only(body).state == "SUCCESS"


def test_parts_wait_for_a_store_that_is_away(
    worker: Worker, t: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    joiner = worker.app.backend.joiner
    add_part = joiner.add_part
    tries: list[int] = []

    def failing(*args: Any) -> bool:
        tries.append(1)
        if len(tries) < 4:
            raise OperationalError("away")
        return add_part(*args)

    monkeypatch.setattr(joiner, "add_part", failing)
    result = chord([t.add.s(1, 1)], t.xsum.s())()
    worker.run_all()

    assert result.get(timeout=1) == 2
    assert len(tries) == 4


class Storm:
    """Runs messages in any order; some are run by a worker that dies before it settles them."""

    def __init__(self, worker: Worker, seed: int) -> None:
        self.worker = worker
        self.random = random.Random(seed)

    def run_all(self) -> None:
        worker = self.worker
        deaths = 40
        while worker.fetch():
            at = self.random.randrange(len(worker.pending))
            message = worker.pending[at]
            del worker.pending[at]
            fate = self.random.random() if deaths else 1.0
            if fate < 0.2:
                deaths -= 1
                worker.run_only(message)
                worker.pending.append(message)
            elif fate < 0.3:
                # Delivered twice: its first worker lives after all.
                deaths -= 1
                worker.run_one(message)
                worker.pending.append(message)
            else:
                worker.run_one(message)


stormy = Worker()
stormy_builder = Builder(stormy.app)


@settings(
    max_examples=max(100, EXAMPLES // 2),
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(canvases(), st.integers(0, 2**32))
def test_storms_change_no_value(canvas: Any, seed: int) -> None:
    expected = expected_of(canvas, Oracle())

    stormy.forget_all()
    result = stormy_builder.build(canvas).apply_async((0,))
    Storm(stormy, seed).run_all()

    note(f"{told(result)} should be {expected}")
    assert agrees(expected, result)

"""Whatever a canvas is made of, it comes to what the oracle says: here, and run by workers."""

from __future__ import annotations

import os
from typing import Any

from canvas_builder import Builder, canvases
from canvas_model import Chain, Group, Many, Oracle, Task, agrees, told
from canvas_rig import Worker
from hypothesis import HealthCheck, example, given, note, settings

#: More of them for a night: CANVAS_EXAMPLES=20000.
EXAMPLES = int(os.environ.get("CANVAS_EXAMPLES", "500"))
LAWS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="CANVAS_SEED" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
#: Found by one of 20,000: a group with two steps behind it fails, and the last one hears of it.
TOLD_TWO_STEPS_ON = Chain(
    (
        Group((Task("t0"), Task("t1", "fail"))),
        Group((Task("t2"), Task("t3"))),
        Task("t4", has_errback=True),
    )
)


def expected_of(canvas: Any, oracle: Oracle) -> Any:
    """Return the oracle's word, as the sender is told: see `told_result`."""
    outcome = oracle.run(canvas, 0)
    is_group = isinstance(canvas, Group) and isinstance(outcome, Many)
    if is_group and len(outcome.members) == 1 and isinstance(outcome.members[0], Many):
        return outcome.members[0]
    return outcome


worker = Worker()
builder = Builder(worker.app)
eager = Worker(task_always_eager=True)
eager_builder = Builder(eager.app)


@LAWS
@example(TOLD_TWO_STEPS_ON)
@given(canvases())
def test_workers_and_oracle_agree(canvas: Any) -> None:
    oracle = Oracle()
    expected = expected_of(canvas, oracle)
    builder.events.clear()
    worker.forget_all()

    result = builder.build(canvas).apply_async((0,))
    worker.run_all()

    note(f"{told(result)} should be {expected}")
    assert agrees(expected, result)
    assert builder.events == oracle.events
    runs = [(it.headers["id"], it.headers["retries"], it.headers["task"]) for it in worker.ran]
    assert len(set(runs)) == len(runs)
    assert worker.open_chords() == []


@LAWS
@example(TOLD_TWO_STEPS_ON)
@given(canvases())
def test_eager_and_oracle_agree(canvas: Any) -> None:
    oracle = Oracle()
    expected = expected_of(canvas, oracle)
    eager_builder.events.clear()

    result = eager_builder.build(canvas).apply_async((0,))

    note(f"{told(result)} should be {expected}")
    assert agrees(expected, result)
    assert eager_builder.events == oracle.events

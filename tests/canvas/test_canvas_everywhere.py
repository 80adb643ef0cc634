"""One canvas in every place: by workers on memory and on Redis, eagerly, and in a storm of deaths.

`python -m faults T-CANVAS` shows it ten thousands of them.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from canvas_builder import Builder, canvases
from canvas_model import Oracle, agrees, told
from canvas_rig import RedisWorker, Worker
from hypothesis import example, given, note, settings
from hypothesis import strategies as st
from test_canvas_laws import LAWS, TOLD_TWO_STEPS_ON, expected_of
from test_chords_once import Storm

pytestmark = [pytest.mark.server, pytest.mark.slow]

#: Each place alone is shown more of them by its own test.
COUNT = int(os.environ.get("CANVAS_EXAMPLES", "50"))


class Place:
    """Workers, and what they must say of a canvas."""

    def __init__(self, worker: Worker, builder: Builder) -> None:
        self._worker = worker
        self._builder = builder

    def check(self, canvas: Any, expected: Any, oracle: Oracle) -> None:
        """Run it without mishaps: value or error, links, errbacks, ids, and nothing left behind."""
        worker, events = self._worker, self._builder.events
        events.clear()
        worker.forget_all()

        result = self._builder.build(canvas).apply_async((0,))
        worker.run_all()

        note(f"{told(result)} should be {expected}")
        assert agrees(expected, result)
        assert events == oracle.events
        runs = [(it.headers["id"], it.headers["retries"], it.headers["task"]) for it in worker.ran]
        assert len(set(runs)) == len(runs)
        assert worker.open_chords() == []

    def check_storm(self, canvas: Any, expected: Any, seed: int) -> None:
        """Run it while workers die and messages come twice: value or error."""
        self._worker.forget_all()

        result = self._builder.build(canvas).apply_async((0,))
        Storm(self._worker, seed).run_all()

        note(f"in a storm {told(result)} should be {expected}")
        assert agrees(expected, result)


def on_memory(**settings_given: Any) -> Place:
    worker = Worker(**settings_given)
    return Place(worker, Builder(worker.app))


memory, eager, stormy = on_memory(), on_memory(task_always_eager=True), on_memory()


@settings(LAWS, max_examples=COUNT)
@example(canvas=TOLD_TWO_STEPS_ON, seed=1)
@given(canvas=canvases(), seed=st.integers(0, 2**32))
def test_every_run_agrees_with_the_oracle(
    canvas: Any, seed: int, redis_worker: RedisWorker, redis_builder: Builder
) -> None:
    oracle = Oracle()
    expected = expected_of(canvas, oracle)

    for place in (memory, eager, Place(redis_worker, redis_builder)):
        place.check(canvas, expected, oracle)
    assert redis_worker.keys_for_ever() == []
    stormy.check_storm(canvas, expected, seed)

"""The same law on a real Redis, broker and results on one server."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from canvas_builder import Builder, canvases
from canvas_model import Oracle, Task, agrees, told
from canvas_rig import RedisWorker, names
from hypothesis import example, given, note
from test_canvas_laws import LAWS, TOLD_TWO_STEPS_ON, expected_of

from tqconsole.engine import chord

pytestmark = [pytest.mark.server, pytest.mark.slow]

#: What a server counts of all that it does.
COSTS = ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes")


@LAWS
@example(canvas=TOLD_TWO_STEPS_ON)
@given(canvas=canvases())
@pytest.mark.timeout(600)
def test_redis_and_oracle_agree(
    canvas: Any, redis_worker: RedisWorker, redis_builder: Builder
) -> None:
    oracle = Oracle()
    expected = expected_of(canvas, oracle)
    redis_builder.events.clear()
    redis_worker.forget_all()

    result = redis_builder.build(canvas).apply_async((0,))
    redis_worker.run_all()

    note(f"{told(result)} should be {expected}")
    assert agrees(expected, result)
    assert redis_builder.events == oracle.events
    assert redis_worker.open_chords() == []
    assert redis_worker.keys_for_ever() == []


@pytest.mark.parametrize("fails", [False, True], ids=["body", "errback"])
def test_what_a_chord_ends_in_is_sent_once_whoever_dies(
    redis_worker: RedisWorker,
    redis_builder: Builder,
    monkeypatch: pytest.MonkeyPatch,
    *,
    fails: bool,
) -> None:
    """Also a Celery worker, which knows no marks, cannot run it twice then."""
    app = redis_worker.run_all().app
    part = redis_builder.build(Task("part", "fail" if fails else "tag"))
    body = redis_builder.build(Task("body", has_errback=True))
    chord([part.clone((0,))], body)()
    (message,) = app.broker.peek("celery", 9)
    monkeypatch.setattr(app.backend.joiner, "close_chord", lambda group_id: None)

    for _ in range(3):
        redis_worker.run_only(message)

    sent = [it for it in app.broker.peek("celery", 9) if "tq_once" in it.headers]
    assert names(sent) == ["failed" if fails else "tag"]
    redis_worker.run_all()


@pytest.mark.parametrize("is_ordered", [True, False])
def test_parts_are_kept_as_long_and_in_the_order_that_is_set(
    redis_url: str, *, is_ordered: bool
) -> None:
    url = f"{redis_url.rpartition('/')[0]}/{7 + is_ordered}"
    worker = RedisWorker(url)
    worker.app.conf.update(
        result_chord_expires=77,
        result_backend_transport_options={"result_chord_ordered": is_ordered},
    )
    tag = Builder(worker.app).build(Task("tag"))
    result = chord([tag.clone((number,)) for number in range(3)], tag)()
    *others, last = worker.app.broker.peek("celery", 9)
    worker.run_only(last)
    base = f"celery-taskset-meta-{result.parent.id}"

    with redis.Redis.from_url(url) as link:
        assert link.type(f"{base}.j") == (b"zset" if is_ordered else b"list")
        assert all(0 < link.ttl(f"{base}.{key}") <= 77 for key in "jds")
    for message in others:
        worker.run_only(message)
    worker.run_all()

    order = [0, 1, 2] if is_ordered else [2, 0, 1]
    assert result.get(timeout=1) == ["tag", [["tag", number] for number in order]]
    worker.close()


def test_a_part_costs_the_same_however_many_there_are(redis_url: str) -> None:
    """In commands, and in bytes sent and read: nothing is read again for each part."""
    worker = RedisWorker(f"{redis_url.rpartition('/')[0]}/9")
    tag = Builder(worker.app).build(Task("tag"))

    def cost_of(size: int) -> list[float]:
        with redis.Redis.from_url(redis_url) as link:
            before = link.info("stats")
            result = chord([tag.clone((0,)) for _ in range(size)], tag)()
            worker.run_all()
            after = link.info("stats")
        assert len(result.get(timeout=1)[1]) == size
        return [(after[name] - before[name]) / size for name in COSTS]

    few, many = cost_of(100), cost_of(2_000)

    assert all(large <= small * 1.05 for small, large in zip(few, many, strict=True)), (few, many)
    worker.close()

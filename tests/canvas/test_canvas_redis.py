"""The same law on a real Redis, broker and results on one server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from canvas_builder import Builder, canvases
from canvas_model import Oracle, Task, agrees, told
from canvas_rig import RedisWorker, names
from hypothesis import example, given, note
from test_canvas_laws import LAWS, TOLD_TWO_STEPS_ON, expected_of

from tests.servers.brokers_up import redis_up
from tqconsole.engine import chord

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def redis_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisWorker]:
    with redis_up(tmp_path_factory.mktemp("redis")) as server:
        worker = RedisWorker(server.url)
        yield worker
        worker.close()


@pytest.fixture(scope="module")
def redis_builder(redis_worker: RedisWorker) -> Builder:
    return Builder(redis_worker.app)


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

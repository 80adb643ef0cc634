"""How often a store that fails is asked again, and which results a client keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from client_rig import finish, fresh_url, make_app

from tqconsole.engine.app import App
from tqconsole.engine.backends.memory import MemoryBackend
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.patience import Patience, patience_of
from tqconsole.engine.settings import Settings

ALWAYS = {"result_backend_always_retry": True}


class AwayBackend(MemoryBackend):
    """A store that does not answer the first questions."""

    def __init__(self, away_count: int) -> None:
        super().__init__(fresh_url("cache+memory"))
        self.away_count = away_count
        self.fetch_count = 0

    def fetch(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        self.fetch_count += 1
        if self.fetch_count <= self.away_count:
            raise OperationalError("the store is away")
        return super().fetch(task_ids)


def make(away_count: int, **settings: Any) -> tuple[App, AwayBackend, ManualClock]:
    backend, clock = AwayBackend(away_count), ManualClock()
    app = make_app(backend=backend, clock=clock, **settings)
    finish(app, "a", 4)
    return app, backend, clock


def test_settings_of_milliseconds_become_seconds() -> None:
    conf = Settings({
        **ALWAYS,
        "result_backend_base_sleep_between_retries_ms": 20,
        "result_backend_max_sleep_between_retries_ms": 50,
        "result_backend_max_retries": 3,
    })  # fmt: skip

    patience = patience_of(conf)

    assert patience == Patience(True, 0.02, 0.05, 3)
    assert [patience.delay_s(attempt) for attempt in (1, 2, 3, 10_000)] == [0.02, 0.04, 0.05, 0.05]


def test_patience_follows_the_settings() -> None:
    app = make(0, **ALWAYS)[0]
    assert app.store_patience.most_tries == math.inf
    assert app.store_patience is app.store_patience

    app.conf.result_backend_max_retries = 3

    assert app.store_patience == patience_of(app.conf)
    assert app.store_patience.most_tries == 3


def test_nobody_having_set_anything_is_told_from_the_defaults() -> None:
    assert patience_of(Settings({})) == Patience(None, 0.1, 1.0, math.inf)


def test_who_reads_is_told_of_the_first_failure() -> None:
    app, _, _ = make(away_count=1)

    with pytest.raises(OperationalError, match="away"):
        _ = app.AsyncResult("a").state


def test_who_reads_tries_again_where_that_is_set() -> None:
    app, backend, clock = make(away_count=3, **ALWAYS)
    before_mono = clock.mono()

    assert app.AsyncResult("a").state == "SUCCESS"

    assert backend.fetch_count == 4
    assert 0.35 <= clock.mono() - before_mono <= 0.7


@pytest.mark.parametrize("ask", ["state", "get"])
def test_it_gives_up_after_the_tries_that_are_set(ask: str) -> None:
    app, backend, _ = make(away_count=9, **ALWAYS, result_backend_max_retries=2)
    result = app.AsyncResult("a")

    with pytest.raises(OperationalError, match="away"):
        result.get(timeout=60) if ask == "get" else result.state

    assert backend.fetch_count == 3


def test_who_waits_is_told_at_once_where_that_is_set() -> None:
    app, backend, _ = make(away_count=9, result_backend_always_retry=False)

    with pytest.raises(OperationalError, match="away"):
        app.AsyncResult("a").get(timeout=60)

    assert backend.fetch_count == 1


def test_values_are_asked_for_once_where_they_are_kept() -> None:
    app, backend, _ = make(away_count=0, result_cache_max=2)

    assert [app.AsyncResult("a").get(timeout=1) for _ in range(3)] == [4, 4, 4]
    assert app.AsyncResult("a").successful()
    assert backend.fetch_count == 1


def test_the_one_not_used_for_longest_is_kept_no_more() -> None:
    app, backend, _ = make(away_count=0, result_cache_max=2)
    finish(app, "b", 5)
    finish(app, "c", 6)

    for task_id in ("a", "b", "a", "c"):
        app.AsyncResult(task_id).get(timeout=1)
    backend.fetch_count = 0
    values = [app.AsyncResult(task_id).get(timeout=1) for task_id in ("a", "c", "b")]

    assert values == [4, 6, 5]
    assert backend.fetch_count == 1


def test_by_default_and_for_failures_the_store_is_asked() -> None:
    app, backend, _ = make(away_count=0)
    kept, _, _ = make(away_count=0, result_cache_max=0)
    finish(kept, "b", ValueError("bad"), "FAILURE")

    for _ in range(2):
        app.AsyncResult("a").get(timeout=1)
        kept.AsyncResult("b").get(timeout=1, propagate=False)

    assert backend.fetch_count == 2
    assert kept.backend.fetch_count == 2  # type: ignore[attr-defined]  # it counts


def test_a_forgotten_result_is_kept_no_more() -> None:
    app, _, _ = make(away_count=0, result_cache_max=0)
    app.AsyncResult("a").get(timeout=1)

    app.AsyncResult("a").forget()

    assert app.AsyncResult("a").state == "PENDING"


def test_a_task_that_stores_a_state_tries_again_where_that_is_set() -> None:
    class Refusing(AwayBackend):
        def store(self, writes: Any) -> None:
            self.fetch_count += 1
            if self.fetch_count <= self.away_count:
                raise OperationalError("the store is away")
            super().store(writes)

    backend = Refusing(2)
    app = make_app(backend=backend, clock=ManualClock(), **ALWAYS)

    @app.task(name="half")
    def half() -> None: ...

    half.update_state(task_id="a", state="HALF", meta={"done": 1})

    assert backend.fetch_count == 3

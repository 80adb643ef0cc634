from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from client_rig import body_of, make_app, sent

from tqconsole.engine import current
from tqconsole.engine.app import App
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import (
    MaxRetriesExceededError,
    Retry,
    SoftTimeLimitExceeded,
)

FIELDS: dict[str, Any] = {
    "id": "t1",
    "args": [1, 2],
    "kwargs": {"z": 3},
    "called_directly": False,
    "retries": 0,
    "root_id": "r1",
    "callbacks": [{"task": "cb", "args": [], "kwargs": {}, "options": {}}],
    "timelimit": (30, 20),
    "headers": {"tenant": "a", "x-death": [1]},
    "delivery_info": {"exchange": "", "routing_key": "low", "priority": 4},
    "reply_to": "me",
    "group": "g1",
}


@contextmanager
def running(task: Any, **fields: Any) -> Iterator[Context]:
    request = Context({**FIELDS, **fields})
    current.push_task(task)
    task.push_request(request)
    try:
        yield request
    finally:
        task.pop_request()
        current.pop_task()


@pytest.fixture
def app() -> App:
    return make_app()


@pytest.fixture
def work(app: App) -> Any:
    return app.task(name="proj.work", lazy=False)(lambda *args, **kwargs: None)


class TestRetry:
    def test_asks_for_the_same_call_again(self, app: App, work: Any) -> None:
        with running(work) as request, pytest.raises(Retry) as caught:
            work.retry(exc=KeyError("k"), countdown=5)

        message = app.build_retry(request, caught.value).message
        headers = message.headers
        assert (headers["id"], headers["retries"]) == ("t1", 1)
        assert (headers["root_id"], headers["parent_id"]) == ("r1", "t1")
        assert (headers["group"], headers["timelimit"]) == ("g1", [30, 20])
        assert headers["eta"] is not None
        assert (headers["tenant"], "x-death" in headers) == ("a", False)
        assert (message.properties["priority"], message.properties["reply_to"]) == (4, "me")
        assert (body_of(message).args, body_of(message).kwargs) == ([1, 2], {"z": 3})
        assert body_of(message).embed.callbacks[0]["task"] == "cb"

    def test_goes_back_to_its_queue(self, app: App, work: Any) -> None:
        by_queue = self._retried(app, work, FIELDS["delivery_info"])
        by_exchange = self._retried(app, work, {"exchange": "e", "routing_key": "k"})

        assert (by_queue.exchange, by_queue.routing_key) == ("", "low")
        assert (by_exchange.exchange, by_exchange.routing_key) == ("e", "k")

    @staticmethod
    def _retried(app: App, work: Any, delivery_info: dict[str, Any]) -> Any:
        with running(work, delivery_info=delivery_info) as request, pytest.raises(Retry) as caught:
            work.retry()
        return app.build_retry(request, caught.value)

    def test_keeps_a_parent_of_its_own(self, app: App, work: Any) -> None:
        with running(work, parent_id="p9") as request, pytest.raises(Retry) as caught:
            work.retry()

        publication = app.build_retry(request, caught.value)
        assert publication.message.headers["parent_id"] == "p9"

    def test_takes_new_arguments_and_options(self, app: App, work: Any) -> None:
        with running(work) as request, pytest.raises(Retry) as caught:
            work.retry(args=(9,), kwargs={}, queue="slow", priority=1)

        publication = app.build_retry(request, caught.value)
        assert body_of(publication.message).args == [9]
        assert publication.routing_key == "slow"

    def test_ends_after_the_last_one(self, work: Any) -> None:
        with running(work, retries=3):
            with pytest.raises(MaxRetriesExceededError, match=r"Can't retry proj.work\[t1\]"):
                work.retry()
            with pytest.raises(KeyError):
                work.retry(exc=KeyError("k"))
            with pytest.raises(Retry):
                work.retry(max_retries=9)

    def test_never_ends_without_a_maximum(self, app: App) -> None:
        task = app.task(name="proj.endless", max_retries=None, lazy=False)(lambda: None)

        with running(task, retries=10_000), pytest.raises(Retry):
            task.retry()

    def test_waits_the_default_delay(self, work: Any) -> None:
        with running(work), pytest.raises(Retry) as caught:
            work.retry()

        assert caught.value.when == 180

    def test_can_be_sent_without_raising(self, app: App, work: Any) -> None:
        with running(work):
            retry = work.retry(throw=False)

        assert isinstance(retry, Retry)
        assert sent(app, "low")[0].headers["retries"] == 1

    def test_of_a_direct_call_raises_the_cause(self, work: Any) -> None:
        with pytest.raises(KeyError):
            work.retry(exc=KeyError("k"))
        with pytest.raises(Retry, match="can be retried"):
            work.retry()


class TestAutoretry:
    @pytest.fixture
    def flaky(self, app: App) -> Any:
        options: dict[str, Any] = {
            "autoretry_for": (OSError, ValueError),
            "dont_autoretry_for": (FileNotFoundError,),
            "retry_kwargs": {"max_retries": 1},
        }
        return app.task(name="proj.flaky", lazy=False, **options)(lambda: None)

    def test_turns_an_error_into_a_retry(self, flaky: Any) -> None:
        with running(flaky):
            assert isinstance(flaky.autoretry(OSError("x")), Retry)

    def test_lets_other_errors_be(self, flaky: Any) -> None:
        with running(flaky):
            for error in (KeyError("x"), FileNotFoundError("x"), SoftTimeLimitExceeded()):
                assert flaky.autoretry(error) is error

    def test_gives_the_error_back_in_the_end(self, flaky: Any) -> None:
        error = OSError("x")
        with running(flaky, retries=1):
            assert flaky.autoretry(error) is error

    def test_delays_double_up_to_the_maximum(self, app: App) -> None:
        options = {"retry_backoff": 2, "retry_backoff_max": 30, "retry_jitter": False}
        task = app.task(name="proj.backoff", lazy=False, **options)(lambda: None)

        assert [task.backoff_s(retries) for retries in range(6)] == [2, 4, 8, 16, 30, 30]
        assert task.backoff_s(10_000) == 30

    def test_jitter_stays_below_the_delay(self, app: App) -> None:
        task = app.task(name="proj.jitter", lazy=False, retry_backoff=True)(lambda: None)
        rng = random.Random(1)

        delays = {task.backoff_s(5, rng) for _ in range(200)}

        assert min(delays) >= 0
        assert max(delays) <= 32
        assert len(delays) > 10


class TestState:
    def test_is_stored_for_this_run(self, app: App, work: Any) -> None:
        with running(work):
            work.update_state(state="LOADING", meta={"file": 3})

        result = app.AsyncResult("t1")
        assert (result.state, result.info) == ("LOADING", {"file": 3})

    def test_may_be_of_another_id(self, app: App, work: Any) -> None:
        work.update_state(task_id="other", state="LOADING")

        assert app.AsyncResult("other").state == "LOADING"

    def test_needs_an_id(self, work: Any) -> None:
        with pytest.raises(ValueError, match="task_id"):
            work.update_state(state="LOADING")

    def test_progress_tells_and_stores(self, app: App, work: Any) -> None:
        told: list[Any] = []
        app.events.default_dispatcher().send = lambda kind, **fields: told.append((kind, fields))

        with running(work):
            work.progress(3, 9)

        assert app.AsyncResult("t1").info == {"done": 3, "total": 9}
        kind, fields = told[0]
        assert kind == "task-progress"
        assert (fields["uuid"], fields["done"], fields["total"]) == ("t1", 3, 9)

    def test_progress_of_an_ignored_result_is_not_stored(self, app: App, work: Any) -> None:
        with running(work, ignore_result=True):
            work.progress(3, 9)

        assert app.AsyncResult("t1").state == "PENDING"

    def test_progress_of_a_direct_call_does_nothing(self, app: App) -> None:
        @app.task(bind=True)
        def count(self: Any) -> int:
            self.progress(1, 2)
            return 1

        assert count() == 1


class TestRequest:
    def test_outside_of_a_run_it_says_so(self, work: Any) -> None:
        assert work.request.called_directly
        assert work.request.id is None

    def test_runs_are_stacked(self, work: Any) -> None:
        with running(work):
            with running(work, id="inner"):
                assert work.request.id == "inner"
            assert work.request.id == "t1"

    def test_custom_headers_read_as_attributes(self, work: Any) -> None:
        with running(work) as request:
            assert request.tenant == "a"
            assert request.get("nosuch") is None
            with pytest.raises(AttributeError, match="nosuch"):
                _ = request.nosuch

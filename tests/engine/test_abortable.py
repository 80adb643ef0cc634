"""Tasks that can be asked to stop, and what is to be done when a result is there."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from client_rig import finish, make_app

from tqconsole.engine import states
from tqconsole.engine.contrib.abortable import AbortableAsyncResult, AbortableTask
from tqconsole.engine.exceptions import NotSupportedError


def test_a_run_sees_that_it_was_asked_to_stop() -> None:
    app = make_app()

    @app.task(name="long", bind=True, base=AbortableTask)
    def long(self: Any) -> bool:
        return bool(self.is_aborted())

    result = long.delay()
    assert isinstance(result, AbortableAsyncResult)
    assert not result.is_aborted()
    result.abort()

    assert result.is_aborted()
    assert long.is_aborted(task_id=result.id)
    assert result.state == "ABORTED"


def test_what_has_ended_is_not_asked() -> None:
    app = make_app()

    @app.task(name="long", base=AbortableTask)
    def long() -> None: ...

    result = long.delay()
    finish(app, result.id, 5)
    result.abort()

    assert (result.state, result.result) == ("SUCCESS", 5)


def test_aborting_needs_a_store() -> None:
    app = make_app(backend="disabled:")

    @app.task(name="long", base=AbortableTask)
    def long() -> None: ...

    with pytest.raises(NotSupportedError, match="set result_backend"):
        long.delay().abort()


def test_a_callback_is_called_with_the_result() -> None:
    app, done, seen = make_app(), threading.Event(), []

    def take(result: Any) -> None:
        seen.append((result.id, result.result))
        if len(seen) == 2:
            done.set()

    good, bad = app.AsyncResult("good"), app.AsyncResult("bad")
    assert good.then(take) is good
    bad.then(lambda _: seen.append("never"), on_error=take)
    finish(app, "good", 1)
    error = ValueError("no")
    finish(app, "bad", error, states.FAILURE)

    assert done.wait(30)
    assert ("good", 1) in seen
    assert {entry[0] for entry in seen} == {"good", "bad"}


def test_a_failing_callback_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    app, done = make_app(), threading.Event()

    app.AsyncResult("a").then(lambda _: 1 / 0)
    app.AsyncResult("b").then(lambda _: done.set())
    finish(app, "a", 1)
    finish(app, "b", 2)

    assert done.wait(30)
    assert "failed" in caplog.text or app.result_waiters

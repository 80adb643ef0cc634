from __future__ import annotations

from typing import Any

import pytest
from client_rig import make_app, sent

from tqconsole.engine.app import App
from tqconsole.engine.exceptions import EncodeError, Ignore, MaxRetriesExceededError
from tqconsole.engine.result import EagerResult
from tqconsole.engine.signals import task_postrun, task_prerun, task_success
from tqconsole.engine.task import Task


@pytest.fixture
def app() -> App:
    return make_app()


def test_apply_runs_here(app: App) -> None:
    @app.task(bind=True)
    def look(self: Any, x: int) -> Any:
        return x, self.request.is_eager, self.request.id

    result = look.apply((2,), task_id="mine")

    assert isinstance(result, EagerResult)
    assert result.get() == (2, True, "mine")
    assert (result.state, result.ready(), result.id) == ("SUCCESS", True, "mine")
    assert sent(app) == []


def test_own_call_of_a_task_class_surrounds_an_eager_run(app: App) -> None:
    class Surrounded(app.Task):  # type: ignore[misc, name-defined]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return ["in the context", super().__call__(*args, **kwargs)]

    look = app.task(bind=True, base=Surrounded, lazy=False)(lambda self: self.request.id)

    assert look.apply(task_id="mine").get() == ["in the context", "mine"]


def test_a_failure_is_raised_when_asked_for(app: App) -> None:
    @app.task
    def fail() -> None:
        raise KeyError("no")

    result = fail.apply()

    assert (result.state, result.failed()) == ("FAILURE", True)
    assert "KeyError" in (result.traceback or "")
    assert isinstance(result.get(propagate=False), KeyError)
    with pytest.raises(KeyError):
        result.get()
    with pytest.raises(KeyError):
        fail.apply(throw=True)


def test_always_eager_runs_what_is_sent(app: App) -> None:
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    add = app.task(lazy=False)(lambda x, y: x + y)

    assert add.delay(1, 2).get() == 3
    with pytest.raises(TypeError):
        add.delay(1)
    assert sent(app) == []


def test_always_eager_arguments_go_through_the_serializer(app: App) -> None:
    app.conf.task_always_eager = True
    echo = app.task(lazy=False)(lambda value: value)

    assert echo.delay((1, 2)).get() == [1, 2]
    with pytest.raises(EncodeError):
        echo.delay(object())


def test_retries_run_at_once(app: App) -> None:
    seen: list[int] = []

    @app.task(bind=True)
    def flaky(self: Any) -> str:
        seen.append(self.request.retries)
        if len(seen) < 3:
            raise self.retry(countdown=60)
        return "at last"

    assert flaky.apply().get() == "at last"
    assert seen == [0, 1, 2]


def test_the_last_retry_fails(app: App) -> None:
    @app.task(bind=True, max_retries=2)
    def never(self: Any) -> None:
        raise self.retry()

    @app.task(bind=True, max_retries=2, autoretry_for=[OSError], retry_backoff=True)
    def raising(self: Any) -> None:
        raise OSError("disk")

    with pytest.raises(MaxRetriesExceededError, match="never"):
        never.apply().get()
    with pytest.raises(OSError, match="disk"):
        raising.apply().get()


def test_links_run_too(app: App) -> None:
    got: list[Any] = []
    note = app.task(name="proj.note", lazy=False)(lambda x, word: got.append((x, word)))
    double = app.task(name="proj.double", lazy=False)(lambda x: x * 2)
    fail = app.task(name="proj.fail", lazy=False)(lambda: 1 / 0)

    double.apply((4,), link=note.s("after"))
    fail.apply(link_error=note.s("failed"), task_id="f1")

    assert got == [(8, "after"), ("f1", "failed")]


def test_handlers_and_signals_see_the_run(app: App) -> None:
    told: list[str] = []

    class Telling(Task):
        def before_start(self, *args: Any) -> None:
            told.append("before_start")

        def on_success(self, *args: Any) -> None:
            told.append("on_success")

        def after_return(self, *args: Any) -> None:
            told.append(f"after_return {args[0]}")

    work = app.task(base=Telling, lazy=False)(lambda: told.append("run"))
    receivers = [(task_prerun, "prerun"), (task_success, "success"), (task_postrun, "postrun")]
    connected = []
    for signal, word in receivers:

        def receive(word: str = word, **named: Any) -> None:
            told.append(word)

        signal.connect(receive, sender=work, weak=False)
        connected.append((signal, receive))

    work.apply()

    for signal, receive in connected:
        signal.disconnect(receive, sender=work)
    assert told == [
        "prerun", "before_start", "run", "success", "on_success", "after_return SUCCESS", "postrun",
    ]  # fmt: skip


def test_ignore_is_no_failure(app: App) -> None:
    @app.task
    def skip() -> None:
        raise Ignore

    assert skip.apply(throw=True).state == "IGNORED"


def test_results_are_stored_when_asked(app: App) -> None:
    app.conf.task_store_eager_result = True
    add = app.task(lazy=False)(lambda x: x + 1)

    result = add.apply((1,))

    assert app.AsyncResult(result.id).get(timeout=1) == 2


def test_an_eager_result_can_be_called_revoked(app: App) -> None:
    result = app.task(lazy=False)(lambda: 1).apply()

    result.revoke()
    result.forget()

    assert result.state == "REVOKED"

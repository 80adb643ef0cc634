"""`await result`, `await task.adelay(...)` and async tasks run here and now."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from client_rig import finish, make_app, sent

from tqconsole.engine import exceptions, states
from tqconsole.engine.app import App
from tqconsole.engine.context import Context


@pytest.fixture
def app() -> App:
    return make_app()


def test_awaited_result_is_its_value(app: App) -> None:
    async def ask() -> Any:
        result = app.AsyncResult("a")
        asyncio.get_running_loop().call_later(0.01, finish, app, "a", 7)
        return await result

    assert asyncio.run(ask()) == 7


def test_awaited_failure_is_raised_or_returned(app: App) -> None:
    finish(app, "a", ValueError("bad"), states.FAILURE)

    with pytest.raises(ValueError, match="bad"):
        asyncio.run(app.AsyncResult("a").aget())
    returned = asyncio.run(app.AsyncResult("a").aget(propagate=False))
    assert isinstance(returned, ValueError)


def test_awaiting_ends_in_time(app: App) -> None:
    with pytest.raises(exceptions.TimeoutError, match="timed out"):
        asyncio.run(app.AsyncResult("never").aget(timeout=0.01))


def test_state_that_is_no_end_is_waited_through(app: App) -> None:
    async def ask() -> Any:
        finish(app, "a", {"done": 1}, "PROGRESS")
        waiting = asyncio.ensure_future(app.AsyncResult("a").aget())
        await asyncio.sleep(0.05)
        finish(app, "a", "end")
        return await waiting

    assert asyncio.run(ask()) == "end"


def test_store_that_fails_is_told_to_all_who_await(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(task_ids: Any) -> Any:
        raise exceptions.OperationalError("the store went away")

    monkeypatch.setattr(app.backend, "fetch", fail)

    async def ask() -> list[Any]:
        results = [app.AsyncResult("a").aget(), app.AsyncResult("b").aget()]
        return await asyncio.gather(*results, return_exceptions=True)

    assert [str(error) for error in asyncio.run(ask())] == ["the store went away"] * 2


def test_given_up_wait_leaves_nothing(app: App) -> None:
    async def ask() -> None:
        waiting = asyncio.ensure_future(app.AsyncResult("a").aget())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(ask())

    assert app.result_waiters.of(app.backend, app.oid)._wanted == {}


def test_adelay_sends_in_the_name_of_the_task_that_runs(app: App) -> None:
    @app.task(name="outer")
    async def outer() -> None: ...

    @app.task(name="inner")
    async def inner(x: int) -> int:
        return x

    async def call() -> str:
        from tqconsole.engine import current

        outer.push_request(Context(id="run", root_id="root", called_directly=False))
        current.push_task(outer)
        try:
            return (await inner.adelay(1)).id
        finally:
            current.pop_task()
            outer.pop_request()

    task_id = asyncio.run(call())

    (message,) = sent(app)
    assert message.headers["id"] == task_id
    assert (message.headers["parent_id"], message.headers["root_id"]) == ("run", "root")


def test_async_task_is_applied_here(app: App) -> None:
    @app.task(name="twice")
    async def twice(x: int) -> int:
        await asyncio.sleep(0)
        return 2 * x

    assert twice.apply((4,)).get() == 8
    assert asyncio.run(twice(4)) == 8


def test_applying_inside_a_loop_says_what_to_do(app: App) -> None:
    @app.task(name="twice")
    async def twice(x: int) -> int:
        return 2 * x

    async def inside() -> Any:
        return twice.apply((4,)).get()

    with pytest.raises(RuntimeError, match=r"await task.adelay"):
        asyncio.run(inside())

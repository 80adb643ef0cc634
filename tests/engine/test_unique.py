"""Unique tasks, from the sender's side: of the calls with one key, one is on its way."""

from __future__ import annotations

from typing import Any

import pytest
from client_rig import finish, make_app, sent

from tqconsole.engine import states
from tqconsole.engine.app import App
from tqconsole.engine.exceptions import (
    DuplicateTaskError,
    ImproperlyConfigured,
    NotSupportedError,
    OperationalError,
    TaskRevokedError,
)
from tqconsole.engine.unique import key_of, let_go


def app_with(**options: Any) -> tuple[App, Any]:
    app = make_app()

    @app.task(name="ship", **options)
    def ship(order: str, *, fast: bool = False) -> None: ...

    app.finalize()
    return app, app.tasks["ship"]


def test_a_second_call_is_refused_with_the_first_ones_id() -> None:
    app, ship = app_with(unique_key=True)
    first = ship.delay("a")

    with pytest.raises(DuplicateTaskError, match=f"is on its way as {first.id}") as caught:
        ship.delay("a")

    assert caught.value.task_id == first.id
    ship.delay("a", fast=True)
    ship.delay("b")
    assert len(sent(app)) == 3


def test_a_second_call_may_join_the_first() -> None:
    app, ship = app_with(unique_key=True, unique_policy="join")
    first, second = ship.delay("a"), ship.s("a").apply_async()

    assert second.id == first.id
    assert len(sent(app)) == 1
    finish(app, first.id, 7)
    assert second.get(timeout=1) == 7


@pytest.mark.parametrize(
    ("key", "same", "other"),
    [
        ("{0}", (("a",), {"fast": True}), (("b",), {})),
        (lambda order, **_: order.lower(), (("A",), {}), (("b",), {})),
        ("one for all", (("b",), {}), None),
    ],
)
def test_a_key_is_made_of_the_arguments(key: Any, same: Any, other: Any) -> None:
    _, ship = app_with(unique_key=key)
    ship.delay("a")

    with pytest.raises(DuplicateTaskError):
        ship.apply_async(*same)
    if other:
        ship.apply_async(*other)


def test_a_key_is_free_after_its_run() -> None:
    _, ship = app_with(unique_key=True)
    first = ship.delay("a")

    let_go(ship, type("Request", (), {"id": "another", "args": ["a"], "kwargs": {}}))
    with pytest.raises(DuplicateTaskError):
        ship.delay("a")
    let_go(ship, type("Request", (), {"id": first.id, "args": ["a"], "kwargs": {}}))

    assert ship.delay("a").id != first.id


def test_the_key_of_a_call_that_never_ran_is_taken_over() -> None:
    app, ship = app_with(unique_key=True)
    first = ship.delay("a")
    finish(app, first.id, TaskRevokedError("revoked"), states.REVOKED)

    assert ship.delay("a").id != first.id


def test_a_call_that_could_not_be_sent_keeps_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    app, ship = app_with(unique_key=True)

    def fail(publications: Any) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as patched:
        patched.setattr(app.broker, "publish", fail)
        with pytest.raises(OperationalError):
            ship.apply_async(("a",), retry=False)

    ship.delay("a")


def test_eager_calls_are_nobodys_rival() -> None:
    app, ship = app_with(unique_key=True)
    ship.delay("a")
    app.conf.task_always_eager = True

    assert ship.delay("a").state == "SUCCESS"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"unique_key": 5}, "unique_key of task ship is True, a text"),
        ({"unique_key": True, "unique_policy": "wait"}, "refuse or join, not 'wait'"),
        ({"unique_key": True, "unique_for_s": 0}, "seconds above 0, not 0"),
    ],
)
def test_options_that_cannot_be_meant_are_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=text):
        app_with(**options)


def test_a_key_that_does_not_fit_is_named() -> None:
    _, ship = app_with(unique_key="{3}")

    with pytest.raises(ValueError, match=r"unique_key '\{3\}' of task ship does not fit"):
        ship.delay("a")


def test_a_store_that_shares_nothing_is_refused() -> None:
    app = make_app(backend="disabled:")

    @app.task(name="ship", unique_key=True)
    def ship() -> None: ...

    with pytest.raises(NotSupportedError, match="need redis:// or sqlite:// as result_backend"):
        ship.delay()


def test_long_keys_are_short_in_the_store() -> None:
    _, ship = app_with(unique_key=True)

    assert len(key_of(ship, ["x" * 5000], {})) < 100

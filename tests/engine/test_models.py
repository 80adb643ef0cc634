"""Pydantic models as arguments and results of tasks."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from client_rig import body_of, make_app, sent
from pydantic import BaseModel, ValidationError, ValidationInfo, field_validator

from tqconsole.engine.app import App
from tqconsole.engine.exceptions import EncodeError, ImproperlyConfigured


class Order(BaseModel):
    item: str
    count: int


class Bill(BaseModel):
    total: float
    note: str | None = None


class Seen(BaseModel):
    who: str

    @field_validator("who")
    @classmethod
    def told(cls, value: str, info: ValidationInfo) -> str:
        context = info.context or {}
        return f"{value} by {context['celery_task_name']}, {context.get('extra')}"


@pytest.fixture
def app() -> App:
    return make_app(task_eager_propagates=True)


def test_argument_becomes_the_model_and_the_result_is_dumped(app: App) -> None:
    @app.task(pydantic=True)
    def bill(order: Order, price: float) -> Bill:
        assert isinstance(order, Order)
        return Bill(total=order.count * price)

    assert bill.apply(({"item": "tea", "count": 2}, 1.5)).get() == {"total": 3.0, "note": None}


def test_bound_task_gets_its_models(app: App) -> None:
    @app.task(pydantic=True, bind=True)
    def name(self: Any, order: Order) -> str:
        return f"{self.name.rpartition('.')[2]} {order.item}"

    assert name.apply(kwargs={"order": {"item": "tea", "count": 2}}).get() == "name tea"


def test_what_does_not_fit_the_model_fails(app: App) -> None:
    @app.task(pydantic=True)
    def look(order: Order) -> None: ...

    with pytest.raises(ValidationError):
        look.apply(({"item": "tea"},)).get()


@pytest.mark.parametrize(("is_strict", "state"), [(False, "SUCCESS"), (True, "FAILURE")])
def test_strict_takes_no_text_for_a_number(app: App, is_strict: bool, state: str) -> None:
    @app.task(pydantic=True, pydantic_strict=is_strict)
    def look(order: Order) -> None: ...

    call = look.apply(({"item": "tea", "count": "2"},), throw=False)

    assert call.state == state


def test_optional_model_may_be_none(app: App) -> None:
    @app.task(pydantic=True)
    def look(order: Order | None = None) -> Bill | None:
        return Bill(total=order.count) if order else None

    assert look.apply((None,)).get() is None
    assert look.apply(({"item": "tea", "count": 2},)).get() == {"total": 2.0, "note": None}


def test_result_that_is_not_what_was_annotated_stays(app: App) -> None:
    @app.task(pydantic=True)
    def look() -> Bill:
        return {"total": "as it is"}  # type: ignore[return-value]  # what is under test

    assert look.apply().get() == {"total": "as it is"}


def test_dump_options_are_used(app: App) -> None:
    @app.task(pydantic=True, pydantic_dump_kwargs={"exclude_none": True})
    def look() -> Bill:
        return Bill(total=1)

    assert look.apply().get() == {"total": 1.0}


def test_context_names_app_and_task(app: App) -> None:
    @app.task(name="look", pydantic=True, pydantic_context={"extra": 7})
    def look(seen: Seen) -> str:
        return seen.who

    assert look.apply(({"who": "me"},)).get() == "me by look, 7"


@pytest.mark.parametrize("is_bound", [False, True])
def test_models_of_the_caller_are_sent_as_plain_values(app: App, is_bound: bool) -> None:
    def look(order: Order, more: Order) -> None: ...

    def look_bound(self: Any, order: Order, more: Order) -> None: ...

    task = app.task(pydantic=True, bind=is_bound)(look_bound if is_bound else look)

    task.delay(Order(item="tea", count=1), more=Order(item="pot", count=2))
    app.send_many([(task, (Order(item="tea", count=3), Order(item="cup", count=4)))])

    first, second = map(body_of, sent(app))
    assert first.args == [{"item": "tea", "count": 1}]
    assert first.kwargs == {"more": {"item": "pot", "count": 2}}
    assert second.args == [{"item": "tea", "count": 3}, {"item": "cup", "count": 4}]


def test_model_that_would_come_back_different_is_not_sent(app: App) -> None:
    @app.task(pydantic=True)
    def look(seen: Seen) -> None: ...

    with pytest.raises(EncodeError):
        look.delay(Seen.model_construct(who="me"))


def test_arguments_are_checked_against_the_function(app: App) -> None:
    @app.task(pydantic=True)
    def look(order: Order) -> None: ...

    with pytest.raises(TypeError, match="missing a required argument"):
        look.delay()


def test_missing_pydantic_is_a_clear_error(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)

    with pytest.raises(ImproperlyConfigured, match="pydantic is not installed"):
        app.task(pydantic=True, lazy=False)(lambda: None)


@pytest.mark.parametrize("part", ["Strategy", "Request"])
def test_parts_of_celerys_worker_are_refused(app: App, part: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=part):
        app.task(lazy=False, **{part: "proj.mine:Mine"})(lambda: None)


def test_naming_celerys_own_parts_is_fine(app: App) -> None:
    task = app.task(lazy=False, Request="celery.worker.request:Request")(lambda: 1)

    assert task.apply().get() == 1

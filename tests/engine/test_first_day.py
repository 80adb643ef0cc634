"""What a user meets on the first day: the app's arguments, a call, its id, its result."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from client_rig import body_of, finish, make_app, sent

from tqconsole.engine import states
from tqconsole.engine.app import App
from tqconsole.engine.control.client import Control
from tqconsole.engine.current import current_app
from tqconsole.engine.events.facade import Events
from tqconsole.engine.exceptions import ImproperlyConfigured, TaskRevokedError
from tqconsole.engine.task import Task


class Base(Task):
    pass


class MyControl(Control):
    pass


class MyEvents(Events):
    pass


def test_an_app_takes_celerys_arguments() -> None:
    before = repr(current_app)
    app = App(
        "shop", broker="memory://first-day", backend="cache+memory://first-day", control=MyControl,
        events=MyEvents, include=["shop.tasks"], changes={"task_acks_late": True},
        config_source={"worker_concurrency": 3}, task_cls=Base, strict_typing=False,
        set_as_current=False, timezone="Europe/Oslo",
    )  # fmt: skip

    @app.task
    def anything(*, bad: int) -> None: ...

    assert (app.conf.broker_url, app.conf.timezone) == ("memory://first-day", "Europe/Oslo")
    assert (app.conf.task_acks_late, app.conf.worker_concurrency) == (True, 3)
    assert list(app.conf.include) == ["shop.tasks"]
    assert isinstance(app.control, MyControl)
    assert isinstance(app.events, MyEvents)
    assert isinstance(app.tasks[anything.name], Base)
    assert app.tasks[anything.name].typing is False
    assert repr(current_app) == before
    app.close()


def test_the_main_name_is_that_of_tasks_of_the_main_module_only() -> None:
    app = make_app(main="shop")

    def pack() -> None: ...

    pack.__module__ = "__main__"

    assert app.task(pack).name == "shop.pack"
    assert app.task(lambda: None, name="named").name == "named"
    assert app.gen_task_name("pack", "shop.tasks") == "shop.tasks.pack"


def test_parts_that_are_not_here_are_refused_by_name() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"App\(amqp=\.\.\.\) replaces a part"):
        App(amqp=object())


def test_a_plain_call_runs_here_and_sends_nothing() -> None:
    app = make_app()

    @app.task(bind=True)
    def add(self: Any, x: int, y: int) -> tuple[int, bool]:
        return x + y, self.request.called_directly

    assert add(2, 2) == (4, True)
    assert sent(app) == []


def test_a_call_has_an_id_of_its_own_or_the_callers() -> None:
    app = make_app()

    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    mine, other = add.apply_async((2, 2)), add.apply_async((3,), {"y": 4}, task_id="mine")

    assert uuid.UUID(mine.id).version == 4
    assert (other.id, type(other)) == ("mine", type(app.AsyncResult("mine")))
    first, second = sent(app)
    assert [first.headers["id"], second.headers["id"]] == [mine.id, "mine"]
    assert list(body_of(second).args) == [3]
    assert body_of(second).kwargs == {"y": 4}


@pytest.mark.parametrize(
    ("state", "value", "answers"),
    [
        (None, None, (False, False, False)),
        (states.STARTED, {"pid": 1}, (False, False, False)),
        (states.RETRY, ValueError("again"), (False, False, False)),
        (states.SUCCESS, 4, (True, True, False)),
        (states.FAILURE, ValueError("bad"), (True, False, True)),
        (states.REVOKED, TaskRevokedError("revoked"), (True, False, False)),
    ],
)
def test_a_result_knows_whether_it_is_ready(
    state: str | None, value: Any, answers: tuple[bool, bool, bool]
) -> None:
    app = make_app()
    if state is not None:
        finish(app, "a", value, state)
    result = app.AsyncResult("a")

    assert (result.ready(), result.successful(), result.failed()) == answers

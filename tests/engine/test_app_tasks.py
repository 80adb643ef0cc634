from __future__ import annotations

import threading
from typing import Any

import pytest
from client_rig import make_app

from tqconsole.engine import current
from tqconsole.engine.app import App, app_or_default, shared_task
from tqconsole.engine.current import Proxy
from tqconsole.engine.exceptions import (
    DuplicateTaskNameWarning,
    ImproperlyConfigured,
    NotRegistered,
)
from tqconsole.engine.task import Task


def test_repr_names_the_app() -> None:
    assert repr(make_app(main="shop")).startswith("<Celery shop at 0x")
    assert repr(App(set_as_current=False)).startswith("<Celery __main__ at 0x")


def test_decorator_with_and_without_options() -> None:
    app = make_app()

    @app.task
    def plain() -> None: ...

    @app.task(max_retries=5)
    def tuned() -> None: ...

    assert (plain.max_retries, tuned.max_retries) == (3, 5)
    assert isinstance(plain, Task)


def test_a_task_is_made_at_its_first_use() -> None:
    app = make_app()

    @app.task
    def add(x: int, y: int) -> int:
        """Add."""
        return x + y

    assert type(add) is Proxy
    assert add.__name__ == "add"
    assert add.__doc__ == "Add."
    assert app.registry == {}
    assert add(2, 2) == 4
    assert add.name in app.registry


def test_names_come_from_the_module() -> None:
    app = make_app()

    @app.task
    def add() -> None: ...

    @app.task(name="other.name")
    def named() -> None: ...

    assert add.name == f"{__name__}.add"
    assert named.name == "other.name"


def test_main_is_named_after_the_app() -> None:
    assert make_app(main="shop").gen_task_name("add", "__main__") == "shop.add"


def test_naming_may_be_overridden() -> None:
    class Short(App):
        def gen_task_name(self, name: str, module: str) -> str:
            return name

    app = Short("x", set_as_current=False)

    @app.task
    def add() -> None: ...

    assert add.name == "add"


def test_the_registry_knows_declared_and_built_in_tasks() -> None:
    app = make_app()

    @app.task(name="proj.add")
    def add() -> None: ...

    assert sorted(app.tasks) == [
        "celery.accumulate", "celery.backend_cleanup", "celery.chain", "celery.chord",
        "celery.chord_unlock", "celery.chunks", "celery.group", "celery.map", "celery.starmap",
        "proj.add",
    ]  # fmt: skip
    assert app.finalized
    with pytest.raises(NotRegistered, match="nosuch"):
        _ = app.tasks["nosuch"]


def test_without_autofinalize_tasks_are_a_breach() -> None:
    app = make_app(autofinalize=False)

    with pytest.raises(RuntimeError, match="app not finalized"):
        _ = app.tasks
    app.finalize()
    assert "celery.map" in app.tasks


def test_finalizing_is_told() -> None:
    app, told = make_app(), []
    app.on_after_finalize.connect(lambda sender, **named: told.append(sender), weak=False)

    app.finalize()
    app.finalize()

    assert told == [app]


def test_two_functions_of_one_name_are_warned_about() -> None:
    app = make_app()
    app.task(name="same", lazy=False)(lambda: "first")

    with pytest.warns(DuplicateTaskNameWarning, match="same"):
        app.task(name="same", lazy=False)(lambda: "second")

    assert app.tasks["same"]() == "first"


def test_bound_tasks_get_themselves() -> None:
    app = make_app()

    @app.task(bind=True)
    def who(self: Any) -> Any:
        return self

    assert who() is app.tasks[who.name]


def test_a_base_class_keeps_state_and_is_abstract() -> None:
    class Counting(Task):
        abstract = True
        count = 0

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return super().__call__(*args, **kwargs)

    app = make_app()

    @app.task(base=Counting)
    def work() -> int:
        return 1

    work()
    work()

    assert work.count == 2
    assert isinstance(work, Counting)


def test_the_apps_own_task_class_is_used() -> None:
    class Tuned(Task):
        max_retries = 9

    by_argument, by_attribute = make_app(task_cls=Tuned), make_app()
    by_attribute.Task = Tuned

    for app in (by_argument, by_attribute):
        assert app.task(lazy=False)(lambda: None).max_retries == 9


def test_class_tasks_are_registered() -> None:
    class Add(Task):
        name = "proj.Add"

        def run(self, x: int, y: int) -> int:
            return x + y

    app = make_app()

    task = app.register_task(Add())

    assert app.tasks["proj.Add"] is task
    assert task(2, 3) == 5


def test_options_follow_the_settings() -> None:
    app = make_app(task_acks_late=True, task_serializer="yaml", task_ignore_result=True)

    @app.task(acks_late=False)
    def work() -> None: ...

    assert work.acks_late is False
    assert (work.serializer, work.ignore_result) == ("yaml", True)


def test_annotations_replace_and_wrap() -> None:
    def twice(function: Any) -> Any:
        return lambda *args, **kwargs: function(*args, **kwargs) * 2

    app = make_app(
        task_annotations=[
            {"*": {"rate_limit": "1/m"}, "proj.add": {"rate_limit": "9/m"}},
            {"proj.add": {"@run": twice}},
        ]
    )

    @app.task(name="proj.add")
    def add(x: int, y: int) -> int:
        return x + y

    assert add.rate_limit == "9/m"
    assert add(1, 2) == 6


def test_a_task_may_have_a_store_of_its_own() -> None:
    class Special(Task):
        backend = "cache+memory://special"

    app = make_app()
    by_option = app.task(backend="cache+memory://own", lazy=False)(lambda: 1)
    by_class = app.task(base=Special, lazy=False, name="by.class")(lambda: 2)

    assert by_option.backend.url == "cache+memory://own"
    assert by_class.backend.url == "cache+memory://special"
    assert by_option.AsyncResult("x").backend is by_option.backend
    assert by_option.delay().backend is by_option.backend


class TestSharedTasks:
    def test_are_in_every_app(self) -> None:
        early = make_app()
        early.finalize()

        @shared_task(name="reuse.add")
        def add(x: int, y: int) -> int:
            return x + y

        late = make_app()

        assert early.tasks["reuse.add"](1, 2) == 3
        assert late.tasks["reuse.add"] is not early.tasks["reuse.add"]

    def test_resolve_to_the_current_app(self) -> None:
        @shared_task(name="reuse.who")
        def who() -> None: ...

        one, other = make_app(), make_app()
        one.set_current()
        assert who.app is one
        other.set_current()
        assert who.app is other

    def test_own_tasks_stay_in_their_app(self) -> None:
        one, other = make_app(), make_app()
        one.task(name="private")(lambda: None)

        assert "private" in one.tasks
        assert "private" not in other.tasks


class TestCurrent:
    def test_the_last_app_is_current_in_its_thread(self) -> None:
        app = App("mine")
        seen: list[Any] = []
        app.set_default()
        other = App("other")

        thread = threading.Thread(target=lambda: seen.append(current.get_current_app()))
        thread.start()
        thread.join()

        assert current.get_current_app() is other
        assert seen == [app]

    def test_app_or_default_takes_what_is_given(self) -> None:
        app, other = App("mine"), make_app()

        assert app_or_default(other) is other
        assert app_or_default() is app

    def test_trace_finds_broken_app_chains(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CELERY_TRACE_APP", "1")

        with pytest.raises(RuntimeError, match="DEFAULT APP"):
            app_or_default(None)

    def test_current_task_is_the_one_that_runs(self) -> None:
        app = make_app()

        @app.task
        def look() -> Any:
            return app.current_task, bool(current.current_task)

        task, is_there = look()

        assert task is app.tasks[look.name]
        assert is_there
        assert app.current_task is None
        assert not current.current_task

    def test_closing_an_app_forgets_it(self) -> None:
        with App("mine", broker="memory://closing") as app:
            app.set_default()

        assert current.get_current_app() is not app


def test_parts_of_celery_that_are_not_here_are_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="loader"):
        App("x", loader="my.Loader", set_as_current=False)


def test_apps_are_independent() -> None:
    one = make_app(broker="memory://one", task_default_queue="one")
    other = make_app(broker="memory://other")

    assert one.conf.task_default_queue == "one"
    assert other.conf.task_default_queue == "celery"
    assert one.broker.place != other.broker.place
    assert one.oid != other.oid

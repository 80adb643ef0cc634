from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest
from client_rig import finish, fresh_url, make_app

from tqconsole.engine import current, exceptions, states
from tqconsole.engine.app import App
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import (
    IncompleteStream,
    NotSupportedError,
    TaskRevokedError,
)
from tqconsole.engine.result import (
    AsyncResult,
    allow_join_result,
    denied_join_result,
    result_from_tuple,
)


@pytest.fixture
def app() -> App:
    return make_app()


def test_an_unknown_id_is_pending(app: App) -> None:
    result = app.AsyncResult("nope")

    assert (result.state, result.result, result.ready()) == ("PENDING", None, False)
    assert not result.exists()


def test_a_value_is_read(app: App) -> None:
    finish(app, "a", {"x": [1, 2]}, date_done_at=1_800_000_000.0)
    result = app.AsyncResult("a")

    assert result.get(timeout=1) == {"x": [1, 2]}
    assert (result.ready(), result.successful(), result.failed()) == (True, True, False)
    assert result.date_done == "2027-01-15T08:00:00+00:00"


def test_a_failure_is_raised_or_returned(app: App) -> None:
    finish(app, "a", ValueError("bad", 7), states.FAILURE, traceback="Traceback ...")
    result = app.AsyncResult("a")

    with pytest.raises(ValueError, match="bad"):
        result.get(timeout=1)
    returned = result.get(timeout=1, propagate=False)
    assert isinstance(returned, ValueError)
    assert (result.failed(), result.traceback) == (True, "Traceback ...")


def test_a_revoked_call_raises(app: App) -> None:
    finish(app, "a", TaskRevokedError("expired"), states.REVOKED)

    with pytest.raises(TaskRevokedError, match="expired"):
        app.AsyncResult("a").get(timeout=1)


def test_a_custom_state_shows_its_meta(app: App) -> None:
    finish(app, "a", {"done": 3, "total": 9}, "PROGRESS")
    result = app.AsyncResult("a")

    assert (result.state, result.info) == ("PROGRESS", {"done": 3, "total": 9})


def test_extended_fields_are_read(app: App) -> None:
    extended = {"name": "proj.add", "args": [1], "worker": "w1@h", "retries": 2, "queue": "q"}
    finish(app, "a", 1, extended=extended)
    result = app.AsyncResult("a")

    assert (result.name, result.args, result.worker) == ("proj.add", [1], "w1@h")
    assert (result.retries, result.queue, result.kwargs) == (2, "q", None)


class TestWaiting:
    def test_ends_when_the_record_comes(self, app: App) -> None:
        result = app.AsyncResult("a")
        looked = threading.Event()
        writer = threading.Thread(target=lambda: (looked.wait(10), finish(app, "a", 5)))
        writer.start()

        assert result.get(timeout=10, on_interval=looked.set) == 5
        writer.join()

    def test_ends_in_time(self) -> None:
        clock = ManualClock()
        app = make_app(clock=clock, backend=_SlowBackend(clock))

        with pytest.raises(exceptions.TimeoutError, match="timed out"):
            app.AsyncResult("a").get(timeout=3)

        assert clock.mono() == pytest.approx(3)

    def test_looks_again_without_news_by_the_interval(self) -> None:
        clock = ManualClock()
        backend = _SlowBackend(clock)
        app = make_app(clock=clock, backend=backend)

        with pytest.raises(exceptions.TimeoutError):
            app.AsyncResult("a").get(timeout=3, interval=0.25)
        with pytest.raises(exceptions.TimeoutError):
            app.AsyncResult("a").get(timeout=3, interval=60)

        assert backend.waits == [0.25] * 12 + [1.0] * 3
        assert backend.closed_count == 2

    def test_callbacks_are_called(self, app: App) -> None:
        finish(app, "a", 5)
        values: list[Any] = []
        messages: list[Any] = []

        app.AsyncResult("a").get(
            callback=lambda task_id, value: values.append((task_id, value)),
            on_message=messages.append,
        )

        assert values == [("a", 5)]
        assert messages[0]["status"] == "SUCCESS"

    def test_an_ignored_call_has_nothing_to_wait_for(self, app: App) -> None:
        result = app.send_task("x", ignore_result=True)

        assert result.get(timeout=0) is None

    def test_a_parents_failure_is_raised(self, app: App) -> None:
        finish(app, "first", ValueError("early"), states.FAILURE)
        parent = app.AsyncResult("first")
        result = app.AsyncResult("second", parent=parent)

        with pytest.raises(ValueError, match="early"):
            result.get(timeout=0)

    def test_inside_a_task_it_must_be_allowed(self, app: App) -> None:
        finish(app, "a", 5)
        task = app.task(name="proj.waiter", lazy=False)(lambda: None)
        current.push_task(task)
        task.push_request(Context(id="t", called_directly=False))
        try:
            with pytest.raises(RuntimeError, match="within a task"):
                app.AsyncResult("a").get()
            with allow_join_result():
                assert app.AsyncResult("a").get() == 5
                with denied_join_result(), pytest.raises(RuntimeError):
                    app.AsyncResult("a").get()
            assert app.AsyncResult("a").get(disable_sync_subtasks=False) == 5
        finally:
            task.pop_request()
            current.pop_task()


class TestWithoutStore:
    def test_reading_says_so(self) -> None:
        app = App("x", broker=fresh_url(), set_as_current=False)
        result = app.send_task("x")

        with pytest.raises(NotSupportedError, match="No result backend is configured"):
            result.get(timeout=1)
        with pytest.raises(NotImplementedError):
            _ = result.state


class TestDependencies:
    @pytest.fixture
    def tree(self, app: App) -> AsyncResult:
        child = app.AsyncResult("child").as_tuple()
        grandchild = app.AsyncResult("grandchild").as_tuple()
        finish(app, "root", 1, children=[child])
        finish(app, "child", 2, children=[grandchild])
        finish(app, "grandchild", 3, children=[])
        return app.AsyncResult("root")

    def test_children_are_results(self, tree: AsyncResult) -> None:
        assert tree.children == [AsyncResult("child")]

    def test_collect_walks_all(self, tree: AsyncResult) -> None:
        found = [(result.id, value) for result, value in tree.collect()]

        assert found == [("root", 1), ("child", 2), ("grandchild", 3)]

    def test_the_leaf_is_the_last_value(self, tree: AsyncResult) -> None:
        assert tree.get_leaf() == 3

    def test_an_unfinished_one_ends_the_walk(self, app: App) -> None:
        finish(app, "root", 1, children=[app.AsyncResult("later").as_tuple()])

        with pytest.raises(IncompleteStream):
            list(app.AsyncResult("root").iterdeps())
        found = [node.id for _, node in app.AsyncResult("root").iterdeps(intermediate=True)]
        assert found == ["root", "later"]

    def test_a_groups_members_are_children(self, app: App) -> None:
        members = [[["m1", None], None], [["m2", None], None]]
        finish(app, "root", 1, children=[[["g", None], members]])

        (group,) = app.AsyncResult("root").children or ()
        assert group == app.GroupResult("g", [AsyncResult("m1"), AsyncResult("m2")])
        assert [child.id for child in group.children] == ["m1", "m2"]


class TestAsValue:
    def test_tuples_and_lists_name_the_parents(self, app: App) -> None:
        result = app.AsyncResult("b", parent=app.AsyncResult("a"))

        assert result.as_tuple() == (("b", (("a", None), None)), None)
        assert result.as_list() == ["b", "a"]
        again = result_from_tuple(result.as_tuple(), app)
        assert (again.id, again.parent.id) == ("b", "a")

    def test_equality_is_by_id(self, app: App) -> None:
        assert app.AsyncResult("a") == AsyncResult("a") == "a"
        assert len({app.AsyncResult("a"), AsyncResult("a")}) == 1

    def test_it_can_be_pickled(self, app: App) -> None:
        app.set_current()
        finish(app, "a", 5)

        assert pickle.loads(pickle.dumps(app.AsyncResult("a"))).get() == 5

    def test_an_id_is_needed(self) -> None:
        with pytest.raises(ValueError, match="valid id"):
            AsyncResult(None)  # type: ignore[arg-type]


def test_forgetting_deletes_the_record(app: App) -> None:
    finish(app, "a", 5)
    result = app.AsyncResult("a")
    assert result.get() == 5

    result.forget()

    assert result.state == "PENDING"


def test_revoking_goes_through_control(app: App) -> None:
    asked: list[Any] = []

    class Recorder:
        def __init__(self, owner: App) -> None: ...

        def revoke(self, task_id: str, **options: Any) -> None:
            asked.append((task_id, options))

    app = make_app(control=Recorder)

    app.AsyncResult("a").revoke(terminate=True, signal="SIGKILL", wait=True, timeout=2)

    options = {"terminate": True, "signal": "SIGKILL", "reply": True, "timeout": 2}
    assert asked == [("a", options)]


class _SlowBackend:
    """A store in which nothing ever comes; waiting moves the clock. It is its own watch."""

    is_enabled = True
    has_looked = False

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.waits: list[float] = []
        self.closed_count = 0

    def fetch(self, task_ids: Any) -> dict[str, bytes]:
        return {}

    def watch(self, task_ids: Any, reply_to: str) -> Any:
        return self

    def wait(self, timeout_s: float) -> None:
        self.waits.append(timeout_s)
        self.clock.advance(timeout_s)

    def close(self) -> None:
        self.closed_count += 1

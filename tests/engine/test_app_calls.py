from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.utils.saferepr import saferepr as celerys_saferepr
from client_rig import RecordingBroker, body_of, make_app, sent

from tqconsole.engine import current
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import AlwaysEagerIgnored, EncodeError

NOW_AT = 1_800_000_000.0
NOW = datetime.fromtimestamp(NOW_AT, UTC)
HEADERS = {
    "lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries",
    "timelimit", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result",
    "replaced_task_nesting", "stamped_headers", "stamps",
}  # fmt: skip


@pytest.fixture
def app() -> Any:
    made = make_app(clock=ManualClock(NOW_AT))

    @made.task(name="proj.add")
    def add(x: int, y: int) -> int:
        return x + y

    return made


@pytest.fixture
def add(app: Any) -> Any:
    return app.tasks["proj.add"]


def only(app: Any, queue: str = "celery") -> Any:
    (message,) = sent(app, queue)
    return message


def test_delay_sends_the_whole_message(app: Any, add: Any) -> None:
    result = add.delay(2, y=3)

    message = only(app)
    assert message.headers.keys() == HEADERS
    assert message.headers["task"] == "proj.add"
    assert message.headers["id"] == message.headers["root_id"] == result.id
    assert message.headers["argsrepr"] == "(2,)"
    assert message.headers["kwargsrepr"] == "{'y': 3}"
    assert message.headers["ignore_result"] is False
    assert message.headers["origin"] == app.origin
    assert message.properties["correlation_id"] == result.id
    assert message.properties["reply_to"] == app.oid
    assert message.properties["delivery_mode"] == 2
    assert (body_of(message).args, body_of(message).kwargs) == ([2], {"y": 3})


def test_bare_send_task_leaves_ignore_result_open(app: Any) -> None:
    app.send_task("elsewhere.task", (1,))

    assert only(app).headers["ignore_result"] is None


def test_options_become_headers_and_properties(app: Any, add: Any) -> None:
    add.apply_async(
        (1, 2),
        task_id="my-id",
        shadow="nice",
        priority=5,
        time_limit=30,
        soft_time_limit=20,
        headers={"x": 1},
        group_id="g",
        group_index=3,
        retries=2,
        reply_to="there",
        argsrepr="<hidden>",
        ignore_result=True,
        delivery_mode="transient",
        replaced_task_nesting=1,
    )

    message = only(app)
    headers = message.headers
    assert (headers["id"], headers["shadow"], headers["x"]) == ("my-id", "nice", 1)
    assert headers["timelimit"] == [30, 20]
    assert (headers["group"], headers["group_index"], headers["retries"]) == ("g", 3, 2)
    assert (headers["argsrepr"], headers["ignore_result"]) == ("<hidden>", True)
    assert headers["replaced_task_nesting"] == 1
    assert message.properties["priority"] == 5
    assert message.properties["reply_to"] == "there"
    assert message.properties["delivery_mode"] == 1


def test_other_options_are_message_properties(app: Any, add: Any) -> None:
    add.apply_async((1, 2), message_id="m1", producer=object())

    assert only(app).properties["message_id"] == "m1"
    assert "producer" not in only(app).properties


@pytest.mark.parametrize(
    ("option", "eta"),
    [
        ({"countdown": 10}, "2027-01-15T08:00:10+00:00"),
        ({"countdown": 0}, None),
        ({"eta": NOW + timedelta(hours=1)}, "2027-01-15T09:00:00+00:00"),
        ({"eta": datetime(2027, 1, 15, 9)}, "2027-01-15T09:00:00+00:00"),
        ({"eta": "2027-01-15T09:00:00+00:00"}, "2027-01-15T09:00:00+00:00"),
    ],
)
def test_countdown_and_eta_are_instants(app: Any, add: Any, option: Any, eta: Any) -> None:
    add.apply_async((1, 2), **option)

    assert only(app).headers["eta"] == eta


@pytest.mark.parametrize(
    ("expires", "expected", "milliseconds"),
    [
        (120, "2027-01-15T08:02:00+00:00", "120000"),
        (0.5, "2027-01-15T08:00:00.500000+00:00", "500"),
        (NOW + timedelta(minutes=1), "2027-01-15T08:01:00+00:00", "60000"),
    ],
)
def test_expires_is_an_instant_and_a_deadline(
    app: Any, add: Any, expires: Any, expected: str, milliseconds: str
) -> None:
    add.apply_async((1, 2), expires=expires)

    assert only(app).headers["expires"] == expected
    assert only(app).properties["expiration"] == milliseconds


def test_an_expired_call_is_warned_about(app: Any, add: Any) -> None:
    with pytest.warns(UserWarning, match="expired already"):
        add.apply_async((1, 2), expires=NOW - timedelta(seconds=5))

    assert only(app).properties["expiration"] == "0"


def test_naive_instants_are_in_the_apps_zone(app: Any, add: Any) -> None:
    app.conf.timezone = "Europe/Oslo"

    add.apply_async((1, 2), eta=datetime(2027, 6, 1, 12))

    assert only(app).headers["eta"] == "2027-06-01T12:00:00+02:00"


def test_task_attributes_are_defaults_of_the_call(app: Any) -> None:
    @app.task(name="proj.slow", queue="slow", time_limit=9, priority=3, expires=60)
    def slow() -> None: ...

    slow.delay()
    slow.apply_async(queue="other", time_limit=1)

    assert only(app, "slow").headers["timelimit"] == [9, None]
    assert only(app, "slow").properties["priority"] == 3
    assert only(app, "slow").headers["expires"]
    assert only(app, "other").headers["timelimit"] == [1, None]


class TestArguments:
    def test_are_checked_before_sending(self, app: Any, add: Any) -> None:
        for args, kwargs in [((1,), {}), ((1, 2, 3), {}), ((1, 2), {"z": 3})]:
            with pytest.raises(TypeError, match=r"proj.add\(\)"):
                add.apply_async(args, kwargs)

        assert sent(app) == []

    def test_are_not_checked_without_typing(self, app: Any) -> None:
        @app.task(name="proj.loose", typing=False)
        def loose(x: int) -> None: ...

        loose.delay(1, 2, 3)

        assert body_of(only(app)).args == [1, 2, 3]

    def test_are_not_checked_in_a_lax_app(self) -> None:
        app = make_app(strict_typing=False)
        app.task(name="proj.one", lazy=False)(lambda x: x).delay()

        assert len(sent(app)) == 1

    def test_bound_tasks_do_not_count_themselves(self, app: Any) -> None:
        @app.task(bind=True, name="proj.bound")
        def bound(self: Any, x: int, *, flag: bool) -> None: ...

        bound.delay(1, flag=True)
        with pytest.raises(TypeError, match="flag"):
            bound.delay(1)

    def test_must_be_lists_and_mappings(self, app: Any) -> None:
        with pytest.raises(TypeError, match="list or tuple"):
            app.send_task("x", "abc")
        with pytest.raises(TypeError, match="mapping"):
            app.send_task("x", (), [("a", 1)])

    def test_that_cannot_be_serialised_send_nothing(self, app: Any, add: Any) -> None:
        with pytest.raises(EncodeError):
            add.delay(1, object())

        assert sent(app) == []


class TestLineage:
    @pytest.fixture
    def parent(self, app: Any) -> Any:
        @app.task(name="proj.parent")
        def parent() -> None: ...

        task = app.tasks["proj.parent"]
        run = Context(id="p1", root_id="r1", called_directly=False, delivery_info={"priority": 7})
        current.push_task(task)
        task.push_request(run)
        yield run
        task.pop_request()
        current.pop_task()

    def test_a_call_from_a_task_has_its_parent_and_root(
        self, app: Any, add: Any, parent: Any
    ) -> None:
        result = add.delay(1, 2)

        headers = only(app).headers
        assert (headers["parent_id"], headers["root_id"]) == ("p1", "r1")
        assert parent.children == [result]

    def test_priority_is_inherited_when_asked(self, app: Any, add: Any, parent: Any) -> None:
        app.conf.task_inherit_parent_priority = True

        add.delay(1, 2)

        assert only(app).properties["priority"] == 7

    def test_a_call_may_stay_out_of_the_children(self, app: Any, add: Any, parent: Any) -> None:
        add.apply_async((1, 2), add_to_parent=False)

        assert parent.children == []
        assert only(app).headers["parent_id"] == "p1"

    def test_waiting_in_a_task_is_forbidden(self, add: Any, parent: Any) -> None:
        result = add.delay(1, 2)

        with pytest.raises(RuntimeError, match=r"result\.get\(\) within a task"):
            result.get(timeout=0)


class TestMany:
    def test_go_out_in_one_write(self) -> None:
        broker = RecordingBroker()
        app = make_app(broker=broker)
        task = app.task(name="proj.one", lazy=False)(lambda x: x)

        results = app.send_many(
            [(task, (1,)), ("proj.one", (2,), {}, {"queue": "b"}), task.s(3), "elsewhere"]
        )

        assert [len(batch) for batch in broker.batches] == [4]
        assert [each.message.headers["id"] for each in broker.batches[0]] == [
            result.id for result in results
        ]
        assert broker.batches[0][1].routing_key == "b"

    def test_are_all_checked_before_the_first_is_sent(self) -> None:
        broker = RecordingBroker()
        app = make_app(broker=broker)
        task = app.task(name="proj.one", lazy=False)(lambda x: x)

        with pytest.raises(TypeError):
            app.send_many([(task, (1,)), (task, ())])

        assert broker.batches == []

    def test_none_is_no_write(self) -> None:
        broker = RecordingBroker()

        assert make_app(broker=broker).send_many([]) == []
        assert broker.batches == []


def test_send_task_ignores_always_eager(app: Any) -> None:
    app.conf.task_always_eager = True

    with pytest.warns(AlwaysEagerIgnored):
        app.send_task("proj.add", (1, 2))

    assert len(sent(app)) == 1


def test_a_call_can_be_built_for_somebody_else(app: Any, add: Any) -> None:
    publication, result = app.build_call("proj.add", (1, 2), queue="later")
    other, _ = app.build_signature(add.s(2), (1,), parent_id="p")

    assert (publication.exchange, publication.routing_key) == ("", "later")
    assert publication.message.headers["id"] == result.id
    assert body_of(other.message).args == [1, 2]
    assert other.message.headers["parent_id"] == "p"
    assert sent(app) == []


def test_changed_settings_count_at_once(app: Any, add: Any) -> None:
    add.delay(1, 2)
    app.conf.task_default_queue = "moved"

    add.delay(1, 2)

    assert len(sent(app, "moved")) == 1


def test_plain_calls_warn_of_nothing(add: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        add.delay(1, 2)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_reprs_of_arguments_go_as_deep_as_is_set(levels: int) -> None:
    app = make_app(task_repr_maxlevels=levels)
    deep = [[["bottom"]]]

    app.send_task("add", (deep,), {"x": deep})

    (message,) = sent(app)
    assert message.headers["argsrepr"] == celerys_saferepr((deep,), 1024, levels)
    assert ("bottom" in message.headers["argsrepr"]) == (levels > 3)
    assert message.headers["kwargsrepr"] == celerys_saferepr({"x": deep}, 1024, levels)

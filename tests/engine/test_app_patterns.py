"""Calls that say the same are made by a short way: what goes out is what the whole way makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from client_rig import RecordingBroker, body_of, make_app, sent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tqconsole.engine import current, signals
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import EncodeError
from tqconsole.engine.protocol.envelope import to_envelope
from tqconsole.engine.protocol.transfer import Publication

OPTIONS: list[dict[str, Any]] = [
    {},
    {"queue": "low"},
    {"exchange": "media", "routing_key": "media.video", "exchange_type": "topic"},
    {"delivery_mode": "transient"},
    {"priority": 3},
    {"ignore_result": True},
    {"time_limit": 30, "soft_time_limit": 2.5},
    {"retries": 2},
    {"shadow": "another name"},
    {"shadow": ""},
    {"group_id": "g-1", "group_index": 4, "root_id": "r-1", "parent_id": "p-1"},
    {"root_id": "", "parent_id": "", "group_id": ""},
    {"reply_to": "somewhere"},
    {"reply_to": ""},
    # These go the whole way, each time.
    {"eta": "2030-01-01T00:00:00"},
    {"headers": {"x": 1}},
    {"link": [{"task": "proj.add", "args": []}]},
    {"serializer": "pickle"},
    {"compression": "gzip"},
    {"argsrepr": "secret"},
    {"stamped_headers": ["tenant"], "tenant": "a"},
    {"app_id": "x"},
]
ARGUMENTS: list[tuple[Any, dict[str, Any]]] = [
    ((), {}),
    ((1, None, True, -2.5), {}),
    ([1, [2, {"a": "é'\n"}]], {"key": (1, 2)}),
    ((float("nan"), 2**70), {}),
    (("\ud800",), {"\ud801": 1}),
    (({1: 2}, "x" * 2000), {"n": list(range(400))}),
    ((b"bytes",), {}),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


def route_nowhere(name: str, args: Any, kwargs: Any, options: Any, task: Any = None) -> None:
    """A route that looks at the call: what it answers may not be kept."""


@pytest.fixture
def app() -> Any:
    return make_app()


@pytest.fixture
def publication_of() -> Iterator[Callable[..., Publication]]:
    app = make_app()
    yield lambda *call, **options: app.build_call("proj.add", *call, **options)[0]
    app.close()


def whole_way(args: Any, kwargs: Any, **options: Any) -> Publication:
    app = make_app(task_routes=[route_nowhere])
    return app.build_call("proj.add", args, kwargs, **options)[0]


def assert_same(short: Publication, whole: Publication) -> None:
    """Same address, same message, and the same bytes where a broker writes an envelope."""
    assert (short.exchange, short.routing_key) == (whole.exchange, whole.routing_key)
    assert repr(short.message) == repr(whole.message)
    assert list(short.message.headers) == list(whole.message.headers)
    written = [
        to_envelope(it.message, it.exchange, it.routing_key, "tag", is_plain=it.is_plain)
        for it in (short, whole)
    ]
    assert written[0] == written[1]


@pytest.mark.parametrize(("args", "kwargs"), ARGUMENTS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_later_calls_are_like_the_whole_way(
    options: dict[str, Any], args: Any, kwargs: dict[str, Any], publication_of: Any
) -> None:
    publication_of((0,), {}, **options, task_id="id-0")
    short = publication_of(args, kwargs, **options, task_id="id-1")

    said = {"reply_to": short.message.properties["reply_to"], **options, "task_id": "id-1"}
    assert_same(short, whole_way(args, kwargs, **said))


# How long it takes says nothing of what it tests.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(VALUES), st.dictionaries(st.text(), VALUES))
def test_any_arguments_are_like_the_whole_way(args: list[Any], kwargs: dict[str, Any]) -> None:
    app = make_app()
    app.build_call("proj.add")
    short, result = app.build_call("proj.add", args, kwargs)

    assert_same(short, whole_way(args, kwargs, reply_to=app.oid, task_id=result.id))


def test_a_setting_changes_what_follows(app: Any) -> None:
    app.send_task("proj.add")
    app.send_task("proj.add")
    app.conf.task_routes = {"proj.*": "low"}
    app.send_task("proj.add")

    assert (len(sent(app)), len(sent(app, "low"))) == (2, 1)


@pytest.mark.parametrize(
    "route",
    [
        {"queue": "low"},
        {"shadow": "other"},
        {"reply_to": "elsewhere"},
        {"group_id": "g", "group_index": 1},
        {"root_id": "r", "parent_id": "p"},
        {"priority": 4, "ignore_result": True, "time_limit": 3, "delivery_mode": 1},
        {"countdown": 30},
        {"expires": 30},
        {"headers": {"x": 1}},
        {"app_id": "x"},
        {"add_to_parent": False, "retry": False},
    ],
    ids=str,
)
def test_what_a_route_says_holds_for_each_call(route: dict[str, Any]) -> None:
    app = make_app(task_routes={"proj.*": route}, clock=ManualClock(1_800_000_000.0))
    first, *others = [app.build_call("proj.add", task_id="id-1")[0] for _ in range(3)]

    for other in others:
        assert repr(other.message) == repr(first.message)
        assert (other.exchange, other.routing_key) == (first.exchange, first.routing_key)


def test_a_task_changes_what_follows(app: Any) -> None:
    add = app.task(name="proj.add")(lambda: None)
    add.delay()
    add.delay()
    add.priority = 7
    type(app.tasks["proj.add"]).queue = "low"
    add.delay()

    assert len(sent(app)) == 2
    (message,) = sent(app, "low")
    assert message.properties["priority"] == 7


def test_a_queue_that_is_described_anew_changes_what_follows(app: Any) -> None:
    fields = {"name": "media", "exchange": "media", "exchange_type": "direct"}
    app.queue_spec(fields)
    before = [app.build_call("proj.add", queue="media")[0] for _ in range(2)]
    app.queue_spec({**fields, "exchange_type": "topic", "delivery_mode": 1})
    after, _ = app.build_call("proj.add", queue="media")

    assert [it.exchange for it in (*before, after)] == ["", "", "media"]
    assert after.message.properties["delivery_mode"] == 1


def test_a_special_queue_is_declared_at_each_broker() -> None:
    app = make_app(task_queue_max_priority=5)
    for _ in range(2):
        app.broker = RecordingBroker()
        app.send_task("proj.add")
        app.send_task("proj.add")
        assert [it.name for it in app.broker.declared] == ["celery"]


def test_equal_values_of_other_types_are_other_calls(publication_of: Any) -> None:
    priorities = [True, 1, True]
    made = [publication_of(priority=it).message.properties["priority"] for it in priorities]
    assert list(map(repr, made)) == ["True", "1", "True"]


def test_messages_share_nothing_that_can_be_changed(publication_of: Any) -> None:
    first, second, third = (publication_of(time_limit=9).message for _ in range(3))
    second.headers["stamps"]["x"] = second.headers["x"] = 1
    second.headers["timelimit"].append(1)
    second.properties["x"] = 1

    assert third.headers.keys() == first.headers.keys()
    assert third.properties.keys() == first.properties.keys()
    assert (third.headers["stamps"], third.headers["timelimit"]) == ({}, [9, None])


def test_receivers_change_each_call(app: Any) -> None:
    def mark(headers: dict[str, Any], **named: Any) -> None:
        headers["number"] = len(sent(app))

    app.send_task("proj.add")
    app.send_task("proj.add")
    signals.before_task_publish.connect(mark)
    try:
        app.send_task("proj.add")
        app.send_task("proj.add")
    finally:
        signals.before_task_publish.disconnect(mark)
    app.send_task("proj.add")

    numbers = [message.headers.get("number") for message in sent(app)]
    assert numbers == [None, None, 2, 3, None]


def test_a_call_inside_a_run_is_its_child(app: Any) -> None:
    task = app.tasks["celery.map"]
    run = Context(id="run-1", root_id="root-1", called_directly=False)
    app.send_task("proj.add")
    current.push_task(task)
    task.push_request(run)
    result = app.send_task("proj.add")
    for _ in range(2):
        app.send_task("proj.add", add_to_parent=False)
    task.pop_request()
    current.pop_task()

    lineage = [(it.headers["root_id"], it.headers["parent_id"]) for it in sent(app)[1:]]
    assert lineage == [("root-1", "run-1")] * 3
    assert run.children == [result]


@pytest.mark.parametrize("option", ["task_id", "root_id", "parent_id", "group_id", "reply_to"])
@pytest.mark.parametrize("value", ["x" * 256, "a\nb", 5])
def test_unfit_ids_are_refused_each_time(option: str, value: Any, app: Any) -> None:
    app.send_task("proj.add", **{option: "fine"})
    for _ in range(2):
        with pytest.raises(EncodeError, match=option.removeprefix("task_")):
            app.send_task("proj.add", **{option: value})


def test_ever_new_options_are_each_right(app: Any) -> None:
    for limit_s in range(1, 600):
        publication, _ = app.build_call("proj.add", (limit_s,), time_limit=limit_s)
        assert publication.message.headers["timelimit"] == [limit_s, None]
        assert json.loads(publication.message.body)[0] == [limit_s]


def test_results_are_told_of_as_the_call_says(app: Any) -> None:
    ignored = [app.send_task("proj.add", ignore_result=True).ignored for _ in range(2)]
    kept = [app.send_task("proj.add").ignored for _ in range(2)]
    assert (ignored, kept) == ([True, True], [False, False])


def test_many_calls_are_made_the_same_way(app: Any) -> None:
    add = app.task(name="proj.add")(lambda x, y=0: x + y)
    app.send_many([(add, (1,)), ("proj.add", (2,), {"y": 3}), add.s(4), (add, [5], None, None)])

    bodies = [body_of(message) for message in sent(app)]
    assert [(it.args, it.kwargs) for it in bodies] == [
        ([1], {}), ([2], {"y": 3}), ([4], {}), ([5], {}),
    ]  # fmt: skip

"""Results of several calls: waited for together, saved, restored, drawn."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest
from client_rig import finish, make_app

from tqconsole.engine import exceptions
from tqconsole.engine.app import App
from tqconsole.engine.result import AsyncResult, GroupResult, ResultSet, result_from_tuple


@pytest.fixture
def app() -> App:
    return make_app()


@pytest.fixture
def group(app: App) -> GroupResult:
    made: GroupResult = app.GroupResult("g", [app.AsyncResult(name) for name in "abc"])
    return made


def test_all_values_come_in_order(app: App, group: GroupResult) -> None:
    for number, name in enumerate("cba"):
        finish(app, name, number)

    assert group.get(timeout=1) == group.join(timeout=1) == [2, 1, 0]
    assert list(group.iterate(timeout=1)) == [2, 1, 0]
    assert [task_id for task_id, _ in group.iter_native(timeout=1)] == ["a", "b", "c"]
    assert (group.ready(), group.successful(), group.completed_count()) == (True, True, 3)


def test_how_many_have_ended_is_told(app: App, group: GroupResult) -> None:
    finish(app, "a", 1)
    finish(app, "b", ValueError("no"), "FAILURE")

    assert (group.completed_count(), group.failed(), group.waiting()) == (1, True, True)
    assert (group.ready(), group.successful()) == (False, False)


def test_a_failure_is_raised_or_returned(app: App, group: GroupResult) -> None:
    finish(app, "a", 1)
    finish(app, "b", ValueError("no"), "FAILURE")
    finish(app, "c", 3)

    with pytest.raises(ValueError, match="no"):
        group.get(timeout=1)
    with pytest.raises(ValueError, match="no"):
        group.maybe_throw()
    assert [str(value) for value in group.get(timeout=1, propagate=False)] == ["1", "no", "3"]


@pytest.mark.parametrize("wait", ["get", "join", "join_native"])
def test_waiting_ends_in_time(app: App, group: GroupResult, wait: str) -> None:
    finish(app, "a", 1)

    with pytest.raises(exceptions.TimeoutError):
        getattr(group, wait)(timeout=0.01)


def test_callbacks_get_each_value(app: App, group: GroupResult) -> None:
    for name in "abc":
        finish(app, name, name.upper())
    got: list[Any] = []

    assert group.get(timeout=1, callback=lambda *each: got.append(each)) is None
    assert group.join(timeout=1, callback=lambda *each: got.append(each)) == []

    assert got == [("a", "A"), ("b", "B"), ("c", "C")] * 2


def test_messages_are_told_as_they_come(app: App, group: GroupResult) -> None:
    for name in "abc":
        finish(app, name, 1)
    told: list[str] = []

    group.get(timeout=1, on_message=lambda meta: told.append(meta["task_id"]))

    assert told == ["a", "b", "c"]
    with pytest.raises(exceptions.ImproperlyConfigured, match="on_message"):
        group.join(on_message=print)


def test_waiting_for_many_reads_them_a_few_times(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"t{number}" for number in range(5_000)]
    for name in names:
        finish(app, name, 1)
    asked: list[int] = []
    fetch = app.backend.fetch
    monkeypatch.setattr(app.backend, "fetch", lambda ids: (asked.append(len(ids)), fetch(ids))[1])

    values = app.GroupResult("g", [app.AsyncResult(name) for name in names]).get(timeout=10)

    assert len(values) == 5_000
    assert sum(asked) <= 2 * 5_000


def test_then_is_called_when_the_end_is_known(app: App, group: GroupResult) -> None:
    told: list[Any] = []
    one = app.AsyncResult("a")
    one.then(lambda result: told.append(result.id))
    group.then(lambda result: told.append(result.id), lambda error: told.append(str(error)))
    for name in "ab":
        finish(app, name, 1)
    finish(app, "c", ValueError("no"), "FAILURE")
    assert told == []

    one.get(timeout=1)
    group.ready()
    one.then(lambda result: told.append("at once"))

    assert told == ["a", "no", "at once"]


def test_a_group_can_be_saved_and_restored(app: App, group: GroupResult) -> None:
    group.parent = app.AsyncResult("before")
    group.save()

    found = app.GroupResult.restore("g")

    assert found == group
    assert found.parent == AsyncResult("before")
    assert app.backend.get("celery-taskset-meta-g") is not None
    found.delete()
    assert app.GroupResult.restore("g") is None


def test_what_is_no_saved_group_is_said(app: App) -> None:
    app.backend.put("celery-taskset-meta-g", b'{"result": 5}', 60)

    with pytest.raises(exceptions.BackendError, match="The stored group g cannot be read"):
        app.GroupResult.restore("g")


def test_it_is_a_set_of_results(app: App) -> None:
    a, b = app.AsyncResult("a"), app.AsyncResult("b")
    results: ResultSet = app.ResultSet([a])

    results.add(a)
    results.update([a, b])

    assert (len(results), list(results), results[1]) == (2, [a, b], b)
    results.discard(app.AsyncResult("c"))
    with pytest.raises(KeyError):
        results.remove(app.AsyncResult("c"))
    results.remove(a)
    assert results == app.ResultSet([b])
    results.clear()
    assert results.get(timeout=1) == []


def test_forgetting_deletes_all_records(app: App, group: GroupResult) -> None:
    for name in "abc":
        finish(app, name, 1)

    group.forget()

    assert app.backend.fetch(list("abc")) == {}


def test_revoking_names_all_ids(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    revoked: list[Any] = []
    monkeypatch.setattr(app.control, "revoke", lambda ids, **options: revoked.append(ids))
    inner = app.GroupResult("h", [app.AsyncResult("x")])

    app.GroupResult("g", [app.AsyncResult("a"), inner]).revoke()

    assert revoked == [["a", "x"]]


def test_tuples_are_celerys_and_come_back(app: App, group: GroupResult) -> None:
    nested = app.GroupResult("n", [group, app.AsyncResult("z")], parent=app.AsyncResult("p"))

    as_tuple = nested.as_tuple()

    members = [(((name, None)), None) for name in "abc"]
    assert as_tuple == (("n", (("p", None), None)), [(("g", None), members), (("z", None), None)])
    assert result_from_tuple(as_tuple, app) == nested
    with pytest.raises(ValueError, match="no result tuple"):
        result_from_tuple([5, 6], app)
    assert pickle.loads(pickle.dumps(group)).as_tuple() == group.as_tuple()


def test_groups_inside_are_lists(app: App, group: GroupResult) -> None:
    for name in "abcz":
        finish(app, name, name)
    nested = app.GroupResult("n", [group, app.AsyncResult("z")])

    assert nested.get(timeout=1) == [["a", "b", "c"], "z"]


def test_a_graph_can_be_drawn(app: App, group: GroupResult) -> None:
    finish(app, "root", 1, children=[group.as_tuple()])
    for name in "abc":
        finish(app, name, 1, children=[])
    root = app.AsyncResult("root")
    page = io.StringIO()

    graph = root.graph
    graph.to_dot(page)

    assert [str(node) for node in graph.topsort()] == ["root", "g", "a", "b", "c"]
    assert '  "root" -> "g";\n' in page.getvalue()
    assert '  "g" -> "c";\n' in page.getvalue()
    assert graph.valency_of(root) == 5


def test_an_unfinished_graph_is_an_error_when_asked_for(app: App) -> None:
    with pytest.raises(exceptions.IncompleteStream):
        app.AsyncResult("open").build_graph()

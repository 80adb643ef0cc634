"""What workers make of canvases beside their values: parents, children, errors, replacing."""

from __future__ import annotations

from typing import Any

import pytest
from canvas_rig import Worker, add_tasks, names

from tqconsole.engine import chain, chord, group
from tqconsole.engine.exceptions import ChordError, ImproperlyConfigured


def headers_of(worker: Worker, task: str) -> list[dict[str, Any]]:
    return [message.headers for message in worker.ran if message.headers["task"] == task]


def test_a_chain_is_one_flow(worker: Worker, t: Any) -> None:
    result = chain(t.add.s(1, 1), t.double.s(), t.ident.s())()
    worker.run_all()

    first, second, third = (message.headers for message in worker.ran)
    assert {it["root_id"] for it in (first, second, third)} == {first["id"]}
    assert [second["parent_id"], third["parent_id"]] == [first["id"], second["id"]]
    assert (result.id, result.parent.id) == (third["id"], second["id"])
    assert [child.id for child in result.parent.parent.children] == [second["id"]]


def test_the_body_belongs_to_the_flow_of_its_header(worker: Worker, t: Any) -> None:
    chord([t.add.s(1, 1), t.add.s(2, 2)], t.xsum.s())()
    worker.run_all()

    parts, (body,) = headers_of(worker, "add"), headers_of(worker, "xsum")
    assert body["root_id"] == parts[0]["id"] == parts[1]["root_id"]
    assert body["parent_id"] == parts[1]["id"]
    assert body["group"] == parts[0]["group"]


def test_a_group_at_the_end_is_a_child(worker: Worker, t: Any) -> None:
    result = (t.ident.s(1) | group(t.add.s(1), t.add.s(2)))()
    worker.run_all()

    (child,) = result.parent.children
    assert child == worker.app.GroupResult(result.id, result.results)
    assert [value for _, value in result.parent.collect()] == [1, [2, 3], 2, 3]
    assert result.parent.get_leaf() == 3
    assert len(result.parent.graph) == 4


def test_a_failed_part_fails_the_body_with_celerys_words(worker: Worker, t: Any) -> None:
    result = chord([t.add.s(1, 1), t.fail.s()], t.xsum.s() | t.double.s())()
    worker.run_all()

    part = result.parent.parent.results[1]
    error = result.get(propagate=False, timeout=1)
    assert isinstance(error, ChordError)
    assert str(error) == f"Dependency {part.id} raised ValueError('no')"
    assert result.parent.state == "FAILURE"
    with pytest.raises(ValueError, match="no"):
        result.get(timeout=1)


def test_both_styles_of_errbacks_hear_of_a_failed_chord(worker: Worker, t: Any) -> None:
    heard: list[Any] = []
    note = worker.app.task(name="note", lazy=False)(lambda task_id: heard.append(task_id))
    shout = worker.app.task(name="shout", lazy=False)(
        lambda request, error, trace: heard.append((request.id, type(error)))
    )
    body = t.xsum.s().on_error(note.s()).on_error(shout.s())

    result = chord([t.fail.s(), t.fail.s()], body)()
    worker.run_all()

    assert heard == [(result.id, ChordError), result.id]


@pytest.mark.parametrize("way", ["a chord of a chord", "groups in a chain", "on the chord"])
def test_the_innermost_body_hears_of_a_failed_header(worker: Worker, t: Any, way: str) -> None:
    """However a chord of a chord was put together; with Celery nobody hears, and `get` hangs."""
    heard: list[str] = []
    note = worker.app.task(name="note", lazy=False)(lambda task_id: heard.append(task_id))
    header, inner = group(t.add.s(1, 1), t.fail.s()), group(t.xsum.s(), t.ident.s())
    last = t.ident.s() if way == "on the chord" else t.ident.s().on_error(note.s())

    flow = header | inner | last if way == "groups in a chain" else chord(header, inner | last)
    result = (flow.on_error(note.s()) if way == "on the chord" else flow).delay()
    worker.run_all()

    assert heard == [result.id]
    assert isinstance(result.get(propagate=False, timeout=1), ChordError)


def test_an_errback_of_a_chain_is_every_steps(worker: Worker, t: Any) -> None:
    heard: list[str] = []
    note = worker.app.task(name="note", lazy=False)(lambda task_id: heard.append(task_id))

    result = chain(t.add.s(1, 1), t.fail.s(), t.double.s()).apply_async(link_error=note.s())
    worker.run_all()

    assert heard == [result.parent.id]
    assert isinstance(result.get(propagate=False, timeout=1), ValueError)


def test_an_errback_of_a_group_is_every_members(worker: Worker, t: Any) -> None:
    heard: list[str] = []
    note = worker.app.task(name="note", lazy=False)(lambda task_id: heard.append(task_id))
    flow = group(t.add.s(1, 1), t.fail.s(), t.fail.s())

    flow.link_error(note.s())
    result = flow()
    worker.run_all()

    assert heard == [part.id for part in result.results[1:]]


@pytest.mark.parametrize("is_for_parts", [True, False])
def test_an_errback_of_a_chord_is_its_parts_when_that_is_set(*, is_for_parts: bool) -> None:
    worker = Worker(task_allow_error_cb_on_chord_header=is_for_parts)
    tasks = add_tasks(worker.app)
    heard: list[str] = []
    note = worker.app.task(name="note", lazy=False)(lambda: heard.append("told"))
    flow = chord([tasks["add"].s(1, 1), tasks["fail"].s(), tasks["fail"].s()], tasks["xsum"].s())

    flow.link_error(note.si())
    flow.delay()
    worker.run_all()

    # Two parts failed, and the body did.
    assert heard == ["told"] * (3 if is_for_parts else 1)


def test_it_can_be_run_here_and_now(worker: Worker, t: Any) -> None:
    parts = group(t.add.s(1, 1), t.add.s(2, 2))

    assert chain(t.add.s(1, 1), t.double.s()).apply().get() == 4
    assert parts.apply().get() == [2, 4]
    assert chord(parts, t.xsum.s()).apply().get() == 6
    assert not worker.fetch()


def test_a_group_that_never_began_fails_too(worker: Worker, t: Any) -> None:
    result = (t.fail.s() | group(t.add.s(1), t.add.s(2)))()
    worker.run_all()

    assert [part.state for part in result.results] == ["FAILURE", "FAILURE"]


def test_links_follow_the_end(worker: Worker, t: Any) -> None:
    seen: list[Any] = []
    see = worker.app.task(name="see", lazy=False)(lambda value: seen.append(value))

    chain(t.add.s(1, 1), t.double.s()).apply_async(link=see.s())
    chord([t.add.s(1, 1)], t.xsum.s()).apply_async(link=see.s())
    group(t.add.s(1, 1), t.add.s(2, 2)).set(queue="celery").tasks[1].link(see.s())
    worker.run_all()

    assert seen == [4, 2]


def test_a_part_that_is_no_value_leaves_the_chord_open(worker: Worker, t: Any) -> None:
    from tqconsole.engine.exceptions import Ignore

    @worker.app.task(name="skip")
    def skip() -> None:
        raise Ignore

    result = chord([t.add.s(1, 1), skip.s()], t.xsum.s())()
    worker.run_all()

    assert result.state == "PENDING"


def test_a_chord_that_ignores_results_comes_together(worker: Worker, t: Any) -> None:
    silent = worker.app.task(name="silent", ignore_result=True, lazy=False)(lambda x: x)

    result = chord([silent.s(1), silent.s(2)], t.xsum.s())()
    worker.run_all()

    assert result.get(timeout=1) == 3


class TestReplacing:
    def test_the_replacement_has_the_runs_id_and_links(self, worker: Worker, t: Any) -> None:
        seen: list[Any] = []
        see = worker.app.task(name="see", lazy=False)(lambda value: seen.append(value))

        @worker.app.task(name="swap", bind=True)
        def swap(self: Any) -> Any:
            return self.replace(chain(t.add.s(1, 1), t.double.s()))

        result = swap.apply_async(link=see.s())
        worker.run_all()

        assert (result.get(timeout=1), seen) == (4, [4])
        double = headers_of(worker, "double")[0]
        assert (double["id"], double["replaced_task_nesting"]) == (result.id, 1)

    def test_what_follows_goes_on_behind_it(self, worker: Worker, t: Any) -> None:
        @worker.app.task(name="swap", bind=True)
        def swap(self: Any, x: int) -> Any:
            raise self.replace(group(t.add.s(x, 1), t.add.s(x, 2)))

        result = chord([swap.s(1) | t.xsum.s(), t.add.s(0, 1)], t.xsum.s())()
        worker.run_all()

        assert result.get(timeout=1) == 6

    def test_it_leaves_with_the_settlement(self, worker: Worker, t: Any) -> None:
        @worker.app.task(name="swap", bind=True)
        def swap(self: Any) -> Any:
            raise self.replace(t.add.s(1, 1))

        swap.delay()
        worker.fetch()
        outcome = worker.run_only(worker.pending.popleft())

        assert outcome.state == "IGNORED"
        assert names([it.message for it in outcome.publications]) == ["add"]
        assert worker.app.broker.peek("celery", 9) == []

    def test_it_can_be_overridden(self, worker: Worker, t: Any) -> None:
        seen: list[Any] = []

        class Watching(worker.app.Task):  # type: ignore[misc, name-defined]
            def on_replace(self, sig: Any) -> Any:
                seen.append(sig.task)
                return super().on_replace(sig)

        @worker.app.task(name="swap", bind=True, base=Watching)
        def swap(self: Any) -> Any:
            raise self.replace(t.add.s(1, 1))

        result = swap.delay()
        worker.run_all()

        assert (result.get(timeout=1), seen) == (2, ["add"])

    def test_what_cannot_stand_there_is_refused(self, worker: Worker, t: Any) -> None:
        @worker.app.task(name="swap", bind=True)
        def swap(self: Any, sig: Any) -> Any:
            raise self.replace(worker.app.signature(sig))

        part = t.add.s(1, 1).set(chord=t.xsum.s())
        results = [swap.delay(part), swap.delay(chain(app=worker.app))]
        worker.run_all()

        errors = [result.get(propagate=False, timeout=1) for result in results]
        assert [type(error) for error in errors] == [ImproperlyConfigured, ImproperlyConfigured]

    def test_called_as_a_function_it_gives_the_value(self, worker: Worker, t: Any) -> None:
        @worker.app.task(name="swap", bind=True)
        def swap(self: Any) -> Any:
            return self.replace(t.add.s(1, 1) | t.double.s())

        assert swap() == 4
        assert swap.apply().get() == 4


def test_a_chord_grows_while_it_runs(worker: Worker, t: Any) -> None:
    @worker.app.task(name="grow", bind=True)
    def grow(self: Any, x: int) -> int:
        self.add_to_chord(t.double.s(x))
        self.add_to_chord(t.ident.s(100), lazy=True).delay()
        return x

    result = chord([grow.s(1), t.add.s(1, 1)], t.ident.s())()
    worker.run_all()

    assert result.get(timeout=1)[:2] == [1, 2]
    assert sorted(result.get(timeout=1)[2:]) == [2, 100]


def test_only_a_part_can_let_its_chord_grow(worker: Worker, t: Any) -> None:
    @worker.app.task(name="grow", bind=True)
    def grow(self: Any) -> None:
        self.add_to_chord(t.double.s(1))

    result = grow.delay()
    worker.run_all()

    assert "not member of any chord" in str(result.get(propagate=False, timeout=1))

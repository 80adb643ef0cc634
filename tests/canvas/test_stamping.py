"""Stamps are put where the real Celery puts them, and travel with the calls."""

from __future__ import annotations

import copy
from typing import Any

import celery
import celery.canvas
import pytest
from canvas_rig import Worker

import tqconsole.engine
import tqconsole.engine.canvas
from tqconsole.engine.canvas import GroupStampingVisitor

ANSWERS = {
    "on_signature": lambda sig: {"sig": sig.task, "both": "v"},
    "on_chain_start": lambda sig: {"in_chain": True},
    "on_group_start": lambda sig: {"in_group": "g"},
    "on_chord_body": lambda sig: {"body": 1},
    "on_callback": lambda sig: {"callback": 1},
    "on_errback": lambda sig: {"errback": 1},
}


def visitor(canvas: Any) -> Any:
    methods = {
        name: lambda self, sig, _answer=answer, **headers: _answer(sig)
        for name, answer in ANSWERS.items()
    }
    return type("Visitor", (canvas.StampingVisitor,), methods)()


def picking(canvas: Any) -> Any:
    answer = {"job": 1, "not_a_stamp": 2, "stamped_headers": ["job"]}
    methods = {"on_signature": lambda self, sig, **headers: dict(answer)}
    return type("Picking", (canvas.StampingVisitor,), methods)()


def linked(m: Any, add: Any) -> Any:
    sig = add.s(1, 2)
    sig.link(add.s(3))
    sig.link_error(add.s(4))
    return sig


def twice(first: Any, **second: Any) -> Any:
    def stamp(sig: Any, canvas: Any) -> None:
        # Celery changes the lists that it is given.
        sig.stamp(job=copy.copy(first))
        sig.stamp(**copy.deepcopy(second))

    return stamp


CASES: dict[str, Any] = {
    "by name": (lambda m, add: add.s(1, 2), lambda sig, canvas: sig.stamp(job="j")),
    "links": (linked, lambda sig, canvas: sig.stamp(visitor(canvas), both="j")),
    "chain": (
        lambda m, add: m.chain(add.s(1, 2), add.s(3)),
        lambda sig, canvas: sig.stamp(visitor(canvas)),
    ),
    "group": (
        lambda m, add: m.group(add.s(1, 2), add.s(3, 4)),
        lambda sig, canvas: sig.stamp(visitor(canvas), job="j"),
    ),
    "chord": (
        lambda m, add: m.chord([add.s(1, 2)], add.s(1)),
        lambda sig, canvas: sig.stamp(visitor(canvas)),
    ),
    "nested": (
        lambda m, add: add.s(1, 2) | m.group(add.s(1), add.s(2) | add.s(3)) | add.s(4),
        lambda sig, canvas: sig.stamp(visitor(canvas), job="j"),
    ),
    "picked": (lambda m, add: add.s(1, 2), lambda sig, canvas: sig.stamp(picking(canvas))),
    "again": (lambda m, add: add.s(1, 2), twice("a", job="b")),
    "appended": (lambda m, add: add.s(1, 2), twice("a", job="b", append_stamps=True)),
    "lists": (lambda m, add: add.s(1, 2), twice([1], job=[2])),
}


def calls(sig: Any) -> list[Any]:
    """Return the calls in a signature of either engine, in one order."""
    match sig["subtask_type"]:
        case "chain" | "group":
            return [call for part in sig.tasks for call in calls(part)]
        case "chord":
            header = getattr(sig.tasks, "tasks", sig.tasks)
            return [call for part in (*header, sig.body) for call in calls(part)]
    links = [*(sig.options.get("link") or ()), *(sig.options.get("link_error") or ())]
    return [sig, *links]


def stamps(call: Any) -> dict[str, Any]:
    options = call["options"]
    told = {name: options.get(name) for name in options.get("stamped_headers") or ()}
    return {**told, "stamped_headers": sorted(options.get("stamped_headers") or ())}


@pytest.mark.parametrize("case", CASES)
def test_they_are_where_celery_puts_them(worker: Worker, case: str) -> None:
    make, stamp = CASES[case]
    theirs_app = celery.Celery("theirs", set_as_current=False)

    found = []
    for module, canvas, app in (
        (celery, celery.canvas, theirs_app),
        (tqconsole.engine, tqconsole.engine.canvas, worker.app),
    ):

        def add(x: int, y: int) -> int:
            return x + y

        sig = make(module, app.task(name="add", shared=False)(add))
        stamp(sig, canvas)
        found.append([stamps(call) for call in calls(sig)])

    theirs, ours = found
    assert ours == theirs


def test_they_travel_with_every_call(worker: Worker, t: Any) -> None:
    sig = tqconsole.engine.chord([t.add.s(1, 1)], t.xsum.s() | t.double.s())
    sig.stamp(job="j")

    sig.apply_async()
    worker.run_all()

    assert [it.headers["stamps"] for it in worker.ran] == [{"job": "j"}] * 3
    assert [it.headers["stamped_headers"] for it in worker.ran] == [["job"]] * 3


def test_chunks_hand_theirs_to_each_message(worker: Worker, t: Any) -> None:
    t.add.chunks([(1, 1), (2, 2)], 1).stamp(job="j").apply_async()
    worker.run_all()

    assert [it.headers["stamps"] for it in worker.ran] == [{"job": "j"}] * 2


def test_a_run_sees_its_stamps(worker: Worker, t: Any) -> None:
    @worker.app.task(name="look", bind=True)
    def look(self: Any) -> Any:
        return self.request.stamps, self.request.stamped_headers

    result = look.s().stamp(job="j").apply_async()
    worker.run_all()

    assert result.get(timeout=1) == [{"job": "j"}, ["job"]]


def test_groups_are_stamped_with_their_ids(t: Any) -> None:
    inner = tqconsole.engine.chord([t.add.s(1, 1)], t.xsum.s())
    outer = tqconsole.engine.group(t.add.s(2, 2), inner)

    outer.stamp(GroupStampingVisitor())

    first, chord = outer.tasks
    assert first.options["groups"] == [outer.id]
    assert chord.tasks[0].options["groups"] == [outer.id, chord.id]
    assert chord.body.options["groups"] == [outer.id]

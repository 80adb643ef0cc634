from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from client_rig import body_of, make_app, sent

from tqconsole.engine.app import App
from tqconsole.engine.canvas import Signature, maybe_signature, signature


@pytest.fixture
def app() -> App:
    return make_app()


@pytest.fixture
def add(app: App) -> Any:
    return app.task(name="proj.add", lazy=False)(lambda x, y: x + y)


def test_it_is_a_dict_of_the_wire(add: Any) -> None:
    assert json.loads(json.dumps(add.s(2, y=4).set(queue="q"))) == {
        "task": "proj.add",
        "args": [2],
        "kwargs": {"y": 4},
        "options": {"queue": "q"},
        "subtask_type": None,
        "immutable": False,
    }


def test_new_arguments_are_put_in_front(app: App, add: Any) -> None:
    add.s(4).delay(2)

    assert body_of(sent(app)[0]).args == [2, 4]


def test_immutable_ones_take_options_only(app: App, add: Any) -> None:
    add.si(2, 2).apply_async((9,), {"z": 9}, queue="q")

    body = body_of(sent(app, "q")[0])
    assert (body.args, body.kwargs) == ([2, 2], {})


def test_it_can_be_made_immutable_later(add: Any) -> None:
    assert add.s(2, 2).set(immutable=True).merged((1,))[0] == (2, 2)


def test_options_are_merged_except_the_group(add: Any) -> None:
    sig = add.s(1).set(queue="a", group_id="g1")

    options = sig.merged((), {}, {"queue": "b", "group_id": "g2"})[2]

    assert options == {"queue": "b", "group_id": "g1"}


def test_calling_runs_and_apply_is_eager(add: Any) -> None:
    assert add.s(2)(3) == 5
    assert add.s(2).apply((3,)).get() == 5


def test_an_unknown_task_is_sent_by_name(app: App) -> None:
    app.signature("elsewhere.task", args=(1,), queue="q").delay()

    assert sent(app, "q")[0].headers["task"] == "elsewhere.task"


def test_a_dict_from_elsewhere_is_one(app: App, add: Any) -> None:
    sig = signature(json.loads(json.dumps(add.s(2))), app=app)

    sig.delay(1)

    assert body_of(sent(app)[0]).args == [1, 2]
    assert maybe_signature(None) is None


def test_clones_share_nothing(add: Any) -> None:
    sig = add.s(1).set(headers={"a": 1})

    clone = sig.clone((0,), queue="q")
    clone.options["headers"]["a"] = 2

    assert clone.args == (0, 1)
    assert sig.args == (1,)
    assert sig.options == {"headers": {"a": 1}}


def test_replace_swaps_parts(add: Any) -> None:
    sig = add.s(1, y=2).set(queue="q")

    assert sig.replace(args=(5,)).args == (5,)
    assert sig.replace(kwargs={}).kwargs == {}
    assert sig.replace(options={}).options == {}


def test_links_are_added_once(add: Any) -> None:
    sig, callback, errback = add.s(1, 2), add.s(3), add.si(0, 0)

    assert sig.link(callback) is callback
    sig.link(callback)
    assert sig.on_error(errback) is sig

    assert sig.options["link"] == [callback]
    assert sig.options["link_error"] == [errback]
    assert sig.flatten_links() == [sig, callback]


def test_freezing_gives_it_its_id(app: App, add: Any) -> None:
    sig = add.s(1, 2)

    result = sig.freeze(group_id="g", root_id="r")

    assert sig.id == result.id
    assert (sig.options["group_id"], sig.root_id, sig.options["reply_to"]) == ("g", "r", app.oid)
    assert sig.apply_async() == result


def test_it_reads_as_a_call(add: Any) -> None:
    assert repr(add.s(1, y=2)) == "proj.add(1, y=2)"


def test_it_can_be_copied_and_pickled(app: App, add: Any) -> None:
    sig = add.s(1).set(queue="q")

    for made in (copy.copy(sig), copy.deepcopy(sig), pickle.loads(pickle.dumps(sig))):
        assert made == sig
        assert isinstance(made, Signature)


def test_kinds_register_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Signature, "TYPES", {})

    @Signature.register_type("special")
    class Special(Signature):
        @classmethod
        def from_dict(cls, fields: Any, app: Any = None) -> Signature:
            return cls(dict(fields), app=app)

    made = signature(
        {"task": "x", "args": [], "kwargs": {}, "options": {}, "subtask_type": "special"}
    )

    assert type(made) is Special

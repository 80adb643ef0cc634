"""What `|`, chain, group and chord make of each other, and the dicts they are."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from canvas_rig import Worker, names

from tqconsole.engine import chain, chord, chunks, group, signature, xmap, xstarmap
from tqconsole.engine.canvas import _chain, _chord, maybe_signature
from tqconsole.engine.exceptions import EncodeError, NotSupportedError


def kinds(sig: Any) -> Any:
    """Return the shape of a signature in words."""
    match sig.subtask_type:
        case "chain" | "group":
            return sig.subtask_type, [kinds(part) for part in sig.tasks]
        case "chord":
            return "chord", [kinds(part) for part in sig.tasks], kinds(sig.body)
    return sig.task


def test_calls_in_sequence_are_a_chain(t: Any) -> None:
    made = t.add.s(1, 2) | t.add.s(4) | t.double.s()

    assert isinstance(made, _chain)
    assert kinds(made) == ("chain", ["add", "add", "double"])
    assert kinds(chain(t.add.s(1, 2), t.add.s(4))) == ("chain", ["add", "add"])
    assert kinds(chain([t.add.s(1, 2), t.add.s(4)])) == ("chain", ["add", "add"])
    assert kinds(chain(t.add.s(1, 2))) == ("chain", ["add"])


def test_chains_in_chains_are_one(t: Any) -> None:
    inner = chain(t.add.s(1), t.double.s())

    assert kinds(t.ident.s(0) | inner | t.double.s()) == (
        "chain",
        ["ident", "add", "double", "double"],
    )


def test_a_group_with_something_behind_is_a_chord(t: Any) -> None:
    made = group(t.add.s(1, 1), t.add.s(2, 2)) | t.xsum.s()

    assert isinstance(made, _chord)
    assert kinds(made) == ("chord", ["add", "add"], "xsum")
    in_chain = t.ident.s(1) | group(t.add.s(1), t.add.s(2)) | t.xsum.s()
    assert kinds(in_chain) == ("chain", ["ident", ("chord", ["add", "add"], "xsum")])
    assert kinds(chain(group(t.add.s(1, 1), t.add.s(2, 2)), t.xsum.s()))[0] == "chord"


def test_what_follows_a_chord_goes_to_its_body(t: Any) -> None:
    made = chord([t.add.s(1, 1)], t.xsum.s()) | t.double.s()

    assert kinds(made) == ("chord", ["add"], ("chain", ["xsum", "double"]))


def test_a_group_of_one_is_its_member_in_a_chain(t: Any) -> None:
    assert kinds(t.ident.s(1) | group(t.add.s(1))) == ("chain", ["ident", "add"])
    assert kinds(t.ident.s(1) | group([])) == "ident"
    assert (chain(t.ident.s(1), t.double.s()) | group([])).tasks == [t.ident.s(1), t.double.s()]


def test_composing_leaves_the_parts_as_they_were(t: Any) -> None:
    first, rest = t.add.s(1, 1), chain(t.add.s(1), t.double.s())
    before = copy.deepcopy((dict(first), dict(rest)))

    (first | rest | t.double.s()).apply_async()

    assert (dict(first), dict(rest)) == before


@pytest.mark.parametrize("make", [
    lambda t: chain(t.add.s(1, 1), t.double.s()),
    lambda t: group(t.add.s(1, 1), t.double.s(2)),
    lambda t: chord([t.add.s(1, 1)], t.xsum.s()),
    lambda t: t.double.map([1, 2]),
    lambda t: t.add.starmap([(1, 2)]),
    lambda t: t.add.chunks([(1, 2), (3, 4)], 1),
])  # fmt: skip
def test_every_kind_survives_json_pickle_and_copies(worker: Worker, t: Any, make: Any) -> None:
    sig = make(t).set(queue="q")
    as_json = json.loads(json.dumps(sig))

    for made in (
        signature(as_json, app=worker.app),
        copy.copy(sig),
        copy.deepcopy(sig),
        pickle.loads(pickle.dumps(sig)),
        sig.clone(),
    ):
        assert type(made) is type(sig)
        assert json.loads(json.dumps(made)) == as_json


def test_dicts_have_celerys_keys(t: Any) -> None:
    assert json.loads(json.dumps(chord([t.add.s(1, 1)], t.xsum.s()))) == {
        "task": "celery.chord",
        "args": [],
        "kwargs": {
            "kwargs": {},
            "header": [json.loads(json.dumps(t.add.s(1, 1)))],
            "body": json.loads(json.dumps(t.xsum.s())),
        },
        "options": {},
        "subtask_type": "chord",
        "immutable": False,
    }
    mapped = t.double.map([1])
    assert (mapped.task, mapped.subtask_type, mapped.immutable) == ("celery.map", "xmap", True)


def test_names_are_celerys(t: Any) -> None:
    assert isinstance(t.double.map([1]), xmap)
    assert isinstance(t.add.starmap([(1, 2)]), xstarmap)
    assert isinstance(t.add.chunks([(1, 2)], 1), chunks)
    assert maybe_signature(None) is None


def test_freezing_gives_all_calls_ids_and_results_parents(t: Any) -> None:
    sig = chain(t.add.s(1, 1), group(t.add.s(1), t.add.s(2)), t.xsum.s())

    result = sig.freeze()

    header = result.parent
    assert header.parent.id == sig.tasks[0].id
    assert [part.id for part in header.results] == [part.id for part in sig.tasks[1].tasks]
    assert result.id == sig.tasks[1].body.id
    again = sig.apply_async()
    assert (again.id, again.parent.id, again.parent.parent.id) == (
        result.id,
        header.id,
        header.parent.id,
    )


def test_a_call_used_twice_gets_two_ids(t: Any) -> None:
    call = t.add.s(1, 1)

    ids = {result.id for result in group(call, call).freeze()}

    assert len(ids) == 2
    assert call.id is None


def test_members_know_their_group_and_place(worker: Worker, t: Any) -> None:
    result = group(t.add.s(1, 1), t.add.s(2, 2))()

    headers = [message.headers for message in worker.app.broker.peek("celery", 9)]
    assert [(it["group"], it["group_index"]) for it in headers] == [
        (result.id, 0),
        (result.id, 1),
    ]
    assert {it["root_id"] for it in headers} == {headers[0]["id"]}


def test_a_group_is_one_write(worker: Worker, t: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    publish = worker.app.broker.publish
    monkeypatch.setattr(
        worker.app.broker, "publish", lambda them: (writes.append(len(them)), publish(them))
    )

    group(t.add.s(i, i) for i in range(10_000))()

    assert writes == [10_000]


def test_options_reach_the_calls_they_are_for(worker: Worker, t: Any) -> None:
    chain(t.add.s(1, 1), t.double.s()).apply_async(queue="first")
    group(t.add.s(1, 1), t.add.s(2, 2)).apply_async(queue="all", priority=3)
    chord([t.add.s(1, 1)], t.xsum.s()).apply_async(queue="both", countdown=60)

    peek = worker.app.broker.peek
    assert names(peek("first", 9)) == ["add"]
    assert [it.properties["priority"] for it in peek("all", 9)] == [3, 3]
    (part,) = peek("both", 9)
    assert part.headers["eta"]
    embed = json.loads(part.body)[2]
    assert embed["chord"]["options"]["queue"] == "both"
    assert "countdown" not in embed["chord"]["options"]


def test_skew_spreads_the_starts(t: Any) -> None:
    made = group(t.add.s(i, i) for i in range(4)).skew(start=1, stop=3)

    assert [part.options["countdown"] for part in made.tasks] == [1, 2, 3, 3]


def test_chunks_are_starmaps_of_so_many(t: Any) -> None:
    made = t.add.chunks(zip(range(5), range(5), strict=True), 2).group()

    assert [len(part.kwargs["it"]) for part in made.tasks] == [2, 2, 1]


class TestBadInput:
    def test_an_unknown_kind(self, worker: Worker) -> None:
        fields = {"task": "x", "args": [], "kwargs": {}, "options": {}, "subtask_type": "flock"}

        with pytest.raises(ValueError, match="unknown subtask_type 'flock' of 'x'"):
            signature(fields, app=worker.app)

    def test_an_unknown_task_is_sent_by_name(self, worker: Worker) -> None:
        chain(signature("not.here", app=worker.app), signature("nor.here")).apply_async()

        assert names(worker.app.broker.peek("celery", 9)) == ["not.here"]

    @pytest.mark.parametrize("make", [chain, group, chord])
    @pytest.mark.parametrize("wrong", [5, "add", [5]])
    def test_no_signatures(self, make: Any, wrong: Any) -> None:
        with pytest.raises(TypeError, match="made of signatures"):
            make(wrong)

    def test_a_cycle_of_links(self, t: Any) -> None:
        sig = t.double.s(1)
        sig.link(sig)

        with pytest.raises(EncodeError, match="contains itself"):
            sig.apply_async()

    def test_a_cycle_of_chains(self, t: Any) -> None:
        sig = chain(t.double.s(1), t.double.s())
        sig.tasks.append(sig)

        with pytest.raises(EncodeError, match="contains itself"):
            sig.apply_async()

    def test_a_chord_without_body(self, t: Any) -> None:
        with pytest.raises(TypeError, match=r"no body: chord\(header\)\(body\)"):
            chord([t.add.s(1, 1)]).apply_async()

    def test_an_empty_chain_is_nothing(self, worker: Worker) -> None:
        assert chain(app=worker.app)() is None
        assert chain(app=worker.app).apply_async() is None

    def test_an_empty_group_has_ended(self, worker: Worker) -> None:
        result = group([], app=worker.app)()

        assert (result.get(timeout=1), result.ready(), result.successful()) == ([], True, True)

    def test_an_empty_header_sends_the_body_at_once(self, worker: Worker, t: Any) -> None:
        result = chord([], t.xsum.s())()

        assert worker.run_all().app.AsyncResult(result.id).get(timeout=1) == 0

    def test_a_link_of_a_group(self, t: Any) -> None:
        with pytest.raises(TypeError, match="a group takes no link"):
            group(t.add.s(1, 1)).apply_async(link=t.double.s())

    @pytest.mark.parametrize("backend", ["disabled:", "rpc+amqp://127.0.0.1:1//"])
    def test_a_store_that_cannot_count(self, t: Any, backend: str) -> None:
        lame = Worker(backend=backend)
        part = lame.app.task(name="add", lazy=False)(lambda x, y: x + y)

        with pytest.raises(NotSupportedError, match="A chord needs a store that counts its parts"):
            chord([part.s(1, 1)], part.s(1)).apply_async()
        assert lame.app.broker.peek("celery", 9) == []

    def test_chunks_of_nothing(self, t: Any) -> None:
        with pytest.raises(ValueError, match="chunks are of 1 item or more"):
            t.add.chunks([(1, 2)], 0)

    def test_a_group_that_was_not_saved(self, worker: Worker) -> None:
        assert worker.app.GroupResult.restore("nobody", app=worker.app) is None

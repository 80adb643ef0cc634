"""`call` refuses what cannot run before anything is sent; `result` waits and prints."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from stub_cluster import Done, StubApp, StubResult

from tqconsole.engine.brokers.base import Capabilities
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.remote_control import RemoteControl

#: Seconds that a worker has for its answer, on a busy machine.
PATIENCE_S = 30.0
Run = Callable[..., Done]


def test_call_prints_the_id(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    done = run("call", "proj.tasks.add", "-a", "[2, 2]")

    assert done.out == "id-9\n"
    assert done.code == 0
    assert app.sent[0][:3] == ("proj.tasks.add", [2, 2], {})


def test_call_as_json(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    assert run("call", "--json", "proj.tasks.add", "-a", "[2, 2]").json == {"id": "id-9"}


def test_options_are_sent(app: StubApp, run: Run) -> None:
    run(
        *("call", "other.task", "--force", "-k", '{"x": 1}', "--eta", "2030-01-02T03:04:05"),
        *("--expires", "60", "--queue", "video", "--priority", "3", "--routing-key", "k"),
        *("--exchange", "e", "--serializer", "json"),
    )

    name, args, kwargs, options = app.sent[0]
    assert (name, args, kwargs) == ("other.task", [], {"x": 1})
    assert options == {
        "eta": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        "expires": 60.0,
        "queue": "video",
        "priority": 3,
        "routing_key": "k",
        "exchange": "e",
        "serializer": "json",
    }


def test_call_waits_for_no_worker_beside_the_one_that_knows(
    app: StubApp, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = app.broker.broadcast
    monkeypatch.setattr(app.broker, "capabilities", Capabilities(knows_workers=False))
    # As RabbitMQ: nobody says how many listen.
    monkeypatch.setattr(app.broker, "broadcast", lambda *arguments: send(*arguments) and None)
    app.node("w1@lab")
    # Longer than anything takes but waiting for it.
    monkeypatch.setitem(RemoteControl.__init__.__kwdefaults__, "timeout_s", PATIENCE_S)
    began_mono = SYSTEM_CLOCK.mono()

    assert run("call", "proj.tasks.add", "-a", "[2, 2]").code == 0
    assert SYSTEM_CLOCK.mono() - began_mono < PATIENCE_S


def test_call_is_sent_unchecked_where_nobody_can_be_asked(
    app: StubApp, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.broker, "capabilities", Capabilities(can_fanout=False))

    done = run("call", "proj.tasks.add", "-a", "[2, 2]")

    assert done.code == 0
    assert "memory:// cannot ask workers" in done.err
    assert len(app.sent) == 1


def test_with_no_worker_up_it_sends_and_says_so(app: StubApp, run: Run) -> None:
    done = run("call", "proj.tasks.add", "-a", "[2, 2]")

    assert done.out == "id-9\n"
    assert "no worker is online" in done.err
    assert len(app.sent) == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("proj.tasks.ad",), "Did you mean proj.tasks.add?"),
        (("proj.tasks.mine", "-a", "[1, 2]"), "The worker online does not know proj.tasks.mine"),
        (("proj.tasks.add", "-a", "[1]"), "missing a required argument: 'y'"),
        (("proj.tasks.add", "-a", "[1"), "is no JSON"),
        (("proj.tasks.add", "-a", '{"x": 1}'), "is no array"),
        (("proj.tasks.add", "-k", "[1]"), "is no object"),
        (("proj.tasks.add", "--eta", "soon"), "is no ISO 8601 time"),
        (("proj.tasks.add", "--expires", "soon"), "is no ISO 8601 time"),
        (("proj.tasks.add", "--eta", "2030-01-01", "--countdown", "3"), "give one of them"),
        (("proj.tasks.add", "--eta", "2030-01-02", "--expires", "2030-01-01"), "never start"),
        (("proj.tasks.add", "--colour", "red"), "No such option"),
        (("proj.tasks.add", "--countdown", "inf"), "'inf' is no number of seconds"),
        (("proj.tasks.add", "--countdown", "nan"), "no number of seconds"),
        (("proj.tasks.add", "--expires", "1e300"), "no number of seconds"),
        (("proj.tasks.add", "-a", "[" * 100_000), "[[[... is no JSON (nested too deep)"),
        (("proj.tasks.add", "--queue", ""), "it is empty"),
        (("proj.tasks.add", "--queue", "a\x1b[31m"), "cannot be printed"),
        (("proj.tasks.add", "--task-id", "x\ny"), "cannot be printed"),
        (("", "--force"), "it is empty"),
        (("x" * 300, "--force"), "longer than 255 bytes"),
        ((), "Missing argument"),
    ],
)
def test_a_mistake_sends_nothing(app: StubApp, run: Run, words: tuple[str, ...], text: str) -> None:
    app.node("w1@lab")

    done = run("-q", "call", *words)

    assert text in done.err
    assert done.err.count("\n") == 1
    assert done.code == 2
    assert app.sent == []


def test_force_sends_what_nobody_knows(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    assert run("call", "proj.tasks.nosuch", "--force").code == 0
    assert len(app.sent) == 1


def test_call_waits_for_the_value(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    assert run("call", "proj.tasks.add", "-a", "[2, 2]", "--wait").out == "id-9\n4\n"


def test_call_does_not_wait_where_no_result_is_kept(app: StubApp, run: Run) -> None:
    app.node("w1@lab")
    app.backend.is_enabled = False

    done = run("call", "proj.tasks.add", "-a", "[2, 2]", "--wait")

    assert "No result store is configured" in done.err
    assert done.code == 1
    assert app.sent == []


def test_result_prints_the_value(run: Run) -> None:
    done = run("result", "id-3")

    assert (done.out, done.code) == ("4\n", 0)


def test_result_as_json(run: Run) -> None:
    assert run("result", "id-3", "--json").json == {
        "id": "id-3",
        "state": "SUCCESS",
        "result": 4,
        "traceback": None,
        "date_done": None,
    }


def test_a_failed_task_is_1(app: StubApp, run: Run) -> None:
    app.result = StubResult(app.backend, "FAILURE", ValueError("bad"), "Traceback: x")

    done = run("-q", "result", "id-3")

    assert (done.out, done.err) == ("", "Error: FAILURE: ValueError('bad')\n")
    assert done.code == 1
    assert run("result", "id-3", "--traceback").out == "Traceback: x\n"


def test_a_task_that_does_not_end_is_1_in_time(app: StubApp, run: Run) -> None:
    app.result = StubResult(app.backend, "PENDING")

    done = run("-q", "result", "id-3", "--timeout", "0.1")

    assert done.err == "Error: id-3 has not ended within 0.1 s: it is PENDING\n"
    assert done.code == 1


def test_a_store_that_only_the_sender_reads_says_so(app: StubApp, run: Run) -> None:
    app.backend.is_readable_by_others = False

    done = run("result", "id-3")

    assert "can be read by the process that sent the task only" in done.err
    assert done.code == 1


def test_an_unknown_task_of_the_app_is_2(run: Run) -> None:
    assert run("result", "id-3", "-t", "nosuch").code == 2

"""What follows a run: retries, links, errbacks, handlers and signals."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from run_rig import RunRig, body, record

from tqconsole.engine.protocol.header import read_header
from tqconsole.engine.protocol.transfer import Delivery
from tqconsole.engine.worker.run import make_failure_links


@pytest.fixture
def rig() -> RunRig:
    return RunRig()


def test_retry_is_the_same_call_once_more(rig: RunRig) -> None:
    @rig.app.task(bind=True)
    def again(self: Any, a: int) -> None:
        raise self.retry(exc=ValueError("busy"), countdown=3)

    outcome = rig.run(again, 1, task_id="t", root_id="r", headers={"x": 1}, time_limit=9)

    (publication,) = outcome.publications
    headers = publication.message.headers
    assert (headers["id"], headers["retries"]) == ("t", 1)
    assert (headers["root_id"], headers["parent_id"], headers["x"]) == ("r", "t", 1)
    assert headers["timelimit"] == [9, None]
    assert datetime.fromisoformat(headers["eta"]).timestamp() == rig.clock.now() + 3
    assert publication.routing_key == "celery"
    assert body(publication)[0] == [1]


def test_retry_is_told_and_recorded_with_its_cause(rig: RunRig) -> None:
    @rig.app.task(bind=True)
    def again(self: Any) -> None:
        raise self.retry(exc=ValueError("busy"), countdown=3)

    outcome = rig.run(again)

    assert outcome.state == "RETRY"
    assert outcome.note == "Retry in 3s: ValueError('busy')"
    assert outcome.text == "ValueError('busy')"
    found = record(outcome)
    assert (found.state, repr(found.result), found.date_done_at) == (
        "RETRY",
        "ValueError('busy')",
        None,
    )


def test_last_retry_fails_with_its_cause(rig: RunRig) -> None:
    @rig.app.task(bind=True, max_retries=1)
    def again(self: Any) -> None:
        raise self.retry(exc=ValueError("busy"))

    first = rig.run(again)
    last = rig.run_again(first)

    assert (first.state, last.state, last.text) == ("RETRY", "FAILURE", "ValueError('busy')")


def test_last_retry_without_cause_says_so(rig: RunRig) -> None:
    @rig.app.task(bind=True, max_retries=0)
    def again(self: Any) -> None:
        raise self.retry()

    assert rig.run(again).text.startswith("MaxRetriesExceededError(")


def test_autoretry_turns_errors_into_retries(rig: RunRig) -> None:
    @rig.app.task(autoretry_for=(OSError,), dont_autoretry_for=(FileNotFoundError,), max_retries=1)
    def reach(kind: str) -> None:
        raise {"os": OSError, "file": FileNotFoundError, "value": ValueError}[kind]("x")

    first = rig.run(reach, "os")

    assert first.state == "RETRY"
    assert rig.run_again(first).text == "OSError('x')"
    assert rig.run(reach, "file").state == "FAILURE"
    assert rig.run(reach, "value").state == "FAILURE"


def test_backoff_doubles_the_delay(rig: RunRig) -> None:
    @rig.app.task(autoretry_for=(OSError,), retry_backoff=2, retry_jitter=False)
    def reach() -> None:
        raise OSError

    first = rig.run(reach)
    second = rig.run_again(first)

    assert [outcome.note.split(":")[0] for outcome in (first, second)] == [
        "Retry in 2s",
        "Retry in 4s",
    ]


def test_retry_that_cannot_be_written_is_a_failure(rig: RunRig) -> None:
    @rig.app.task(bind=True)
    def again(self: Any) -> None:
        raise self.retry(args=(object(),))

    outcome = rig.run(again)

    assert outcome.state == "FAILURE"
    assert outcome.text.startswith("EncodeError(")
    assert outcome.publications == ()
    assert record(outcome).state == "FAILURE"


def test_retry_keeps_links(rig: RunRig) -> None:
    @rig.app.task(bind=True)
    def again(self: Any) -> None:
        raise self.retry()

    @rig.app.task
    def after(value: Any) -> None: ...

    (publication,) = rig.run(again, link=after.s(), link_error=after.s()).publications

    embed = body(publication)[2]
    assert [call["task"] for call in embed["callbacks"]] == [after.name]
    assert [call["task"] for call in embed["errbacks"]] == [after.name]


def test_callback_gets_the_value_in_front(rig: RunRig) -> None:
    @rig.app.task
    def add(a: int, b: int) -> int:
        return a + b

    outcome = rig.run(add, 1, 2, task_id="t", root_id="r", link=add.s(10))

    (publication,) = outcome.publications
    headers = publication.message.headers
    assert body(publication)[0] == [3, 10]
    assert (headers["parent_id"], headers["root_id"]) == ("t", "r")
    assert record(outcome).children == [[[headers["id"], None], None]]


def test_immutable_callback_gets_nothing(rig: RunRig) -> None:
    @rig.app.task
    def add(a: int, b: int) -> int:
        return a + b

    (publication,) = rig.run(add, 1, 2, link=add.si(5, 6)).publications

    assert body(publication)[0] == [5, 6]


def test_next_step_of_a_chain_takes_the_rest_along(rig: RunRig) -> None:
    @rig.app.task
    def add(a: int, b: int) -> int:
        return a + b

    steps = [dict(add.s(100)), dict(add.s(10).set(task_id="next"))]

    (publication,) = rig.run(add, 1, 2, chain=steps).publications

    args, _, embed = body(publication)
    assert (args, publication.message.headers["id"]) == ([3, 10], "next")
    assert [step["args"] for step in embed["chain"]] == [[100]]


def test_failure_sends_no_callback(rig: RunRig) -> None:
    @rig.app.task
    def fail() -> None:
        raise ValueError

    assert rig.run(fail, link=fail.si()).publications == ()


def test_calls_inside_a_run_are_its_children(rig: RunRig) -> None:
    @rig.app.task
    def child() -> None: ...

    @rig.app.task
    def parent() -> str:
        return str(child.delay().id)

    found = record(rig.run(parent))

    assert found.children == [[[found.result, None], None]]


def test_errback_with_one_argument_is_sent_the_id(rig: RunRig) -> None:
    @rig.app.task
    def fail() -> None:
        raise ValueError

    @rig.app.task
    def tell(task_id: str) -> None: ...

    (publication,) = rig.run(fail, task_id="t", link_error=tell.s()).publications

    assert body(publication)[0] == ["t"]
    assert publication.message.headers["parent_id"] == "t"


def test_errback_with_more_arguments_is_called_here(rig: RunRig) -> None:
    seen = []

    @rig.app.task
    def fail() -> None:
        raise ValueError("x")

    @rig.app.task
    def tell(request: Any, exc: Any, traceback: Any) -> None:
        seen.append((request.id, repr(exc), "ValueError" in traceback))

    outcome = rig.run(fail, task_id="t", link_error=tell.s())

    assert seen == [("t", "ValueError('x')", True)]
    assert outcome.publications == ()


def test_bound_errback_is_sent(rig: RunRig) -> None:
    @rig.app.task
    def fail() -> None:
        raise ValueError

    @rig.app.task(bind=True)
    def tell(self: Any, task_id: str, extra: int) -> None: ...

    (publication,) = rig.run(fail, task_id="t", link_error=tell.s(5)).publications

    assert body(publication)[0] == ["t", 5]


def test_errback_of_another_worker_is_sent(rig: RunRig) -> None:
    @rig.app.task
    def fail() -> None:
        raise ValueError

    errback = rig.app.signature("elsewhere.tell")

    (publication,) = rig.run(fail, link_error=errback).publications

    assert publication.message.headers["task"] == "elsewhere.tell"


def test_failing_errback_changes_nothing(rig: RunRig, caplog: pytest.LogCaptureFixture) -> None:
    @rig.app.task
    def fail() -> None:
        raise ValueError

    @rig.app.task
    def tell(request: Any, exc: Any, traceback: Any) -> None:
        raise RuntimeError("errback itself")

    outcome = rig.run(fail, link_error=tell.s())

    assert outcome.text == "ValueError()"
    assert "errback itself" in caplog.text


def test_worker_gets_the_errbacks_of_a_body(rig: RunRig) -> None:
    @rig.app.task
    def work() -> None: ...

    @rig.app.task
    def tell(task_id: str) -> None: ...

    publication, _ = rig.app.build_call(work.name, task_id="t", link_error=tell.s())
    delivery = Delivery("tag", publication.message, "celery")

    links = make_failure_links(rig.app, "w1@host")(
        delivery, read_header(publication.message), ValueError()
    )

    assert [body(link)[0] for link in links] == [["t"]]

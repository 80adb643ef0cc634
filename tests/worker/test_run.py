"""One run: what the loop is told, what is recorded, what the task sees."""

from __future__ import annotations

import gc
import logging
import os
import weakref
from datetime import UTC, datetime
from typing import Any

import pytest
from celery.utils.saferepr import saferepr as celerys_saferepr
from run_rig import RunRig, record

from tqconsole.engine import current
from tqconsole.engine.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.result import AsyncResult


@pytest.fixture
def rig() -> RunRig:
    return RunRig()


def test_value_becomes_a_record(rig: RunRig) -> None:
    @rig.app.task
    def add(a: int, b: int) -> int:
        return a + b

    outcome = rig.run(add, 2, 3, task_id="t1")

    assert (outcome.state, outcome.text) == ("SUCCESS", "5")
    found = record(outcome)
    assert (found.task_id, found.state, found.result, found.children) == ("t1", "SUCCESS", 5, [])
    assert found.date_done_at == rig.clock.now()


def test_write_carries_address_and_lifetime(rig: RunRig) -> None:
    rig.app.conf.result_expires = 60

    @rig.app.task
    def work() -> None: ...

    (write,) = rig.run(work, reply_to="oid").results

    assert (write.reply_to, write.expires_s, write.content_type) == ("oid", 60, "application/json")


def test_failure_tells_error_and_trace_of_user_code(rig: RunRig) -> None:
    @rig.app.task
    def fail() -> None:
        raise ValueError("no", 7)

    outcome = rig.run(fail)

    assert (outcome.state, outcome.text) == ("FAILURE", "ValueError('no', 7)")
    lines = outcome.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert __file__ in lines[1]
    assert "tqconsole/engine" not in outcome.traceback
    assert repr(record(outcome).result) == "ValueError('no', 7)"
    assert record(outcome).traceback == outcome.traceback


def test_wrong_arguments_are_a_failure(rig: RunRig) -> None:
    @rig.app.task(typing=False)
    def one(a: int) -> int:
        return a

    assert rig.run(one, 1, 2).text.startswith("TypeError(")


def test_expected_error_is_marked(rig: RunRig) -> None:
    @rig.app.task(throws=(KeyError,))
    def miss() -> None:
        raise KeyError("k")

    assert rig.run(miss).is_expected


def test_soft_limit_that_escapes_is_a_timeout(rig: RunRig) -> None:
    @rig.app.task
    def slow() -> None:
        raise SoftTimeLimitExceeded

    outcome = rig.run(slow)

    assert (outcome.state, outcome.is_timeout) == ("FAILURE", True)


def test_exit_of_a_task_is_a_failure_not_an_end(rig: RunRig) -> None:
    @rig.app.task
    def leave() -> None:
        raise SystemExit(3)

    outcome = rig.run(leave)

    assert outcome.state == "FAILURE"
    assert "SystemExit(3)" in outcome.text
    assert type(record(outcome).result).__name__ == "WorkerLostError"


def test_ignored_run_leaves_nothing(rig: RunRig) -> None:
    @rig.app.task
    def skip() -> None:
        raise Ignore

    outcome = rig.run(skip)

    assert (outcome.state, outcome.results, outcome.publications) == ("IGNORED", (), ())


def test_rejected_for_good_is_recorded_as_failure(rig: RunRig) -> None:
    @rig.app.task
    def refuse() -> None:
        raise Reject("no")

    outcome = rig.run(refuse)

    assert (outcome.state, outcome.text, outcome.note) == ("REJECTED", "'no'", "")
    assert not outcome.is_requeued
    assert record(outcome).state == "FAILURE"


def test_requeued_run_is_not_recorded(rig: RunRig) -> None:
    @rig.app.task
    def later() -> None:
        raise Reject("busy", requeue=True)

    outcome = rig.run(later)

    assert (outcome.is_requeued, outcome.results) == (True, ())


def test_ignored_result_is_not_recorded(rig: RunRig) -> None:
    @rig.app.task(ignore_result=True)
    def work() -> int:
        return 1

    assert rig.run(work).results == ()


def test_call_decides_over_task_what_is_ignored(rig: RunRig) -> None:
    @rig.app.task(ignore_result=True)
    def work() -> int:
        return 1

    assert len(rig.run(work, ignore_result=False).results) == 1


def test_errors_are_stored_even_if_ignored_when_asked(rig: RunRig) -> None:
    @rig.app.task(ignore_result=True, store_errors_even_if_ignored=True)
    def fail() -> None:
        raise ValueError

    assert record(rig.run(fail)).state == "FAILURE"


def test_value_that_cannot_be_written_is_a_failure(rig: RunRig) -> None:
    @rig.app.task(link=None)
    def odd() -> object:
        return object()

    @rig.app.task
    def after(value: Any) -> None: ...

    outcome = rig.run(odd, link=after.s())

    assert outcome.state == "FAILURE"
    assert outcome.publications == ()
    assert type(record(outcome).result).__name__ == "EncodeError"


def test_result_of_a_call_is_stored_as_its_tuple(rig: RunRig) -> None:
    @rig.app.task
    def start() -> AsyncResult:
        return rig.app.AsyncResult("child")

    assert record(rig.run(start)).result == [["child", None], None]


def test_extended_record_tells_of_the_call() -> None:
    rig = RunRig(result_extended=True)

    @rig.app.task(name="rig.add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    extended = record(rig.run(add, 1, kwargs={"b": 2})).extended

    assert extended == {
        "name": "rig.add",
        "args": [1],
        "kwargs": {"b": 2},
        "worker": "w1@host",
        "retries": 0,
        "queue": "celery",
    }


def test_start_is_stored_at_once_when_tracked(rig: RunRig) -> None:
    seen = []

    @rig.app.task(track_started=True, bind=True)
    def work(self: Any) -> None:
        result = rig.app.AsyncResult(self.request.id)
        seen.append((result.state, result.info))

    rig.run(work)

    assert seen == [("STARTED", {"pid": os.getpid(), "hostname": "w1@host"})]


def test_task_sees_its_request(rig: RunRig) -> None:
    seen: dict[str, Any] = {}

    @rig.app.task(bind=True)
    def look(self: Any, a: int) -> None:
        seen.update(vars(self.request), x=self.request.x)

    rig.run(look, 1, task_id="t", root_id="r", parent_id="p", headers={"x": 5}, priority=3)

    assert seen["id"] == seen["correlation_id"] == "t"
    assert (seen["root_id"], seen["parent_id"], seen["args"]) == ("r", "p", [1])
    assert (seen["hostname"], seen["retries"], seen["x"]) == ("w1@host", 0, 5)
    assert seen["delivery_info"]["routing_key"] == "celery"
    assert not seen["called_directly"]


def test_nothing_stays_on_the_stacks(rig: RunRig) -> None:
    @rig.app.task(bind=True)
    def fail(self: Any) -> None:
        raise ValueError

    rig.run(fail)

    assert fail.request.called_directly
    assert current.get_current_task() is None


def test_nothing_of_a_failed_run_lives_on(rig: RunRig) -> None:
    class Big: ...

    refs = []

    @rig.app.task
    def fail() -> None:
        big = Big()
        refs.append(weakref.ref(big))
        raise ValueError("holds its frame")

    rig.run(fail)
    gc.collect()

    assert refs[0]() is None


def test_undecodable_body_is_refused_with_its_reason(rig: RunRig) -> None:
    @rig.app.task
    def work() -> None: ...

    publication, _ = rig.app.build_call(work.name)
    message = Message(b"{", headers=publication.message.headers)

    outcome = rig.run_message(message)

    assert (outcome.state, outcome.note) == ("REJECTED", "undecodable")


def test_unknown_task_is_refused(rig: RunRig) -> None:
    publication, _ = rig.app.build_call("no.such.task")

    outcome = rig.run_message(publication.message)

    assert (outcome.state, outcome.note, outcome.text) == (
        "REJECTED",
        "unknown-task",
        "no.such.task",
    )


@pytest.mark.parametrize("data", [b"", b"junk", b"\x00" * 40])
def test_runner_survives_junk(rig: RunRig, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert rig.runner(data)
    assert "failed outside" in caplog.text


def test_long_value_is_cut_in_the_text(rig: RunRig) -> None:
    @rig.app.task(resultrepr_maxsize=10)
    def long() -> str:
        return "x" * 1000

    outcome = rig.run(long)

    assert outcome.text == celerys_saferepr("x" * 1000, 10)
    assert len(outcome.text) < 20
    assert record(outcome).result == "x" * 1000


def test_enormous_error_is_cut_in_the_trace(rig: RunRig) -> None:
    @rig.app.task
    def fail() -> None:
        raise ValueError("x" * 1_000_000)

    assert len(rig.run(fail).traceback) < 70_000


def test_error_that_cannot_be_shown_is_still_a_failure(rig: RunRig) -> None:
    class Hostile(Exception):
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

        __str__ = __repr__

    @rig.app.task
    def fail() -> None:
        raise Hostile("x")

    outcome = rig.run(fail)

    assert outcome.state == "FAILURE"
    assert "Hostile" in outcome.traceback


def test_redelivered_success_is_skipped_when_asked() -> None:
    rig = RunRig(worker_deduplicate_successful_tasks=True, task_acks_late=True)
    runs = []

    @rig.app.task
    def work() -> int:
        runs.append(1)
        return 1

    publication, _ = rig.app.build_call(work.name)
    first = rig.run_message(publication.message)
    rig.app.backend.store(first.results)
    second = rig.run_message(publication.message, redelivered=True)

    assert (len(runs), second.state, second.results) == (1, "IGNORED", ())


def test_own_call_of_a_task_class_surrounds_the_run(rig: RunRig) -> None:
    seen = []

    class Surrounded(rig.app.Task):  # type: ignore[misc, name-defined]
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            seen.append("before")
            return self.run(*args, **kwargs)

    @rig.app.task(base=Surrounded)
    def work() -> int:
        return 1

    assert rig.run(work).text == "1"
    assert seen == ["before"]


def test_own_call_that_calls_super_shows_the_function_its_run(rig: RunRig) -> None:
    class Surrounded(rig.app.Task):  # type: ignore[misc, name-defined]
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs)

    @rig.app.task(base=Surrounded, bind=True)
    def work(self: Any, depth: int) -> list[Any]:
        here = [self.request.called_directly, self.request.id is not None]
        return here + (self(depth - 1) if depth else [])

    outcome = rig.run(work, 1)

    # The run itself, then a plain call of the function within it.
    assert outcome.text == "[False, True, True, False]"


def test_header_of_a_foreign_type_survives_a_retry(rig: RunRig) -> None:
    @rig.app.task(bind=True)
    def again(self: Any) -> None:
        raise self.retry(countdown=1)

    publication, _ = rig.app.build_call(again.name)
    headers = {**publication.message.headers, "at": datetime(2026, 1, 2, tzinfo=UTC)}

    outcome = rig.run_message(Message(publication.message.body, headers=headers))

    assert outcome.publications[0].message.headers["at"] == "2026-01-02 00:00:00+00:00"


def test_store_of_a_task_is_written_to_from_here(rig: RunRig) -> None:
    other = RunRig().app.backend

    @rig.app.task
    def work() -> int:
        return 1

    work.backend = other
    outcome = rig.run(work, task_id="own")

    assert outcome.results == ()
    assert list(other.fetch(["own"])) == ["own"]


def test_current_app_is_the_runners(rig: RunRig) -> None:
    seen = []

    @rig.app.task
    def look() -> None:
        seen.append(current.get_current_app())

    rig.run(look)

    assert seen == [rig.app]


def test_info_of_the_machinery_is_logged_not_raised(
    rig: RunRig, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(rig.app.Task):  # type: ignore[misc, name-defined]
        abstract = True

        def on_success(self, *args: Any) -> None:
            raise ValueError("in the handler")

    @rig.app.task(base=Broken)
    def work() -> int:
        return 1

    with caplog.at_level(logging.ERROR):
        outcome = rig.run(work)

    assert outcome.state == "SUCCESS"
    assert "in the handler" in caplog.text

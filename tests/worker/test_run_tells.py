"""What a run tells around itself: handlers of the task, signals, and its start and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from run_rig import RunRig

from tqconsole.engine import signals
from tqconsole.engine.exceptions import Ignore
from tqconsole.engine.middleware.base import Middleware, Run
from tqconsole.engine.middleware.chain import Chain
from tqconsole.engine.worker.run import TaskRunner


@pytest.fixture
def rig() -> RunRig:
    return RunRig()


def with_handlers(rig: RunRig, seen: list[Any]) -> Any:
    class Told(rig.app.Task):  # type: ignore[misc, name-defined]
        abstract = True

        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            seen.append(("before_start", task_id, args, kwargs))

        def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
            seen.append(("on_success", retval))

        def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            seen.append(("on_retry", repr(exc)))

        def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            seen.append(("on_failure", repr(exc), "ValueError" in str(einfo)))

        def after_return(
            self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
        ) -> None:
            seen.append(("after_return", status))

    return Told


def test_handlers_of_a_success(rig: RunRig) -> None:
    seen: list[Any] = []

    @rig.app.task(base=with_handlers(rig, seen))
    def work(a: int) -> int:
        return a

    rig.run(work, 4, task_id="t")

    assert seen == [
        ("before_start", "t", [4], {}),
        ("on_success", 4),
        ("after_return", "SUCCESS"),
    ]


def test_handlers_of_a_failure(rig: RunRig) -> None:
    seen: list[Any] = []

    @rig.app.task(base=with_handlers(rig, seen))
    def work() -> None:
        raise ValueError("x")

    rig.run(work)

    assert seen[1:] == [("on_failure", "ValueError('x')", True), ("after_return", "FAILURE")]


def test_handlers_of_a_retry(rig: RunRig) -> None:
    seen: list[Any] = []

    @rig.app.task(base=with_handlers(rig, seen), bind=True)
    def work(self: Any) -> None:
        raise self.retry(exc=ValueError("x"))

    rig.run(work)

    assert seen[1:] == [("on_retry", "ValueError('x')")]


def test_error_before_the_start_fails_the_run(rig: RunRig) -> None:
    class Refusing(rig.app.Task):  # type: ignore[misc, name-defined]
        abstract = True

        def before_start(self, *args: Any) -> None:
            raise ValueError("not today")

    @rig.app.task(base=Refusing)
    def work() -> None:
        raise AssertionError("must not run")

    assert rig.run(work).text == "ValueError('not today')"


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    heard: list[tuple[str, dict[str, Any]]] = []
    ears: list[tuple[signals.Signal, Callable[..., None]]] = []
    for name in ("task_prerun", "task_postrun", "task_success", "task_retry", "task_failure"):
        signal = getattr(signals, name)

        def hear(name: str = name, **named: Any) -> None:
            heard.append((name, named))

        signal.connect(hear, weak=False)
        ears.append((signal, hear))
    yield heard
    for signal, hear in ears:
        signal.disconnect(hear)


def test_signals_of_a_success(rig: RunRig, heard: list[tuple[str, dict[str, Any]]]) -> None:
    @rig.app.task
    def work(a: int) -> int:
        return a

    rig.run(work, 2, task_id="t")

    assert [name for name, _ in heard] == ["task_prerun", "task_success", "task_postrun"]
    prerun, success, postrun = (named for _, named in heard)
    assert (prerun["task_id"], prerun["args"], prerun["sender"]) == ("t", [2], work)
    assert success["result"] == 2
    assert (postrun["retval"], postrun["state"]) == (2, "SUCCESS")


def test_signals_of_a_failure(rig: RunRig, heard: list[tuple[str, dict[str, Any]]]) -> None:
    @rig.app.task
    def fail() -> None:
        raise ValueError("x")

    rig.run(fail)

    assert [name for name, _ in heard] == ["task_prerun", "task_failure", "task_postrun"]
    failure = heard[1][1]
    assert repr(failure["exception"]) == "ValueError('x')"
    assert "ValueError" in failure["einfo"].traceback


def test_signals_of_a_retry(rig: RunRig, heard: list[tuple[str, dict[str, Any]]]) -> None:
    @rig.app.task(bind=True)
    def again(self: Any) -> None:
        raise self.retry(exc=ValueError("x"))

    rig.run(again, task_id="t")

    assert [name for name, _ in heard] == ["task_prerun", "task_retry", "task_postrun"]
    assert heard[1][1]["request"].id == "t"
    assert repr(heard[1][1]["reason"].exc) == "ValueError('x')"


def test_ignored_run_is_only_begun_and_ended(
    rig: RunRig, heard: list[tuple[str, dict[str, Any]]]
) -> None:
    @rig.app.task
    def skip() -> None:
        raise Ignore

    rig.run(skip)

    assert [name for name, _ in heard] == ["task_prerun", "task_postrun"]


def test_child_tells_of_its_start_and_end(rig: RunRig) -> None:
    told = []

    def start(**named: Any) -> None:
        told.append("init")

    def end(pid: int, exitcode: int, **named: Any) -> None:
        told.append(("shutdown", exitcode))

    signals.worker_process_init.connect(start)
    signals.worker_process_shutdown.connect(end)
    rig.runner.start_child()
    rig.runner.stop_child()

    assert told == ["init", ("shutdown", 0)]


def test_value_is_written_out_for_readers_only(rig: RunRig) -> None:
    class Shown:
        def __repr__(self) -> str:
            seen.append("shown")
            return "<value>"

    seen: list[str] = []

    @rig.app.task(ignore_result=True)
    def work() -> Any:
        return Shown()

    message = rig.app.build_call(work.name, (), {})[0].message
    unread, read = (rig.run_message(message, is_told=is_told).text for is_told in (False, True))

    assert (unread, read) == ("", "<value>")
    assert seen == ["shown"]


def test_plan_is_made_anew_for_another_task_of_the_name(rig: RunRig) -> None:
    @rig.app.task(name="same")
    def first() -> str:
        return "first"

    before = rig.run(first).text
    rig.app.tasks.unregister("same")

    @rig.app.task(name="same")
    def second() -> str:
        return "second"

    assert (before, rig.run(second).text) == ("'first'", "'second'")


def test_what_the_engine_does_wrong_is_signalled(rig: RunRig) -> None:
    told: list[dict[str, Any]] = []

    def on_error(**named: Any) -> None:
        told.append(named)

    class Sulky(Middleware):
        def after_run(self, run: Run) -> None:
            raise KeyError("not today")

    @rig.app.task(name="sulk")
    def sulk(x: int) -> int:
        return x

    rig.runner = TaskRunner(rig.app, "w1@host", Chain([Sulky()]))
    signals.task_internal_error.connect(on_error)
    try:
        outcome = rig.run(sulk, 7, task_id="s")
    finally:
        signals.task_internal_error.disconnect(on_error)

    assert outcome.state == "SUCCESS"
    (named,) = told
    assert (named["task_id"], named["args"], named["kwargs"]) == ("s", [7], {})
    assert (named["sender"].name, named["request"].id) == ("sulk", "s")
    assert repr(named["exception"]) == "KeyError('not today')"
    assert "not today" in named["einfo"].traceback
    assert named["traceback"] is not None

"""A wait looks before it sleeps where the last one of its kind was short, and only there."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from tqconsole.engine.app import App
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.settings_own import OWN_SETTINGS
from tqconsole.engine.worker import loop, options
from tqconsole.engine.worker.busy_poll import BusyPoll
from tqconsole.engine.worker.options import WorkerOptions
from tqconsole.engine.worker.program import run_worker

WINDOW_S, LOOK_S = 0.0004, 0.00001


class Watched:
    """A selector of a world in which something comes `due_s` after the wait for it began."""

    def __init__(self, window_s: float = WINDOW_S, look_s: float = LOOK_S) -> None:
        self.clock = ManualClock()
        self.look_count = 0
        #: How long each sleep was to be at most.
        self.sleeps: list[float] = []
        self._look_s = look_s
        self._due_mono = 0.0
        self._poll = BusyPoll(self, self.clock, window_s)  # type: ignore[arg-type]  # select is all it needs

    def select(self, timeout_s: float) -> list[Any]:
        left_s = self._due_mono - self.clock.mono()
        if timeout_s > 0:
            self.sleeps.append(timeout_s)
            self.clock.advance(max(0.0, min(left_s, timeout_s)))
            return ["it"] if left_s <= timeout_s else []
        self.look_count += 1
        self.clock.advance(self._look_s)
        return ["it"] if self._due_mono <= self.clock.mono() else []

    def wait(
        self, due_s: float, timeout_s: float = 10.0, kind: str | None = "message"
    ) -> list[Any]:
        """One wait; `look_count` and `sleeps` are its own."""
        self.look_count, self.sleeps = 0, []
        self._due_mono = self.clock.mono() + due_s
        return self._poll.select(timeout_s, kind)


def test_the_first_wait_sleeps() -> None:
    world = Watched()

    assert world.wait(0.0001) == ["it"]
    assert (world.look_count, world.sleeps) == (0, [10.0])


def test_a_wait_after_a_short_one_looks_and_does_not_sleep() -> None:
    world = Watched()
    world.wait(0.0001)

    for _ in range(3):
        assert world.wait(0.0003) == ["it"]
        assert world.sleeps == []
        assert world.look_count > 1


def test_a_wait_after_a_long_one_sleeps() -> None:
    world = Watched()
    world.wait(0.0005)

    world.wait(0.0001)

    assert world.look_count == 0


def test_who_looked_in_vain_sleeps_on_and_looks_no_more_until_a_sleep_was_short() -> None:
    world = Watched()
    world.wait(0.0001)

    assert world.wait(0.1) == ["it"]
    assert world.look_count == pytest.approx(WINDOW_S / LOOK_S, abs=1)
    assert world.sleeps == [pytest.approx(10.0 - WINDOW_S, abs=2 * LOOK_S)]

    world.wait(0.0001)
    assert world.look_count == 0
    world.wait(0.0001)
    assert world.look_count > 0


def test_looking_ends_with_the_wait() -> None:
    world = Watched()
    world.wait(0.0001)
    before_mono = world.clock.mono()

    assert world.wait(1.0, timeout_s=0.0001) == []

    assert world.sleeps == []
    assert world.clock.mono() - before_mono == pytest.approx(0.0001, abs=2 * LOOK_S)


def test_a_wait_in_which_nothing_came_was_not_short() -> None:
    world = Watched()
    world.wait(1.0, timeout_s=0.0001)

    world.wait(0.0001)

    assert world.look_count == 0


def test_each_kind_of_wait_has_its_own_length() -> None:
    world = Watched()
    for _ in range(3):
        world.wait(0.0001, kind="answer")
        world.wait(0.002, kind="message")

        assert world.look_count == 0
    world.wait(0.0001, kind="answer")
    assert world.look_count > 0


def test_what_is_asked_for_at_once_is_no_wait() -> None:
    world = Watched()

    assert world.wait(1.0, timeout_s=0.0) == []
    assert world.look_count == 1
    world.wait(0.0001)
    assert world.look_count == 0


def test_zero_switches_it_off() -> None:
    world = Watched(window_s=0.0)
    for _ in range(3):
        assert world.wait(0.0) == ["it"]
        assert world.look_count == 0


def test_it_ends_where_the_clock_stands_still() -> None:
    world = Watched(look_s=0.0)
    world.wait(0.0)

    assert world.wait(1.0) == ["it"]
    assert world.look_count == 400


@pytest.mark.parametrize(("processors", "window_s"), [(1, 0.0), (2, 0.0004), (64, 0.0004)])
def test_one_processor_is_left_to_what_is_to_come(
    monkeypatch: pytest.MonkeyPatch, processors: int, window_s: float
) -> None:
    monkeypatch.setattr(options, "_usable_cpu_count", lambda: processors)
    conf = SimpleNamespace(worker_busy_poll=OWN_SETTINGS["worker_busy_poll"].default)

    assert options.busy_poll_s(conf) == window_s


def test_what_comes_only_to_who_sleeps_is_slept_for() -> None:
    world = Watched()
    for _ in range(3):
        assert world.wait(0.0001, kind=None) == ["it"]
        assert world.look_count == 0


def test_worker_waits_as_its_setting_says_and_sleeps_while_threads_run(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    windows: list[float] = []
    sleeps_for_a_run = threading.Event()

    class Noted(BusyPoll):
        def __init__(self, selector: Any, clock: Any, window_s: float) -> None:
            super().__init__(selector, clock, window_s)
            windows.append(window_s)

        def select(self, timeout_s: float, kind: Any) -> list[Any]:
            if kind is None:
                sleeps_for_a_run.set()
            return super().select(timeout_s, kind)

    monkeypatch.setattr(loop, "BusyPoll", Noted)
    monkeypatch.setattr(options, "_usable_cpu_count", lambda: 2)
    url = f"memory://{request.node.name}"
    app = App("polls", broker=url, set_as_current=False, worker_hijack_root_logger=False)
    app.conf.update(worker_redirect_stdouts=False, worker_busy_poll=0.003)

    @app.task(name="stop")
    def stop() -> None:
        assert sleeps_for_a_run.wait(60)
        app.control.shutdown()

    app.send_task("stop")

    run_worker(app, WorkerOptions(pool="threads", concurrency=1, is_quiet=True))

    app.close()
    assert windows == [0.003]
    assert sleeps_for_a_run.is_set()


def test_bad_setting_is_told_at_the_start(request: pytest.FixtureRequest) -> None:
    app = App("polls", broker=f"memory://{request.node.name}", set_as_current=False)
    app.conf.update(worker_hijack_root_logger=False, worker_busy_poll=2)

    with pytest.raises(ImproperlyConfigured, match="worker_busy_poll is a number of seconds"):
        run_worker(app, WorkerOptions(pool="solo", is_quiet=True))


@pytest.mark.parametrize("value", [0, 0.0, False])
def test_setting_switches_it_off(value: float) -> None:
    assert options.busy_poll_s(SimpleNamespace(worker_busy_poll=value)) == 0.0


@pytest.mark.parametrize("value", [-0.001, 0.011, 1, True, "0.001", None, float("nan")])
def test_bad_setting_is_told_with_its_remedy(value: object) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"from 0 \(never\) to 0\.01, not"):
        options.busy_poll_s(SimpleNamespace(worker_busy_poll=value))

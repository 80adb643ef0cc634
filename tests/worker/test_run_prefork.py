"""Tasks in real child processes: what only a process of its own can show."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from run_rig import RunRig, record

from tqconsole.engine.exceptions import SoftTimeLimitExceeded
from tqconsole.engine.pools.base import Job, JobEnded, JobLost, PoolNews, PoolOptions
from tqconsole.engine.pools.prefork import PreforkPool
from tqconsole.engine.worker.outcome import Outcome, decode_outcome
from tqconsole.engine.worker.payload import RunPayload, encode_payload


class Children:
    """A prefork pool that runs the rig's tasks."""

    def __init__(self, rig: RunRig) -> None:
        self.rig = rig
        options = PoolOptions(
            on_child_start=rig.runner.start_child, on_child_stop=rig.runner.stop_child
        )
        self.pool = PreforkPool(rig.runner, 1, options)
        self._last_id = 0

    def submit(self, task: Any, *args: Any, soft_limit_s: float | None = None) -> int:
        if not self._last_id:
            self.pool.start()
        self._last_id += 1
        publication, _ = self.rig.app.build_call(task.name, args)
        payload = RunPayload(publication.message, "w1@host", soft_limit_s=soft_limit_s)
        self.pool.submit([Job(self._last_id, encode_payload(payload), soft_limit_s)])
        return self._last_id

    def end_of(self, job_id: int) -> PoolNews:
        end_mono = time.monotonic() + 20
        while time.monotonic() < end_mono:
            select.select(self.pool.filenos(), [], [], 1)
            for news in self.pool.poll():
                if isinstance(news, JobEnded | JobLost) and news.job_id == job_id:
                    return news
        raise AssertionError("it did not end")

    def run(self, task: Any, *args: Any, **limits: float) -> Outcome:
        end = self.end_of(self.submit(task, *args, **limits))
        assert isinstance(end, JobEnded)
        return decode_outcome(end.outcome)


@pytest.fixture
def children() -> Iterator[Children]:
    children = Children(RunRig())
    yield children
    children.pool.stop(0)


def test_task_runs_in_another_process(children: Children) -> None:
    @children.rig.app.task
    def where() -> int:
        return os.getpid()

    outcome = children.run(where)

    assert record(outcome).result in children.pool.info()["processes"]


def test_soft_limit_can_be_caught_by_the_task(children: Children) -> None:
    @children.rig.app.task
    def patient() -> str:
        try:
            select.select([], [], [], 20)
        except SoftTimeLimitExceeded:
            return "cleaned up"
        return "never"

    assert children.run(patient, soft_limit_s=0.1).text == "'cleaned up'"


def test_soft_limit_that_is_not_caught_fails_the_run(children: Children) -> None:
    @children.rig.app.task
    def stubborn() -> None:
        select.select([], [], [], 20)

    outcome = children.run(stubborn, soft_limit_s=0.1)

    assert (outcome.state, outcome.is_timeout) == ("FAILURE", True)
    assert outcome.text == "SoftTimeLimitExceeded()"


def test_soft_limit_of_one_run_spares_the_next(children: Children) -> None:
    @children.rig.app.task
    def quick() -> int:
        return 1

    @children.rig.app.task
    def longer() -> int:
        select.select([], [], [], 0.15)
        return 2

    assert children.run(quick, soft_limit_s=0.05).text == "1"
    assert children.run(longer).text == "2"


def test_usr1_reaches_the_task(children: Children) -> None:
    @children.rig.app.task
    def wait() -> None:
        # The signal may come before the function begins; it is ignored then.
        os.kill(os.getpid(), signal.SIGUSR1)
        select.select([], [], [], 20)

    assert children.run(wait).is_timeout


def test_exit_of_a_task_leaves_the_child_alive(children: Children) -> None:
    @children.rig.app.task
    def leave() -> None:
        sys.exit(3)

    @children.rig.app.task
    def where() -> int:
        return os.getpid()

    before = children.run(where)

    assert "SystemExit(3)" in children.run(leave).text
    assert record(children.run(where)).result == record(before).result


def test_hard_exit_of_a_task_is_a_loss(children: Children) -> None:
    @children.rig.app.task
    def vanish() -> None:
        os._exit(3)

    loss = children.end_of(children.submit(vanish))

    assert isinstance(loss, JobLost)
    assert (loss.was_started, loss.exit_code) == (True, 3)

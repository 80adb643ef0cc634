"""Who sets up a worker's log: the worker, or whoever has connected to setup_logging."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tqconsole.engine import signals
from tqconsole.engine.app import App
from tqconsole.engine.worker import program
from tqconsole.engine.worker.options import WorkerOptions


@pytest.fixture
def root_kept() -> Iterator[None]:
    root = logging.getLogger()
    kept = [*root.handlers], root.level
    yield
    root.handlers[:], root.level = kept[0], kept[1]


def app() -> App:
    return App("logs", broker="memory://logs", set_as_current=False, worker_redirect_stdouts=False)


@pytest.mark.usefixtures("root_kept")
def test_a_receiver_of_setup_logging_takes_over() -> None:
    told: list[dict[str, Any]] = []

    def take_over(**named: Any) -> None:
        told.append(named)

    before = [*logging.getLogger().handlers]
    signals.setup_logging.connect(take_over)
    try:
        with program.logging_set_up(
            app(), WorkerOptions(loglevel="INFO", logfile="%n.log"), "w1@host"
        ):
            pass
    finally:
        signals.setup_logging.disconnect(take_over)

    assert logging.getLogger().handlers == before
    assert (told[0]["loglevel"], told[0]["logfile"]) == (logging.INFO, "w1.log")
    assert {"format", "colorize"} <= set(told[0])


@pytest.mark.usefixtures("root_kept")
def test_receivers_may_add_to_what_is_set_up() -> None:
    told: list[str] = []

    def root(logger: Any, **named: Any) -> None:
        told.append(f"{logger.name} {named['loglevel']}")

    def task(logger: Any, **_: Any) -> None:
        told.append(logger.name)

    signals.after_setup_logger.connect(root)
    signals.after_setup_task_logger.connect(task)
    try:
        with program.logging_set_up(app(), WorkerOptions(loglevel="DEBUG"), "w1@host"):
            pass
    finally:
        signals.after_setup_logger.disconnect(root)
        signals.after_setup_task_logger.disconnect(task)

    assert told == [f"root {logging.DEBUG}", "celery.task"]

"""Logging: one event is one line, prints become lines, tasks are named."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tqconsole.engine import log

PROCESS = "[%(levelname)s/%(processName)s] %(message)s"
TASK = "[%(levelname)s] %(task_name)s[%(task_id)s]: %(message)s"


@pytest.fixture(autouse=True)
def restored_loggers() -> Iterator[None]:
    root, task = logging.getLogger(), logging.getLogger(log.TASK_LOGGER_NAME)
    kept = (root.handlers[:], root.level, task.handlers[:], task.level, task.propagate)
    yield
    for handler in {*root.handlers, *task.handlers} - {*kept[0], *kept[2]}:
        handler.close()
    root.handlers[:], task.handlers[:] = kept[0], kept[2]
    root.setLevel(kept[1])
    task.setLevel(kept[3])
    task.propagate = kept[4]


def plan(**fields: object) -> log.LogPlan:
    return log.LogPlan(
        **{"level": logging.INFO, "process_format": PROCESS, "task_format": TASK, **fields}
    )


def test_line_has_celerys_form() -> None:
    stream = io.StringIO()
    log.setup_logging(plan(), stream)

    logging.getLogger("x").info("hello")

    assert stream.getvalue() == "[INFO/MainProcess] hello\n"


def test_quieter_lines_are_left_out() -> None:
    stream = io.StringIO()
    log.setup_logging(plan(level=logging.WARNING), stream)

    logging.getLogger("x").info("hello")

    assert stream.getvalue() == ""


def test_line_breaks_of_a_name_cannot_forge_a_line() -> None:
    assert log.one_line("add\n[INFO/MainProcess] all is well\x1b[2J") == (
        "add\\n[INFO/MainProcess] all is well\\x1b[2J"
    )


def test_terminal_commands_do_not_pass() -> None:
    stream = io.StringIO()
    log.setup_logging(plan(), stream)

    logging.getLogger("x").info("a\x1b]0;owned\x07b\rc\nd")

    assert stream.getvalue() == "[INFO/MainProcess] a\\x1b]0;owned\\x07b\\x0dc\nd\n"


def test_task_logger_names_the_running_task() -> None:
    stream = io.StringIO()
    log.setup_logging(plan(current_task=lambda: ("add", "id-1")), stream)

    log.get_task_logger("proj.tasks").info("hello")

    assert stream.getvalue() == "[INFO] add[id-1]: hello\n"


def test_task_logger_outside_of_a_task_says_so() -> None:
    stream = io.StringIO()
    log.setup_logging(plan(), stream)

    log.get_task_logger("proj.tasks").info("hello")

    assert stream.getvalue() == "[INFO] ???[???]: hello\n"


def test_levels_are_coloured_where_asked() -> None:
    stream = io.StringIO()
    log.setup_logging(plan(is_coloured=True), stream)

    logging.getLogger("x").warning("careful")

    assert stream.getvalue() == "\x1b[1;33m[WARNING/MainProcess] careful\x1b[0m\n"


def test_log_goes_to_a_file(tmp_path: Path) -> None:
    log.setup_logging(plan(logfile=str(tmp_path / "w.log")))

    logging.getLogger("x").info("hello")

    assert (tmp_path / "w.log").read_text() == "[INFO/MainProcess] hello\n"


def test_child_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    log.setup_logging(plan(logfile=str(tmp_path / "w0.log")))

    log.reopen(str(tmp_path / "w1.log"))
    logging.getLogger("x").info("hello")

    assert (tmp_path / "w1.log").read_text() == "[INFO/MainProcess] hello\n"


def test_prints_become_lines() -> None:
    stream = io.StringIO()
    log.setup_logging(plan(), stream)

    with log.redirected_stdouts(logging.WARNING):
        print("one\n\ntwo")  # noqa: T201 - what it is about

    assert stream.getvalue() == "[WARNING/MainProcess] one\n[WARNING/MainProcess] two\n"
    assert not isinstance(sys.stdout, log.LoggedStream)


def test_failing_handler_does_not_feed_itself() -> None:
    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print("a handler failed")  # noqa: T201 - what it is about

    logger = logging.Logger("failing")
    logger.addHandler(Failing())

    stream = log.LoggedStream(logger, logging.WARNING)

    assert stream.write("hello") == 5


@pytest.mark.parametrize(
    ("name", "level"), [("info", logging.INFO), ("FATAL", logging.FATAL), ("Debug", logging.DEBUG)]
)
def test_level_is_known_in_any_case(name: str, level: int) -> None:
    assert log.level_number(name) == level


def test_unknown_level_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="choose DEBUG, INFO"):
        log.level_number("LOUD")


def test_a_log_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "w.log"
    log.setup_logging(plan(logfile=str(path)))
    logging.getLogger("x").info("before")

    path.rename(tmp_path / "w.log.1")
    logging.getLogger("x").info("after")

    assert (tmp_path / "w.log.1").read_text() == "[INFO/MainProcess] before\n"
    assert path.read_text() == "[INFO/MainProcess] after\n"

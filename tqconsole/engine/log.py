"""Logging of a worker: formats, colours, files, task loggers, and prints that become lines.

One event is one line (tracebacks aside): whatever a message from outside put into a name cannot
forge a second one. Set up once per process, before threads and children exist; children inherit
handlers and redirected streams by the fork.
"""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from tqconsole.engine.exceptions import ImproperlyConfigured

#: Parent of all loggers that `get_task_logger` gives out; Celery's name, as users configure it.
TASK_LOGGER_NAME = "celery.task"
#: Logger of what was printed.
REDIRECTED_NAME = "celery.redirected"

_LEVEL_COLOURS = {
    logging.DEBUG: "\x1b[1;34m",
    logging.WARNING: "\x1b[1;33m",
    logging.ERROR: "\x1b[1;31m",
    logging.CRITICAL: "\x1b[1;35m",
}
_RESET = "\x1b[0m"
#: Levels as `--loglevel` takes them, in any case.
LEVEL_NAMES = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL")


class LogPlan(msgspec.Struct, frozen=True):
    """How a process logs. `logfile` "" is stderr; `is_coloured` None: when that is a terminal."""

    level: int
    process_format: str
    task_format: str
    datefmt: str | None = None
    task_datefmt: str | None = None
    logfile: str = ""
    is_coloured: bool | None = None
    hijacks_root: bool = True
    #: Returns (name, id) of the task that the calling thread runs, None outside of one.
    current_task: Callable[[], tuple[str, str] | None] = lambda: None


def level_number(name: str) -> int:
    """Return the number of a level's name. Raises: ValueError naming the levels."""
    upper = name.upper()
    if upper not in LEVEL_NAMES:
        raise ValueError(f"no log level {name!r}: choose {', '.join(LEVEL_NAMES)}")
    return int(logging.getLevelName(upper))


def one_line(text: str) -> str:
    """Return `text` without line breaks and other control characters: they are escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def get_task_logger(name: str) -> logging.Logger:
    """Return a logger whose lines carry the name and id of the task that writes them."""
    if name.split(".", 1)[0] == "celery":
        return logging.getLogger(name)
    return logging.getLogger(f"{TASK_LOGGER_NAME}.{name}")


class LineFormatter(logging.Formatter):
    """Celery's line, coloured by level where asked; control characters of a terminal never pass."""

    def __init__(self, fmt: str, datefmt: str | None, *, is_coloured: bool) -> None:
        super().__init__(fmt, datefmt)
        self._is_coloured = is_coloured

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`."""
        text = _without_escapes(super().format(record))
        colour = _LEVEL_COLOURS.get(record.levelno) if self._is_coloured else None
        return f"{colour}{text}{_RESET}" if colour else text


class TaskFormatter(LineFormatter):
    """A line with `task_name` and `task_id` of the running task."""

    def __init__(
        self,
        fmt: str,
        datefmt: str | None,
        *,
        is_coloured: bool,
        current_task: Callable[[], tuple[str, str] | None],
    ) -> None:
        super().__init__(fmt, datefmt, is_coloured=is_coloured)
        self._current_task = current_task

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`."""
        name, task_id = self._current_task() or ("???", "???")
        record.__dict__.setdefault("task_name", name)
        record.__dict__.setdefault("task_id", task_id)
        return super().format(record)


class JsonLine(logging.Formatter):
    """One JSON object a line: time, level, logger, process, message, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "process": record.processName,
            "message": record.getMessage(),
        }
        for name in ("task_name", "task_id"):
            if getattr(record, name, None):
                line[name] = getattr(record, name)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=repr)


class LoggedStream:
    """A text stream whose lines become log lines. What a handler prints itself is dropped, or a
    failing handler would feed itself.
    """

    encoding = "utf-8"
    errors = "strict"
    closed = False
    name = None
    mode = "w"

    def __init__(self, logger: logging.Logger, level: int) -> None:
        self._logger = logger
        self._level = level
        self._inside = threading.local()

    def write(self, text: str) -> int:
        """Log what is written, line by line; line ends and blank lines are left out."""
        if getattr(self._inside, "is_on", False):
            return 0
        self._inside.is_on = True
        try:
            for line in str(text).splitlines():
                if line.strip():
                    self._logger.log(self._level, "%s", line.rstrip())
        finally:
            self._inside.is_on = False
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """It has nothing to close."""

    def isatty(self) -> bool:
        """It is no terminal."""
        return False

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def readable(self) -> bool:
        """It cannot be read."""
        return False

    def fileno(self) -> int:
        """Raise: it has no file."""
        raise OSError("a redirected stream has no file descriptor")


def setup_logging(plan: LogPlan, stream: TextIO | None = None) -> logging.Handler:
    """Set up the root logger and the task loggers; return the root's handler.

    With `hijacks_root` the root's other handlers go, as Celery does it; else ours is added only
    when it has none.
    """
    root = logging.getLogger()
    is_coloured = plan.is_coloured
    if is_coloured is None:
        is_coloured = not plan.logfile and _is_terminal(stream or sys.stderr)
    handler = _handler(plan.logfile, stream)
    handler.setFormatter(LineFormatter(plan.process_format, plan.datefmt, is_coloured=is_coloured))
    if plan.hijacks_root:
        for other in list(root.handlers):
            root.removeHandler(other)
    if not root.handlers:
        root.addHandler(handler)
    root.setLevel(plan.level)
    _setup_task_logger(plan, handler, is_coloured=is_coloured)
    return handler


def write_json() -> None:
    """Have what `setup_logging` has set up write JSON, for those who collect logs."""
    for logger in (logging.getLogger(), logging.getLogger(TASK_LOGGER_NAME)):
        for handler in logger.handlers:
            handler.setFormatter(JsonLine())


def _setup_task_logger(plan: LogPlan, handler: logging.Handler, *, is_coloured: bool) -> None:
    logger = logging.getLogger(TASK_LOGGER_NAME)
    for other in list(logger.handlers):
        logger.removeHandler(other)
    # The same stream or file, with the task's format.
    own: logging.Handler
    if isinstance(handler, logging.StreamHandler) and not plan.logfile:
        own = logging.StreamHandler(handler.stream)
    else:
        own = _handler(plan.logfile, None)
    own.setFormatter(
        TaskFormatter(
            plan.task_format,
            plan.task_datefmt,
            is_coloured=is_coloured,
            current_task=plan.current_task,
        )
    )
    logger.addHandler(own)
    logger.setLevel(plan.level)
    logger.propagate = False


def reopen(logfile: str) -> None:
    """Let this process's lines go to another file (a child's own, features.md 7.15)."""
    for logger in (logging.getLogger(), logging.getLogger(TASK_LOGGER_NAME)):
        for handler in list(logger.handlers):
            if isinstance(handler, logging.handlers.WatchedFileHandler):
                own = _handler(logfile, None)
                own.setFormatter(handler.formatter)
                logger.removeHandler(handler)
                handler.close()
                logger.addHandler(own)


@contextlib.contextmanager
def redirected_stdouts(level: int) -> Iterator[None]:
    """Turn prints into log lines of `level` while this lasts, also in children forked meanwhile."""
    kept = sys.stdout, sys.stderr
    stream: Any = LoggedStream(logging.getLogger(REDIRECTED_NAME), level)
    sys.stdout = sys.stderr = stream
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept


def _handler(logfile: str, stream: TextIO | None) -> logging.Handler:
    if not logfile:
        return logging.StreamHandler(stream or sys.stderr)
    # A watched file: logrotate may move it away.
    try:
        return logging.handlers.WatchedFileHandler(os.fspath(logfile), encoding="utf-8")
    except OSError as error:
        raise ImproperlyConfigured(
            f"The log file {logfile} cannot be written: {error.strerror}"
        ) from error


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and "NO_COLOR" not in os.environ
    except (AttributeError, ValueError):
        return False


#: What a terminal would obey: C0 without line end and tab, DEL, and C1.
_COMMANDS = {
    code: f"\\x{code:02x}"
    for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))
    if chr(code) not in "\n\t"
}


def _without_escapes(text: str) -> str:
    return text if text.isprintable() else text.translate(_COMMANDS)

"""A worker's log as JSON, one object a line, for those who collect logs."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from tqconsole.engine import signals


class JsonLine(logging.Formatter):
    """Formats a record as one JSON object: time, level, logger, process, message, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
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


def log_as_json() -> None:
    """Have the worker's loggers write JSON, from when they are set up."""
    # Weak by default: the receiver must outlive this function.
    signals.after_setup_logger.connect(_use_json, weak=False)
    signals.after_setup_task_logger.connect(_use_json, weak=False)


def _use_json(logger: logging.Logger, **_: Any) -> None:
    for handler in logger.handlers:
        handler.setFormatter(JsonLine())

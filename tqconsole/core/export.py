"""Writes rows as JSON, NDJSON or CSV, for other programs.

A CSV cell that a spreadsheet would take for a formula gets an apostrophe in front: task names and
arguments are strangers' texts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from tqconsole.core.views import TaskRow

FORMATS = ("json", "ndjson", "csv")
#: What a row is exported as, in this order.
COLUMNS: tuple[str, ...] = (
    "task_id", "name", "state", "is_lost", "lost_by", "queue", "worker", "args", "kwargs", "result",
    "exception", "traceback", "retries", "eta", "expires", "root_id", "parent_id", "sent_at",
    "received_at", "started_at", "ended_at", "wait_s", "runtime_s", "progress_done",
    "progress_total", "source",
)  # fmt: skip

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export_rows(rows: Iterable[object], format_name: str) -> str:
    """Return task rows, or views (any dataclass of `views`), in a format.

    Raises: ValueError for an unknown format.
    """
    records = [record_of(row) for row in rows]
    if format_name == "json":
        return json.dumps(records, ensure_ascii=False, indent=2) + "\n"
    if format_name == "ndjson":
        return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if format_name == "csv":
        return _csv(records)
    raise ValueError(f"no such format: {format_name!r}; there are {', '.join(FORMATS)}")


def record_of(row: object) -> dict[str, Any]:
    """Return one row as a JSON-like map."""
    if isinstance(row, TaskRow):
        return {name: getattr(row, name) for name in COLUMNS}
    if is_dataclass(row) and not isinstance(row, type):
        return {name: _plain(value) for name, value in asdict(row).items()}
    raise TypeError(f"{type(row).__name__} cannot be exported")


def _plain(value: Any) -> Any:
    """JSON knows no infinity: a queue that never drains says so in a word."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "never"
    return value


def _csv(records: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO()
    columns = list(records[0]) if records else list(COLUMNS)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for record in records:
        writer.writerow([_cell(record[name]) for name in columns])
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple | dict):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return str(value)
    return f"'{value}" if value.startswith(_FORMULA_STARTS) else value

"""Rows as files: JSON, NDJSON and CSV of records."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any


def export_text(records: Sequence[dict[str, Any]], kind: str) -> str:
    """Return the text of a file of `kind` ndjson, json or csv."""
    if kind == "ndjson":
        lines = [json.dumps(record, ensure_ascii=False, default=str) for record in records]
        return "\n".join(lines) + ("\n" if lines else "")
    if kind == "json":
        return json.dumps(list(records), indent=2, ensure_ascii=False, default=str) + "\n"
    sink = io.StringIO()
    if records:
        writer = csv.DictWriter(sink, fieldnames=list(records[0]), restval="")
        writer.writeheader()
        writer.writerows({key: _plain(value) for key, value in row.items()} for row in records)
    return sink.getvalue()


def _plain(value: Any) -> Any:
    """Return a value for one CSV cell; a leading = + - @ is quoted, spreadsheets would run it."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return "'" + value
    return value if isinstance(value, str | int | float) or value is None else str(value)

"""What a worker's log tells of tasks: lines as Celery's workers and ours write them by default."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

_HEAD = re.compile(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^\]]*\] (?P<text>.*)$")
_TASK = re.compile(r"^(?:Discarding revoked task: |Task )(?P<name>[^\s\[]+)\[(?P<id>[^\]]+)\]")
#: How a line goes on behind the task -> what it says; the first that fits.
_WORDS = (
    ("received", "received"),
    ("succeeded", "succeeded"),
    ("retry", "retried"),
    ("ignored", "ended"),
    ("raised", "failed"),
    ("INTERNAL ERROR", "failed"),
    ("reject", "failed"),
    ("revoked", "ended"),
    ("terminated", "ended"),
    ("expired", "ended"),
    ("ended", "ended"),
)
#: What ends a task.
_ENDS = ("succeeded", "failed", "ended")


class Entry(NamedTuple):
    """A line with those that belong to it (a traceback). `what`: "" for none about a task."""

    line: str
    more: list[str]
    what: str = ""
    task_name: str = ""
    task_id: str = ""


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """Yield the entries of a log, each when the next one begins; what stands before the first head
    is left out. Never raises.
    """
    entry: Entry | None = None
    for line in lines:
        text = line.rstrip("\n")
        head = _HEAD.match(text)
        if head is None:
            if entry is not None:
                entry.more.append(text)
            continue
        if entry is not None:
            yield entry
        entry = _entry(text, head["text"])
    if entry is not None:
        yield entry


def _entry(line: str, text: str) -> Entry:
    task = _TASK.match(text)
    if task is None:
        return Entry(line, [])
    rest = text[task.end() :].strip()
    what = "ended" if text.startswith("Discarding") else ""
    what = what or next((word for start, word in _WORDS if rest.startswith(start)), "")
    return Entry(line, [], what, task["name"], task["id"])


class Audit:
    """What became of the tasks of a log."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._ended: dict[str, str] = {}
        self.names: Counter[str] = Counter()

    def note(self, entry: Entry) -> None:
        """Take note of an entry. A task that is received again after a retry is open again."""
        if entry.what == "received":
            if entry.task_id not in self._ids:
                self.names[entry.task_name] += 1
            self._ids[entry.task_id] = entry.task_name
            self._ended.pop(entry.task_id, None)
        elif entry.what in _ENDS:
            self._ended[entry.task_id] = entry.what

    def incomplete(self) -> list[tuple[str, str]]:
        """Return (id, name) of what was received and did not end, the oldest first."""
        return [(each, name) for each, name in self._ids.items() if each not in self._ended]

    def counts(self) -> dict[str, Any]:
        """Return the totals, and how often each type was received, the most frequent first."""
        ends = Counter(self._ended.values())
        return {
            "total": len(self._ids),
            "errors": ends["failed"],
            "succeeded": ends["succeeded"],
            "completed": len(self._ended),
            "types": dict(self.names.most_common()),
        }

"""What really happened, written by those who did it: one appended line per step of an id.

A line is `kind id pid instant`, one `write` to a file opened with O_APPEND, so that many processes
share it and a kill leaves whole lines behind. Instants are the machine's monotonic clock, in
seconds, which all its processes share.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

#: Where the tasks find their ledger.
VARIABLE = "STORM_LEDGER"
#: The ledger's tasks: one that takes its time, one that takes it until a file is there, and one
#: that kills its process.
WORK, HOLD, DIE = "storm.work", "storm.hold", "storm.die"
#: A task that takes whatever it is given.
TAKE = "storm.take"
_TRIED, _PUBLISHED, _STARTED, _ENDED, _RESULT = "TPSER"


class Stamp(NamedTuple):
    """Who and when, in monotonic seconds."""

    pid: int
    at_mono: float


class Ledger:
    """The writing end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @classmethod
    @lru_cache(maxsize=1)
    def from_environment(cls) -> Self:
        """Return the ledger that the runner named."""
        return cls(Path(os.environ[VARIABLE]))

    def tried(self, task_ids: Iterable[str]) -> None:
        """Note calls that are about to be sent: they may run although nobody confirms them."""
        self._note(_TRIED, task_ids)

    def published(self, task_ids: Iterable[str]) -> None:
        """Note calls that were confirmed."""
        self._note(_PUBLISHED, task_ids)

    def started(self, task_id: str) -> None:
        """Note a start."""
        self._note(_STARTED, (task_id,))

    def ended(self, task_id: str) -> None:
        """Note an end."""
        self._note(_ENDED, (task_id,))

    def results(self, states: dict[str, str]) -> None:
        """Note what the result store says at last, task id -> state: for whoever reads the file."""
        stamp = f"{os.getpid()} {time.monotonic():.6f}"
        lines = (f"{_RESULT} {task_id} {stamp} {state}\n" for task_id, state in states.items())
        os.write(self._file, "".join(lines).encode())

    def close(self) -> None:
        """Close the file; a later note is an error, whoever has its number by then."""
        os.close(self._file)
        self._file = -1

    def _note(self, kind: str, task_ids: Iterable[str]) -> None:
        stamp = f"{os.getpid()} {time.monotonic():.6f}"
        os.write(self._file, "".join(f"{kind} {it} {stamp}\n" for it in task_ids).encode())


class Reading:
    """The reading end: what the lines say until now; `refresh` reads on where it stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.tried: dict[str, Stamp] = {}
        self.published: dict[str, Stamp] = {}
        #: Task id -> its starts and its ends, oldest first.
        self.starts: dict[str, list[Stamp]] = defaultdict(list)
        self.ends: dict[str, list[Stamp]] = defaultdict(list)
        #: All starts as they were written: (instant, task id).
        self._starts: list[tuple[float, str]] = []
        #: Process -> when it began its first task.
        self._first_starts: dict[int, float] = {}

    def refresh(self) -> Self:
        """Take in the whole lines that were written since."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode().splitlines():
            kind, task_id, pid, at_mono, *_ = line.split(" ")
            self._take(kind, task_id, Stamp(int(pid), float(at_mono)))
        return self

    def first_start_after(self, at_mono: float) -> float | None:
        """Return when the first task after that instant began, None if none did."""
        return min((start_mono for start_mono, _ in self._starts_since(at_mono)), default=None)

    def first_new_start(self, at_mono: float) -> float | None:
        """Return when the first task that was sent after that instant began, None if none did."""
        return min(
            (
                start_mono
                for start_mono, task_id in self._starts_since(at_mono)
                if self._sent_mono(task_id) > at_mono
            ),
            default=None,
        )

    def has_new_process(self, at_mono: float) -> bool:
        """Tell whether a process began a task that had begun none before that instant."""
        return any(first_mono > at_mono for first_mono in self._first_starts.values())

    def running(self) -> dict[str, Stamp]:
        """Return what has started last and not ended since, id -> its last start."""
        return {
            task_id: stamps[-1]
            for task_id, stamps in self.starts.items()
            if len(self.ends.get(task_id, ())) < len(stamps)
        }

    @property
    def last_end_mono(self) -> float:
        """When a task ended last, 0.0 if none did."""
        return max((stamps[-1].at_mono for stamps in self.ends.values()), default=0.0)

    def _starts_since(self, at_mono: float) -> Iterator[tuple[float, str]]:
        """Yield the starts after that instant, newest first: the lines are in order, or nearly."""
        for start_mono, task_id in reversed(self._starts):
            if start_mono < at_mono - 1.0:
                return
            if start_mono > at_mono:
                yield start_mono, task_id

    def _sent_mono(self, task_id: str) -> float:
        sent = self.tried.get(task_id) or self.published.get(task_id)
        return sent.at_mono if sent else 0.0

    def _take(self, kind: str, task_id: str, stamp: Stamp) -> None:
        if kind == _TRIED:
            self.tried[task_id] = stamp
        elif kind == _PUBLISHED:
            self.published[task_id] = stamp
        elif kind == _STARTED:
            self.starts[task_id].append(stamp)
            self._starts.append((stamp.at_mono, task_id))
            self._first_starts.setdefault(stamp.pid, stamp.at_mono)
        elif kind == _ENDED:
            self.ends[task_id].append(stamp)

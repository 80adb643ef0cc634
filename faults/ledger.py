"""What really happened, written by those who did it: one appended line per step of an id.

A line is `kind id pid instant`, one `write` to a file opened with O_APPEND, so that many processes
share it and a kill leaves whole lines behind. Instants are the machine's monotonic clock, in
seconds, which all its processes share.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

#: Where the tasks find their ledger.
VARIABLE = "STORM_LEDGER"
#: The ledger's task.
WORK = "storm.work"
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
        """Close the file."""
        os.close(self._file)

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
        later = (
            stamp.at_mono
            for stamps in self.starts.values()
            for stamp in stamps
            if stamp.at_mono > at_mono
        )
        return min(later, default=None)

    @property
    def last_end_mono(self) -> float:
        """When a task ended last, 0.0 if none did."""
        return max((stamps[-1].at_mono for stamps in self.ends.values()), default=0.0)

    def _take(self, kind: str, task_id: str, stamp: Stamp) -> None:
        if kind == _TRIED:
            self.tried[task_id] = stamp
        elif kind == _PUBLISHED:
            self.published[task_id] = stamp
        elif kind == _STARTED:
            self.starts[task_id].append(stamp)
        elif kind == _ENDED:
            self.ends[task_id].append(stamp)

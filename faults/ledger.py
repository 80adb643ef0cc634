"""What really happened, written by the tasks themselves: one appended line per start and end.

A line is one `write` to a file opened with O_APPEND, so that many processes share it and a kill
leaves whole lines behind.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

#: Where the tasks find their ledger.
VARIABLE = "STORM_LEDGER"


class Ledger:
    """An append-only file of `S id` and `E id` lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @classmethod
    @lru_cache(maxsize=1)
    def from_environment(cls) -> Self:
        """Return the ledger that the runner named."""
        return cls(Path(os.environ[VARIABLE]))

    def started(self, task_id: str) -> None:
        """Note a start."""
        os.write(self._file, f"S {task_id}\n".encode())

    def ended(self, task_id: str) -> None:
        """Note an end."""
        os.write(self._file, f"E {task_id}\n".encode())

    def read(self) -> tuple[Counter[str], Counter[str]]:
        """Return how often each id started and ended."""
        lines = self.path.read_text().splitlines()
        starts = Counter(line[2:] for line in lines if line.startswith("S "))
        ends = Counter(line[2:] for line in lines if line.startswith("E "))
        return starts, ends

    def ended_count(self) -> int:
        """Return how many ids ended at least once."""
        return len(self.read()[1])


@dataclass(frozen=True, slots=True)
class Account:
    """The equation after a storm. Only ids whose publish was confirmed count.

    `lost`: no end and no report. `reported`: a result says that the worker was lost.
    `duplicated`: runs beyond the first. `without_result`: ended, and no result stored.
    `unexpected`: ended, and never published. `stuck`: still in a queue or in somebody's hands.
    """

    published: int
    ended: int
    reported: int
    lost: int
    duplicated: int
    without_result: int
    unexpected: int
    stuck: int
    dead_lettered: int

    def __str__(self) -> str:
        return (
            f"published {self.published} = ended {self.ended} + reported {self.reported}"
            f" + lost {self.lost}; duplicated {self.duplicated},"
            f" without result {self.without_result}, unexpected {self.unexpected},"
            f" stuck {self.stuck}, dead-lettered {self.dead_lettered}"
        )


def settle_account(
    ledger: Ledger,
    published_ids: set[str],
    states: dict[str, str],
    stuck_count: int,
    dead_count: int,
) -> Account:
    """Hold the ledger against what was published and what the result store says.

    `states` is task id -> stored state, FAILURE meaning "reported": the task itself cannot fail.
    """
    starts, ends = ledger.read()
    reported = {task_id for task_id in published_ids if states.get(task_id) == "FAILURE"}
    ended = {task_id for task_id in ends if task_id in published_ids} - reported
    return Account(
        published=len(published_ids),
        ended=len(ended),
        reported=len(reported),
        lost=len(published_ids - ended - reported),
        duplicated=sum(count - 1 for count in starts.values()),
        without_result=sum(states.get(task_id) != "SUCCESS" for task_id in ended),
        unexpected=len(set(ends) - published_ids),
        stuck=stuck_count,
        dead_lettered=dead_count,
    )

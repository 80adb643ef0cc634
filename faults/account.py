"""The equation after a storm: what was confirmed, held against what the tasks and stores say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from faults.ledger import Reading


@dataclass(frozen=True, slots=True)
class Account:
    """The counters. Only ids whose publish was confirmed can be lost.

    `lost`: no end and no report. `reported`: a stored result says that the worker was lost.
    `duplicated`: runs beyond the first. `without_result`: ended, and no result stored.
    `unexpected`: ended, and never sent. `stuck`: still in a queue or in somebody's hands.
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

    def __add__(self, other: Account) -> Account:
        return Account(*(getattr(self, it.name) + getattr(other, it.name) for it in fields(self)))

    def counts(self) -> dict[str, int]:
        """Return name -> count, in the order of the equation."""
        return {each.name.replace("_", " "): getattr(self, each.name) for each in fields(self)}

    def not_zero(self, *allowed: str) -> list[str]:
        """Return in words which counters of failure are not 0, but for those that may be."""
        failures = list(self.counts().items())[2:]
        return [
            f"{name}: {count}, must be 0"
            for name, count in failures
            if count and name not in allowed
        ]


def settle_account(
    reading: Reading, states: Mapping[str, str], stuck_count: int, dead_count: int
) -> Account:
    """Hold the ledger against the result store.

    `states` is task id -> stored state. FAILURE means "reported": the ledger's task cannot fail.
    A call that was tried and not confirmed may run or not: it is neither lost nor unexpected.
    """
    published = reading.published.keys()
    reported = _reported_ids(reading, states)
    ended = (reading.ends.keys() & published) - reported
    return Account(
        published=len(published),
        ended=len(ended),
        reported=len(reported),
        lost=len(lost_ids(reading, states)),
        duplicated=sum(len(stamps) - 1 for stamps in reading.starts.values()),
        without_result=sum(states.get(task_id) != "SUCCESS" for task_id in ended),
        unexpected=len(reading.ends.keys() - published - reading.tried.keys()),
        stuck=stuck_count,
        dead_lettered=dead_count,
    )


def lost_ids(reading: Reading, states: Mapping[str, str]) -> set[str]:
    """Return the confirmed ids that neither ended nor were reported."""
    return reading.published.keys() - reading.ends.keys() - _reported_ids(reading, states)


def _reported_ids(reading: Reading, states: Mapping[str, str]) -> set[str]:
    return {task_id for task_id in reading.published if states.get(task_id) == "FAILURE"}

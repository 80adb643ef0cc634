"""A broker that is away is told of once, whoever notices it, and once when it is back."""

from __future__ import annotations

import logging

import pytest

from tqconsole.engine.exceptions import NotAdmittedError, OperationalError
from tqconsole.engine.worker.absence import WORK, Absence


class Hands:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at_mono = 100.0

    def now(self) -> float:
        return self.at_mono

    def mono(self) -> float:
        return self.at_mono

    def sleep(self, duration_s: float) -> None:
        self.at_mono += duration_s


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def absence(clock: Hands) -> Absence:
    return Absence(clock)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [it.getMessage() for it in caplog.records if it.levelno >= logging.WARNING]


def test_many_that_miss_it_are_one_absence(
    absence: Absence, clock: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    absence.notice("heartbeat", "cut")
    absence.notice(WORK, "cut, too")
    absence.notice("remote control", "refused")
    clock.sleep(2.5)
    absence.served(WORK)
    absence.served("remote control")
    absence.served("heartbeat")

    assert told(caplog) == [
        "The broker fails: cut; trying again until it answers",
        "The broker answers again after 2.5s",
    ]


def test_it_is_back_for_all_who_miss_it(absence: Absence, caplog: pytest.LogCaptureFixture) -> None:
    absence.notice("heartbeat", "cut")
    absence.notice("remote control", "cut")
    absence.served("remote control")
    assert len(told(caplog)) == 1

    absence.served("heartbeat")

    assert told(caplog)[1] == "The broker answers again after 0.0s"


def test_try_that_began_while_it_was_away_belongs_to_that_time(
    absence: Absence, clock: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    absence.notice(WORK, "silent")
    began_mono = clock.mono()
    clock.sleep(5)
    absence.served(WORK)
    clock.sleep(1)

    absence.notice("heartbeat", "no answer in 6 s", tried_mono=began_mono)
    assert len(told(caplog)) == 2

    absence.notice("heartbeat", "no answer again", tried_mono=clock.mono())
    assert told(caplog)[2].startswith("The broker fails: no answer again")


def test_events_that_were_lost_are_counted_at_its_end(
    absence: Absence, caplog: pytest.LogCaptureFixture
) -> None:
    for count in (3, 4):
        absence.notice("task events", "gone", lost_event_count=count)
    absence.served("task events")

    assert told(caplog)[1] == (
        "The broker answers again after 0.0s; 7 task events were lost meanwhile"
    )


def test_server_that_is_back_and_lets_nobody_in_is_told(
    absence: Absence, caplog: pytest.LogCaptureFixture
) -> None:
    absence.notice(WORK, "hung up")
    for _ in range(2):
        absence.notice("heartbeat", NotAdmittedError("wants a password"))
    absence.notice("heartbeat", OperationalError("hung up once more"))

    assert [line.partition(";")[0] for line in told(caplog)] == [
        "The broker fails: hung up",
        "The broker fails: wants a password",
    ]


def test_who_has_missed_nothing_says_nothing(
    absence: Absence, caplog: pytest.LogCaptureFixture
) -> None:
    absence.served(WORK)

    assert told(caplog) == []

"""What is due is done, and what has slack waits for company."""

from __future__ import annotations

import math

import pytest

from tqconsole.engine.clock import ManualClock
from tqconsole.engine.exceptions import ImproperlyConfigured, OperationalError
from tqconsole.engine.worker.absence import Absence
from tqconsole.engine.worker.chores import Chore, Chores


class Diary:
    """Chores that note when they were done."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.chores = Chores(self.clock, Absence(self.clock))
        self.done: list[str] = []

    def add(self, name: str, period_s: float, slack_s: float = 0.0) -> Chore:
        """Have a name noted, from now on."""
        chore = Chore(name, period_s, lambda: self.done.append(name), self.clock.mono(), slack_s)
        return self.chores.add(chore)

    def turn(self, after_s: float = 0.0) -> list[str]:
        """Do what is due after a sleep; return the names."""
        self.clock.advance(after_s)
        self.done.clear()
        self.chores.do_due(self.clock.mono())
        return list(self.done)

    @property
    def sleep_s(self) -> float:
        """How long it may sleep."""
        return self.chores.wake_mono - self.clock.mono()


@pytest.fixture
def diary() -> Diary:
    return Diary()


def test_nothing_to_do_wakes_nobody(diary: Diary) -> None:
    assert diary.sleep_s == math.inf
    assert diary.turn(1) == []


def test_what_is_due_is_done_once(diary: Diary) -> None:
    diary.add("a", 1.0)
    diary.add("b", 3.0)

    assert diary.turn() == ["a", "b"]
    assert diary.sleep_s == pytest.approx(1.0)
    assert diary.turn(0.9) == []
    assert diary.turn(0.2) == ["a"]
    assert diary.turn(2.0) == ["a", "b"]


def test_slack_lengthens_the_sleep_and_not_the_period(diary: Diary) -> None:
    diary.add("lazy", 1.0, slack_s=5.0)
    diary.add("strict", 4.0)
    diary.turn()

    assert diary.sleep_s == pytest.approx(4.0)
    # Somebody else has turned the loop.
    assert diary.turn(1.5) == ["lazy"]
    assert diary.turn(2.5) == ["lazy", "strict"]
    assert diary.sleep_s == pytest.approx(4.0)


def test_only_slack_is_left_in_the_end(diary: Diary) -> None:
    lazy = diary.add("lazy", 1.0, slack_s=5.0)
    diary.turn()
    assert diary.sleep_s == pytest.approx(6.0)

    diary.chores.give_slack(lazy, 0.0)

    assert diary.sleep_s == pytest.approx(1.0)
    assert diary.turn(1.0) == ["lazy"]


def test_what_rests_is_done_no_more(diary: Diary) -> None:
    once = diary.add("once", 1.0)
    once.rest()

    assert diary.turn() == ["once"]
    assert diary.turn(1_000) == []
    assert diary.sleep_s == math.inf


def test_failure_is_told_once_and_hinders_no_other(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("oh")

    diary.chores.add(Chore("failing", 1.0, fail, diary.clock.mono()))
    diary.add("other", 1.0)

    assert diary.turn() == ["other"]
    assert diary.turn(1.0) == ["other"]
    assert caplog.text.count("failing fails: oh") == 1


def test_broker_that_is_away_is_told_as_one_absence(
    diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OperationalError("gone")

    for name in ("one", "two"):
        diary.chores.add(Chore(name, 1.0, fail, diary.clock.mono(), asks_broker=True))
    diary.turn()

    assert caplog.text.count("gone") == 1


def test_wrong_configuration_is_raised(diary: Diary) -> None:
    def fail() -> None:
        raise ImproperlyConfigured("no such virtual host")

    diary.chores.add(Chore("failing", 1.0, fail, diary.clock.mono()))

    with pytest.raises(ImproperlyConfigured, match="no such virtual host"):
        diary.turn()

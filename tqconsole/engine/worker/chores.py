"""What is done every so often in the loop's thread, and when the loop must wake for it.

An idle worker costs what its wake-ups cost, so a chore may have slack: its time is the next turn of
the loop after it is due, and only when the slack is over a turn is made for it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import msgspec

from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import EngineError, ImproperlyConfigured
from tqconsole.engine.worker.absence import Absence

logger = logging.getLogger(__name__)


class Chore(msgspec.Struct):
    """Something done every `period_s`, at most `slack_s` later while the loop sleeps; what it
    raises is told of once.

    `asks_broker`: what fails is the broker, of which others tell as well.
    """

    name: str
    period_s: float
    work: Callable[[], None]
    due_mono: float = 0.0
    slack_s: float = 0.0
    asks_broker: bool = False
    is_failing: bool = False

    def rest(self) -> None:
        """Have it done no more."""
        self.period_s = math.inf


class Chores:
    """All of one loop. Used by its thread."""

    def __init__(self, clock: Clock, absence: Absence) -> None:
        self._clock = clock
        self._absence = absence
        self._chores: list[Chore] = []
        #: When the first of them is due, and when the loop must wake for one.
        self.next_mono = self.wake_mono = math.inf

    def add(self, chore: Chore) -> Chore:
        """Have it done from its `due_mono` on."""
        self._chores.append(chore)
        self._look_ahead()
        return chore

    def give_slack(self, chore: Chore, slack_s: float) -> None:
        """Let it wait so long for another reason to wake."""
        if chore.slack_s != slack_s:
            chore.slack_s = slack_s
            self._look_ahead()

    def do_due(self, now_mono: float) -> None:
        """Do what is due. Raises: ImproperlyConfigured only."""
        if self.next_mono > now_mono:
            return
        for chore in self._chores:
            if chore.due_mono <= now_mono:
                chore.due_mono = now_mono + chore.period_s
                self._do(chore)
        self._look_ahead()

    def _look_ahead(self) -> None:
        self.next_mono = min(it.due_mono for it in self._chores)
        self.wake_mono = min(it.due_mono + it.slack_s for it in self._chores)

    def _do(self, chore: Chore) -> None:
        try:
            chore.work()
        except ImproperlyConfigured:
            raise
        except Exception as error:  # a chore that fails is tried again at its next time
            is_known = isinstance(error, EngineError)
            if chore.asks_broker and is_known:
                self._absence.notice(chore.name, error)
            elif not chore.is_failing:
                logger.warning("%s fails: %s", chore.name, error, exc_info=not is_known)
            chore.is_failing = True
        else:
            chore.is_failing = False
            if chore.asks_broker:
                self._absence.served(chore.name)

"""A session on a recording: the same screens, at the time that was, at any speed.

It has no broker and no control: nothing can be sent. Its clock stands at the place in the recording
that is shown. Implements `port.ConsoleSession`. Winding forward takes in what lies between as fast
as it goes; winding back begins anew, so that is another session (`sought`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from tqconsole.core.actions import ACTIONS, ActionRequest
from tqconsole.core.cluster import Cluster
from tqconsole.core.errors import ConsoleError, FilterError
from tqconsole.core.filter_values import instant_of, number_of
from tqconsole.core.ingest import Arrived
from tqconsole.core.lookup import KnownTask, text_facts
from tqconsole.core.model_reader import ModelReader
from tqconsole.core.model_session import SessionModel
from tqconsole.core.perform import title_of
from tqconsole.core.picture import Surroundings
from tqconsole.core.recording import Entry, Recording
from tqconsole.core.stamps import Stamped
from tqconsole.core.store import ROWS_LIMIT
from tqconsole.core.views import (
    ActionDone,
    Changes,
    DeadLetterView,
    Inspected,
    QueuePeek,
    TaskFacts,
)
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock

#: What every question to a cluster is answered with.
NOBODY = "this is a replay: it asks nobody and sends nothing"
#: Recorded seconds behind which a frame takes more time, and how much then.
FAR_S, FAR_BUDGET_S = 2.0, 0.06
#: Speeds that can be meant: recorded seconds per second.
SLOWEST, FASTEST = 0.01, 10_000.0

_STEP = re.compile(r"([+-])(\S+)$")
Value = TypeVar("Value")


class ReplayClock:
    """Shows the recording's time; monotonic time and sleep are the host's."""

    def __init__(self, now_at: float, clock: Clock) -> None:
        self.now_at = now_at
        self._clock = clock

    def now(self) -> float:
        """Return the instant in the recording."""
        return self.now_at

    def mono(self) -> float:
        """Return the host's monotonic seconds."""
        return self._clock.mono()

    def sleep(self, duration_s: float) -> None:
        """Sleep as the host does."""
        self._clock.sleep(duration_s)


class ReplaySession(ModelReader):
    """Plays one file from `start_at` (None: its beginning) on."""

    def __init__(
        self,
        path: Path,
        *,
        speed: float = 1.0,
        start_at: float | None = None,
        rows_limit: int = ROWS_LIMIT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Raises: RecordingError, ConsoleError for a speed that cannot be meant."""
        self._recording = Recording(path)
        self._speed = _checked(speed)
        self._host_clock = clock
        self._rows_limit = rows_limit
        began_at = self._recording.began_at
        self._replay_clock = ReplayClock(began_at, clock)
        #: Where the replay is to be; what lies before it and was not taken in yet is behind.
        self._position_at = max(began_at, start_at if start_at is not None else began_at)
        self._last_mono: float | None = None
        self._is_end_shown = False
        self._link_detail = ""
        surroundings = Surroundings(
            self._recording.context,
            self._recording.broker_url,
            f"recorded in {path.name}",
            is_read_only=True,
        )
        cluster = Cluster(self._replay_clock, rows_limit)
        super().__init__(SessionModel(self._replay_clock, surroundings, cluster))
        cluster.stats.begin(began_at)

    @property
    def is_read_only(self) -> bool:
        """True: there is nothing that could be changed."""
        return True

    @property
    def is_over(self) -> bool:
        """True when all of the recording is shown."""
        return self._recording.is_over

    def start(self) -> None:
        """Let the time go by."""
        self._last_mono = self._host_clock.mono()

    def stop(self) -> None:
        """Close the file. May be called twice."""
        self._recording.close()

    def drain(self, budget_s: float = 0.008) -> Changes:
        """Take in what came until now, in the recording's time."""
        began_mono = self._host_clock.mono()
        self._go_on(began_mono)
        is_far = self._position_at - self._replay_clock.now_at > FAR_S
        until_mono = began_mono + max(budget_s, FAR_BUDGET_S if is_far else 0.0)
        has_events = has_facts = is_behind = False
        while (entry := self._recording.take(self._position_at)) is not None:
            self._replay_clock.now_at = max(self._replay_clock.now_at, entry.at)
            self._fold(entry)
            has_events = has_events or bool(entry.events)
            has_facts = has_facts or entry.fact is not None
            if self._host_clock.mono() >= until_mono:
                is_behind = True
                break
        if self._recording.is_over:
            self._position_at = self._replay_clock.now_at
        elif not is_behind:
            self._replay_clock.now_at = self._position_at
        return self._model.finish_frame(
            ("replay", self._told()), has_events=has_events, has_facts=has_facts,
            is_behind=is_behind, has_second=self._has_last_second(),
        )  # fmt: skip

    def play_out(self) -> None:
        """Take in all that is left, as fast as it goes."""
        while not self._recording.is_over:
            self._position_at = float("inf")
            self.drain()

    def wind(self, text: str) -> ReplaySession | None:
        """Go to a time (`14:05`, an ISO instant) or by a span (`+5m`, `-30s`).

        Returns the session that goes on where this one cannot: before what it has shown.
        Raises: ConsoleError for a text that is neither.
        """
        target_at = max(self._recording.began_at, self._target_at(text.strip()))
        if target_at >= self._replay_clock.now_at:
            self._position_at = target_at
            return None
        return ReplaySession(
            self._recording.path,
            speed=self._speed,
            start_at=target_at,
            rows_limit=self._rows_limit,
            clock=self._host_clock,
        )

    def set_speed(self, text: str) -> float:
        """Let the time go by `text` times as fast; returns the factor. Raises: ConsoleError."""
        try:
            self._speed = _checked(float(text.strip().rstrip("x")))
        except ValueError:
            raise ConsoleError(f"{text!r} is no speed: write it as 4 or 0.5") from None
        # What was still to be caught up with at the old speed is not skipped.
        self._position_at = self._replay_clock.now_at
        return self._speed

    def perform(self, request: ActionRequest) -> Future[ActionDone]:
        """Refuse."""
        title = title_of(ACTIONS[request.action_id], request)
        return _finished(ActionDone(title, error=NOBODY, equivalent=self.equivalent(request)))

    def equivalent(self, request: ActionRequest) -> str:
        """Return the command line that does the same."""
        return self._model.equivalent(request)

    def inspect(self, worker: str, what: str) -> Future[Inspected]:
        """Say that nobody is asked."""
        return _finished(Inspected(worker, what, error=NOBODY))

    def peek(self, queue: str, count: int = 100) -> Future[QueuePeek]:
        """Say that nobody is asked."""
        return _finished(QueuePeek(queue, error=NOBODY))

    def find_stamped(self, stamps: Mapping[str, str]) -> Future[Stamped]:
        """Say that nobody is asked."""
        return _finished(Stamped(error=NOBODY))

    def dead_letters(self, queue: str = "") -> Future[tuple[DeadLetterView, ...]]:
        """Say that nobody is asked."""
        future: Future[tuple[DeadLetterView, ...]] = Future()
        future.set_exception(ConsoleError(NOBODY))
        return future

    def fetch_task(self, task_id: str) -> Future[TaskFacts]:
        """Return what the row says."""
        return _finished(text_facts(KnownTask.of(task_id, self.task(task_id))))

    def pause(self) -> None:
        """Stop the time."""
        self._model.is_paused = True

    def resume(self) -> None:
        """Let the time go by again."""
        self._model.is_paused = False

    def refresh(self) -> None:
        """Nothing is asked here."""

    def _go_on(self, now_mono: float) -> None:
        """Move the place in the recording by the time that went by."""
        last_mono, self._last_mono = self._last_mono, now_mono
        is_still = self._model.is_paused or self._recording.is_over or last_mono is None
        if last_mono is not None and not is_still:
            self._position_at += (now_mono - last_mono) * self._speed

    def _has_last_second(self) -> bool:
        """Say once that the recording has ended, where that is seen: time stands still there.

        No second follows its last one, and most of what is shown is looked at once a second.
        """
        if self._is_end_shown or self._model.is_paused:
            return False
        self._is_end_shown = self._recording.is_over
        return self._is_end_shown

    def _fold(self, entry: Entry) -> None:
        if entry.events:
            self._model.take(Arrived(entry.at, list(entry.events), entry.event_bytes))
        elif entry.fact is not None:
            entry.fact.tell(self._model.cluster, entry.at)
        elif entry.link is not None:
            link, detail = entry.link
            self._link_detail = "" if link == "live" else f"then {link}: {detail}".rstrip(": ")

    def _told(self) -> str:
        """Return what is to be said of the replay, in the status line."""
        if self._recording.is_over:
            return self._recording.damage or "the recording ends here"
        return self._link_detail or f"{self._speed:g}x (:speed 4, :seek +5m)"

    def _target_at(self, text: str) -> float:
        step = _STEP.match(text)
        now_at = self._replay_clock.now_at
        try:
            if step is not None:
                span_s = number_of(step[2], 0)
                return now_at + (span_s if step[1] == "+" else -span_s)
            return instant_of(text, 0, now_at)
        except FilterError as error:
            raise ConsoleError(f"{error.message}; or +5m, -30s from here") from error


def _checked(speed: float) -> float:
    if not SLOWEST <= speed <= FASTEST:
        raise ConsoleError(f"a speed is between {SLOWEST:g} and {FASTEST:g}, not {speed:g}")
    return speed


def _finished(value: Value) -> Future[Value]:
    future: Future[Value] = Future()
    future.set_result(value)
    return future

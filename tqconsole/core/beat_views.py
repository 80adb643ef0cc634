"""What the Beat screen draws of an entry of the schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BeatRun:
    """One run of an entry, as far as events told of it; `state` is "" when its row is gone."""

    task_id: str
    at: float
    state: str = ""
    runtime_s: float | None = None
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class BeatView:
    """One entry. Instants are UTC epoch seconds; None is not known.

    `next_at` is None for an interval no run of which was seen yet: it is due within `interval_s`.
    """

    name: str
    task_name: str
    schedule: str
    args: str = "()"
    kwargs: str = "{}"
    #: As an editor wants them; "" where they are no JSON.
    args_json: str = ""
    kwargs_json: str = ""
    queue: str = ""
    priority: str = ""
    expires: str = ""
    options: str = ""
    is_enabled: bool = True
    interval_s: float | None = None
    next_at: float | None = None
    #: The newest last; the older ones are only counted.
    runs: tuple[BeatRun, ...] = ()
    run_count: int = 0
    #: Runs that were due since the console listens, and that no event told of.
    missed_count: int = 0
    missed_at: float | None = None
    #: What a scheduler said, where one was asked.
    last_run_at: float | None = None
    #: Gives the next instants: (from, how many) -> instants.
    upcoming: Callable[[float, int], tuple[float, ...]] | None = field(default=None, compare=False)

    @property
    def last_at(self) -> float | None:
        """When it ran last, by its events or else by its scheduler."""
        return self.runs[-1].at if self.runs else self.last_run_at


@dataclass(frozen=True, slots=True)
class BeatPicture:
    """The schedule. `state`: "no app" to read one from, reading, read, empty, or failed."""

    entries: tuple[BeatView, ...] = ()
    state: str = "no app"
    detail: str = ""

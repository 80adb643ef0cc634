"""The entries of a schedule, as the Beat screen wants them: what is sent, and when it is due next.

A source hands them over: today the settings of the app that `-A` names, read by `AppSchedule`; a
scheduler that runs here can be another one, which also knows when each entry ran last. Plain
numbers and timedeltas are read as intervals; any other schedule is asked by Celery's own methods
(`remaining_estimate`, else `is_due`), so that it can be Celery's or ours.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from tqconsole.core.sanitize import clean, clean_name

logger = logging.getLogger(__name__)

#: Entries read of one schedule: a screen of them is looked at, not a data base.
ENTRY_LIMIT = 1000
#: How a crontab of Celery prints.
_CRONTAB = re.compile(r"<crontab: (?P<fields>.+?) \(m/\S+\)>")

#: Given when an entry ran (UTC epoch), says when it is due next; None when that cannot be told.
NextAfter = Callable[[float], float | None]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One entry. `schedule` is for people; `args` and `kwargs` are as they will be sent.

    `is_anchored`: due by the clock on the wall, not so long after the last run; `interval_s` is
    the longest an entry that is not anchored can take. What a running scheduler knows beyond that
    stands in the last three; a source that reads settings leaves them as they are.
    """

    name: str
    task_name: str
    schedule: str
    next_after: NextAfter
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    is_anchored: bool = False
    interval_s: float | None = None
    last_run_at: float | None = None
    total_run_count: int | None = None
    is_enabled: bool = True


class ScheduleSource(Protocol):
    """Where entries come from."""

    def entries(self) -> Sequence[Scheduled]:
        """Return what is scheduled now. May block and raise anything: it is called in a thread."""
        ...


class AppSchedule:
    """The `beat_schedule` of an app, with what `add_periodic_task` put into it."""

    def __init__(self, read: Callable[[], Mapping[Any, Any]], app: object) -> None:
        self._read = read
        self._app = app

    def entries(self) -> Sequence[Scheduled]:
        """Import what the app lists, and return its entries in their order."""
        found = list(self._read().items())[:ENTRY_LIMIT]
        return [_entry(name, table, self._app) for name, table in found]


def upcoming(entry: Scheduled, from_at: float, count: int) -> tuple[float, ...]:
    """Return the next instants at which an entry is due after a run at `from_at`."""
    instants: list[float] = []
    at = from_at
    while len(instants) < count:
        next_at = entry.next_after(at)
        if next_at is None or next_at <= at:
            break
        instants.append(next_at)
        at = next_at
    return tuple(instants)


def _entry(name: object, table: object, app: object) -> Scheduled:
    """Read an entry: a table of settings, or an object with the same names."""

    def of(key: str, default: Any = None) -> Any:
        found = table.get(key) if isinstance(table, Mapping) else getattr(table, key, None)
        return default if found is None else found

    schedule = of("schedule")
    interval_s = _interval_s(schedule)
    args, kwargs, options = of("args", ()), of("kwargs", {}), of("options", {})
    return Scheduled(
        name=clean_name(name),
        task_name=clean_name(of("task", "")),
        schedule=schedule_text(schedule),
        next_after=_next_after(schedule, app),
        args=tuple(args) if isinstance(args, list | tuple) else (),
        kwargs=dict(kwargs) if isinstance(kwargs, Mapping) else {},
        options=dict(options) if isinstance(options, Mapping) else {},
        is_anchored=interval_s is None,
        interval_s=interval_s,
        is_enabled=bool(of("enabled", default=True)),
    )


def schedule_text(schedule: object) -> str:
    """Return a schedule for people: every 30 s, 30 7 * * mon-fri, solar: sunset at ..."""
    interval_s = _interval_s(schedule)
    if interval_s is not None:
        return f"every {_interval_text(interval_s)}"
    if schedule is None:
        return "no schedule"
    text = clean(schedule if isinstance(schedule, str) else repr(schedule), 120)
    crontab = _CRONTAB.fullmatch(text)
    return crontab["fields"] if crontab else text.removeprefix("<").removesuffix(">")


def _interval_text(interval_s: float) -> str:
    for size_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if interval_s >= size_s and interval_s % size_s == 0:
            return f"{interval_s / size_s:g} {unit}"
    return f"{interval_s:g} s"


def _interval_s(schedule: object) -> float | None:
    """Return the seconds of an interval, None for what is due by the clock."""
    every = getattr(schedule, "run_every", schedule)
    if isinstance(every, timedelta):
        return every.total_seconds()
    if isinstance(every, int | float) and not isinstance(every, bool):
        return float(every)
    return None


def _next_after(schedule: Any, app: object) -> NextAfter:
    if isinstance(schedule, int | float | timedelta):
        interval_s = _interval_s(schedule)
        return lambda at: at + interval_s if interval_s else None
    if schedule is None:
        return lambda _at: None
    return _Asked(schedule, app).next_after


class _Asked:
    """A schedule that is an object: asked as if the instant of the last run were now."""

    def __init__(self, schedule: Any, app: object) -> None:
        self._now = datetime.fromtimestamp(0.0, UTC)
        # A copy: the app's own must keep its clock.
        self._schedule = copy.copy(schedule)
        for name, value in (("nowfun", lambda: self._now), ("app", app)):
            # One that knows no clock or no app of its own is asked without.
            with contextlib.suppress(AttributeError):
                setattr(self._schedule, name, value)

    def next_after(self, at: float) -> float | None:
        """Return when it is due after a run at `at`; None when it does not say."""
        try:
            self._now = datetime.fromtimestamp(at, UTC)
            return at + self._remaining_s(self._now)
        except Exception:
            # A schedule of the user's may fail in any way: the screen says that it is not known.
            logger.debug("a schedule did not say when it is due", exc_info=True)
            return None

    def _remaining_s(self, last_run_at: datetime) -> float:
        estimate = getattr(self._schedule, "remaining_estimate", None)
        if estimate is not None:
            try:
                remaining: timedelta = estimate(last_run_at)
            except NotImplementedError:
                pass
            else:
                return remaining.total_seconds()
        return float(self._schedule.is_due(last_run_at)[1])

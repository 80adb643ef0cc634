"""Schedules of apps: what is read of Celery's and of plain intervals, and when each is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from celery.schedules import crontab, schedule, solar

from tqconsole.core.schedules import AppSchedule, Scheduled, schedule_text, upcoming
from tqconsole.engine.app import App

#: A Friday, 12:00:30 UTC.
FRIDAY_AT = datetime(2026, 11, 27, 12, 0, 30, tzinfo=UTC).timestamp()


def read(schedule_: object, app: object | None = None, **more: object) -> Scheduled:
    table = {"entry": {"task": "proj.add", "schedule": schedule_, **more}}
    (entry,) = AppSchedule(lambda: table, app or Celery("proj", set_as_current=False)).entries()
    return entry


def instants(entry: Scheduled, count: int = 2) -> list[str]:
    times = upcoming(entry, FRIDAY_AT, count)
    return [datetime.fromtimestamp(at, UTC).strftime("%a %H:%M:%S") for at in times]


@pytest.mark.parametrize(
    "every", [90, 90.0, timedelta(seconds=90), schedule(90), schedule(timedelta(seconds=90))]
)
def test_an_interval_is_due_so_long_after_a_run(every: object) -> None:
    entry = read(every)

    assert (entry.schedule, entry.interval_s, entry.is_anchored) == ("every 90 s", 90.0, False)
    assert instants(entry) == ["Fri 12:02:00", "Fri 12:03:30"]


def test_a_crontab_of_celerys_is_due_by_the_clock() -> None:
    entry = read(crontab("30", "7", day_of_week="mon-fri"))

    assert (entry.schedule, entry.is_anchored) == ("30 7 * * mon-fri", True)
    assert instants(entry, 3) == ["Mon 07:30:00", "Tue 07:30:00", "Wed 07:30:00"]


def test_a_crontab_is_due_in_the_zone_of_its_app() -> None:
    app = Celery("proj", set_as_current=False)
    app.conf.timezone = "Europe/Berlin"

    assert instants(read(crontab("30", "7"), app)) == ["Sat 06:30:00", "Sun 06:30:00"]
    assert instants(read(crontab("30", "7"), App("ours", broker="memory://zone"))) == [
        "Sat 07:30:00",
        "Sun 07:30:00",
    ]


def test_reading_leaves_the_apps_own_schedule_as_it_is() -> None:
    mine = crontab("30", "7")

    read(mine)

    assert mine.nowfun is None


def test_the_sun_is_shown_as_text() -> None:
    # Made without its own beginning, which wants a library of orbits.
    sunset = solar.__new__(solar)
    sunset.event, sunset.lat, sunset.lon = "sunset", 48.1, 11.6

    assert schedule_text(sunset) == "solar: sunset at latitude 48.1, longitude: 11.6"


class OnlyDue:
    """A schedule of a user's own: it says whether it is due, and when to ask again."""

    def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
        return False, 3600.0 - last_run_at.minute * 60 - last_run_at.second


class Broken:
    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        raise RuntimeError("no")


def test_a_schedule_of_ones_own_is_asked_by_is_due() -> None:
    assert instants(read(OnlyDue())) == ["Fri 13:00:00", "Fri 14:00:00"]


def test_what_cannot_be_told_is_not_known() -> None:
    assert instants(read(Broken())) == []
    assert instants(read(None)) == []
    assert read(None).schedule == "no schedule"


def test_entries_that_are_added_are_there_beside_those_of_the_settings() -> None:
    app = Celery("proj", set_as_current=False)
    app.conf.beat_schedule = {"one": {"task": "proj.add", "schedule": 10, "args": (1, 2)}}

    @app.on_after_configure.connect
    def _add(sender: Celery, **_: object) -> None:
        sender.add_periodic_task(60.0, sender.signature("proj.mul", (3,)), name="two", queue="q")

    entries = AppSchedule(lambda: app.conf.beat_schedule, app).entries()

    assert [(e.name, e.task_name, e.args, e.schedule) for e in entries] == [
        ("one", "proj.add", (1, 2), "every 10 s"),
        ("two", "proj.mul", (3,), "every 1 min"),
    ]
    assert entries[1].options == {"queue": "q"}

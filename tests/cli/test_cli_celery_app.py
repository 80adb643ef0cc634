"""A Celery project named by -A: its cluster is watched and called; its worker is not ours to be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tqconsole.cli.invocation import Invocation
from tqconsole.core.schedules import AppSchedule, upcoming

PROJECT = """
from celery import Celery
from celery.schedules import crontab

app = Celery("shop", broker="redis://:secret@127.0.0.1:1/3", include=["theirshop_tasks"])
app.conf.update(
    result_backend="redis://127.0.0.1:1/4",
    task_default_queue="shop",
    timezone="Europe/Berlin",
    worker_hijack_root_logger=False,
    beat_schedule={"nightly": {"task": "shop.report", "schedule": crontab("30", "7")}},
)

@app.on_after_configure.connect
def add(sender, **_):
    sender.add_periodic_task(60.0, sender.signature("shop.ping"), name="ping")
"""
TASKS = """
from theirshop import app

@app.task(name="shop.report")
def report(year: int, month: int = 1):
    pass
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "theirshop.py").write_text(PROJECT)
    (tmp_path / "theirshop_tasks.py").write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("theirshop", "theirshop_tasks"):
        sys.modules.pop(name, None)


def invocation(**given: str) -> Invocation:
    made = Invocation()
    made.take({"app": "theirshop", **given})
    return made


def test_its_settings_say_where_the_cluster_is() -> None:
    app = invocation().app()

    assert app.broker.url == "redis://:**@127.0.0.1:1/3"
    assert app.conf.result_backend == "redis://127.0.0.1:1/4"
    assert app.conf.task_default_queue == "shop"


def test_what_the_command_line_says_wins() -> None:
    assert invocation(broker="memory://mine").app().broker.url == "memory://mine"


def test_its_tasks_and_its_schedule_are_read() -> None:
    made = invocation()
    made.app()
    made.import_modules()

    assert made.celery is not None
    assert "shop.report" in made.celery.tasks
    entries = AppSchedule(lambda: made.celery.conf.beat_schedule, made.celery).entries()
    assert [(entry.name, entry.schedule) for entry in entries] == [
        ("nightly", "30 7 * * *"),
        ("ping", "every 1 min"),
    ]
    # 7:30 in Berlin, in winter.
    assert upcoming(entries[0], 1_800_000_000.0, 1)[0] % 86400 == 6.5 * 3600


def test_a_worker_of_ours_is_refused_with_the_way_that_goes() -> None:
    with pytest.raises(click.UsageError, match="celery -A theirshop worker"):
        invocation().own_app()

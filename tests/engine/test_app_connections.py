"""Which broker an app has, before and after it was closed."""

from __future__ import annotations

from pathlib import Path

import pytest
from client_rig import fresh_url, make_app

from tqconsole.engine import App
from tqconsole.engine.brokers import open_broker


def url(folder: Path, name: str) -> str:
    return f"sqlite:///{str(folder / name).lstrip('/')}"


def test_a_closed_app_opens_what_the_settings_say_now(tmp_path: Path) -> None:
    app = App("a", broker=url(tmp_path, "one.db"), set_as_current=False)
    assert app.broker.url.endswith("one.db")

    app.close()
    app.conf.update(broker_url=url(tmp_path, "two.db"))

    assert app.broker.url.endswith("two.db")
    assert app.backend.url.endswith("two.db")


def test_reading_and_writing_are_one_broker_by_default() -> None:
    app = make_app()

    assert app.write_broker is app.broker


def test_calls_go_to_the_broker_for_writing() -> None:
    app = make_app(broker_read_url=fresh_url(), broker_write_url=fresh_url())

    app.send_task("add", (1, 1))

    assert app.broker.depth("celery").ready_count == 0
    assert app.write_broker.depth("celery").ready_count == 1
    assert app.broker.url == app.conf.broker_read_url
    assert app.broker_resolved.reason == "broker_read_url"


def test_the_half_that_is_not_set_is_the_broker_url() -> None:
    app = make_app(broker_read_url=fresh_url())

    assert app.write_broker.url == app.conf.broker_url


@pytest.mark.parametrize("setting", ["broker_read_url", "broker_write_url"])
def test_one_half_alone_is_both(setting: str) -> None:
    app = App("a", set_as_current=False, **{setting: fresh_url()})

    assert app.write_broker is app.broker
    assert app.broker.url == app.conf[setting]


def test_a_broker_that_was_given_stays(tmp_path: Path) -> None:
    broker = open_broker("memory://given")
    app = App("a", broker=broker, set_as_current=False)

    app.close()

    assert app.broker is broker

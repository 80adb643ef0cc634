"""Which broker an app has, before and after it was closed."""

from __future__ import annotations

from pathlib import Path

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


def test_a_broker_that_was_given_stays(tmp_path: Path) -> None:
    broker = open_broker("memory://given")
    app = App("a", broker=broker, set_as_current=False)

    app.close()

    assert app.broker is broker

"""Which broker an app has, before and after it was closed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest
from client_rig import fresh_url, make_app

from tqconsole.engine import App
from tqconsole.engine.alternates import arranged
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.exceptions import ImproperlyConfigured


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


SERVERS = ["redis://one/0", "redis://two/0", "redis://three/0"]


def backwards(urls: list[str]) -> Iterator[str]:
    """Cycle for ever, as kombu's own strategies do."""
    return cycle(reversed(urls))


@pytest.mark.parametrize("strategy", [None, "round-robin"])
def test_servers_are_tried_as_they_are_listed(strategy: str | None) -> None:
    app = App("a", broker=SERVERS, broker_failover_strategy=strategy, set_as_current=False)

    assert app.broker_resolved.url == ";".join(SERVERS)


def test_a_callable_says_in_which_order_servers_are_tried() -> None:
    app = App("a", broker=SERVERS, broker_failover_strategy=backwards, set_as_current=False)

    assert app.broker.url.split(";") == SERVERS[::-1]


def test_shuffled_servers_are_the_same_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "sample", lambda urls, count: [*urls[1:], urls[0]][:count])

    assert arranged(";".join(SERVERS), "shuffle").split(";") == [*SERVERS[1:], SERVERS[0]]


def test_a_shuffle_holds_for_reading_and_writing() -> None:
    for _ in range(20):
        app = App("a", broker=SERVERS, broker_failover_strategy="shuffle", set_as_current=False)

        assert sorted(app.broker.url.split(";")) == sorted(SERVERS)
        assert app.write_broker is app.broker


@pytest.mark.parametrize("strategy", ["random", 7, lambda urls: [], lambda urls: ["redis://x/0"]])
def test_a_strategy_that_is_none_says_so(strategy: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="broker_failover_strategy"):
        arranged(";".join(SERVERS), strategy)

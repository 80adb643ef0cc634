"""No setting is taken in silence: each works, or a worker says at its start that it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from client_rig import make_app

from tqconsole.engine.settings_table import SETTINGS
from tqconsole.engine.settings_told import RABBITMQ_ONLY, UNHEEDED, unheeded, why_unheeded

PACKAGE = Path(__file__).parents[2] / "tqconsole"
ENGINE = PACKAGE / "engine"
#: Tables and pages of settings use nothing; the transport for other people's kombu has options of
#: its own, which only bear the same names.
USE_NOTHING = {ENGINE / name for name in (
    "embedded/kombu_transport.py", "settings.py", "settings_table.py", "settings_text.py",
    "settings_told.py",
)}  # fmt: skip
SOURCES = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if path not in USE_NOTHING)


def is_used(name: str) -> bool:
    return re.search(rf'(\bconf\.{name}\b|"{name}")', SOURCES) is not None


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_works_or_says_that_it_does_not(name: str) -> None:
    assert is_used(name) or why_unheeded(name)
    assert not (is_used(name) and name in UNHEEDED), f"{name} works: nobody need be told"


def test_what_somebody_set_is_said() -> None:
    app = make_app(worker_lost_wait=3.0, worker_concurrency=2, security_key="/k")

    lines = unheeded(app.conf)

    assert lines == [
        "security_key = '********' means nothing here: messages are not signed in this version:"
        " nothing is checked",
        "worker_lost_wait = 3.0 means nothing here: the death of a child is known at once",
    ]


@pytest.mark.parametrize("name", RABBITMQ_ONLY)
def test_what_only_rabbitmq_heeds_is_said_elsewhere(name: str) -> None:
    conf = make_app(**{name: "another"}).conf

    (line,) = unheeded(conf, "redis")

    assert line == f"{name} = 'another' means nothing on redis: {RABBITMQ_ONLY[name]}"
    assert unheeded(conf, "amqp") == []


def test_settings_of_a_redis_store_are_said_to_mean_nothing_with_another() -> None:
    conf = make_app(redis_host="elsewhere").conf

    assert unheeded(conf, "redis", "redis://server/0") == []
    (line,) = unheeded(conf, "redis", "cache+memory://")
    assert (
        line == "redis_host = 'elsewhere' means nothing here: it belongs to a result store in Redis"
    )


def test_defaults_are_not_worth_a_word() -> None:
    assert unheeded(make_app(worker_lost_wait=SETTINGS["worker_lost_wait"].default).conf) == []


def test_old_names_of_a_source_are_known() -> None:
    app = make_app(config_source={"CELERYD_CONCURRENCY": 2, "CELERY_TIMEZONE": "UTC"})

    assert app.conf.worker_concurrency == 2
    assert app.conf.old_names == ("CELERYD_CONCURRENCY", "CELERY_TIMEZONE")
    assert make_app(config_source={"worker_concurrency": 2}).conf.finalize().old_names == ()

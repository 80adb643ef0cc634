"""No setting is taken in silence: each works, or a worker says at its start that it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from client_rig import make_app

from tqconsole.engine.settings_table import SETTINGS
from tqconsole.engine.settings_told import UNHEEDED, unheeded, why_unheeded

PACKAGE = Path(__file__).parents[2] / "tqconsole"
#: The tables themselves use nothing.
TABLES = {"settings_table.py", "settings_told.py"}
SOURCES = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name not in TABLES)


def is_used(name: str) -> bool:
    return re.search(rf'(conf\.|"){name}\b', SOURCES) is not None


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


def test_defaults_are_not_worth_a_word() -> None:
    assert unheeded(make_app(worker_lost_wait=SETTINGS["worker_lost_wait"].default).conf) == []


def test_old_names_of_a_source_are_known() -> None:
    app = make_app(config_source={"CELERYD_CONCURRENCY": 2, "CELERY_TIMEZONE": "UTC"})

    assert app.conf.worker_concurrency == 2
    assert app.conf.old_names == ("CELERYD_CONCURRENCY", "CELERY_TIMEZONE")
    assert make_app(config_source={"worker_concurrency": 2}).conf.finalize().old_names == ()

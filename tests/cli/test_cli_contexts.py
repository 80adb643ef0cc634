"""Saved clusters on the command line: --context, its variable, and what is read-only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from stub_cluster import Done

from tqconsole.cli.console import theme_named
from tqconsole.cli.invocation import Invocation
from tqconsole.core.errors import ContextError

Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = tmp_path / "config" / "tqconsole"
    config.mkdir(parents=True)
    (config / "contexts.toml").write_text(
        'current = "lab"\n'
        '[contexts.prod]\nbroker = "memory://prod"\n'
        '[contexts.lab]\nbroker = "memory://lab"\n'
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invocation(**given: str) -> Invocation:
    made = Invocation()
    made.take(given)
    return made


def test_a_context_names_the_broker_and_is_the_reason() -> None:
    made = invocation(context="prod")

    assert made.app().broker_resolved.url == "memory://prod"
    assert made.reason == "context prod"


def test_the_current_context_is_taken_where_nothing_is_named() -> None:
    assert invocation().reason == "context lab"


def test_the_variable_wins_over_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQCONSOLE_CONTEXT", "prod")

    assert invocation().reason == "context prod"


def test_a_broker_that_was_named_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert invocation(broker="memory://mine", context="prod").reason == "given with -b/--broker"

    monkeypatch.setenv("TQCONSOLE_BROKER", "memory://other")
    assert invocation().app().broker_resolved.url == "memory://other"
    assert invocation(context="prod").app().broker_resolved.url == "memory://prod"


def test_what_led_to_the_cluster_leads_another_command_there() -> None:
    assert invocation(context="prod").reached_by() == ("--context", "prod")
    assert invocation(broker="memory://mine").reached_by() == ("-b", "memory://mine")
    assert invocation().reached_by() == ()


def test_a_password_is_not_shown_in_what_led_to_the_cluster() -> None:
    made = invocation(broker="redis://:secret@127.0.0.1:6379/0")

    assert "secret" not in "".join(made.reached_by())


def test_a_context_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(ContextError, match="there are: prod, lab"):
        invocation(context="pord").app()


@pytest.mark.parametrize(
    "words",
    [
        ("call", "proj.tasks.add"),
        ("control", "shutdown"),
        ("purge", "-f"),
        ("dead", "replay", "--all"),
        ("dead", "drop", "--all", "-f"),
    ],
    ids=" ".join,
)
def test_what_changes_a_read_only_context_is_refused(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words, "--context", "prod")

    assert done.code == 2
    assert "The context prod is read-only" in done.err


def test_a_theme_is_found_by_its_short_name() -> None:
    assert theme_named("light") == "tqconsole-light"
    assert theme_named("nord") == "nord"
    assert theme_named(None) is None


def test_a_theme_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(click.UsageError, match="Did you mean nord"):
        theme_named("nrod")

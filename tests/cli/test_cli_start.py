"""What the start screen is told."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tqconsole.cli.start import start_facts
from tqconsole.engine.brokers.resolution import Resolved, note_worker


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("TQCONSOLE_BROKER", raising=False)
    # What answers on this machine's ports is not this test's business.
    monkeypatch.setattr("tqconsole.cli.start.BROKERS", {})


def _app(*, is_default: bool) -> SimpleNamespace:
    resolved = Resolved("sqlite:////here/queue.db", "outside any project", is_default=is_default)
    return SimpleNamespace(broker_resolved=resolved)


def test_a_named_broker_needs_no_start() -> None:
    facts = start_facts(_app(is_default=False), "demo", "context:", is_app_named=False)

    assert (facts.looked_for, facts.choices) == ((), ())


def test_it_tells_where_it_looked() -> None:
    facts = start_facts(_app(is_default=True), "demo", "context:", is_app_named=False)

    assert facts.looked_for[0] == ("-b, --context", "not given")
    assert facts.looked_for[-1] == ("localhost", "nothing answers")
    assert [choice.value for choice in facts.choices] == ["demo"]


def test_queues_with_living_workers_are_offered() -> None:
    note_worker("sqlite:////there/queue.db", "w1@lab", os.getpid(), os.environ)
    note_worker("sqlite:////here/queue.db", "w2@lab", os.getpid(), os.environ)

    facts = start_facts(_app(is_default=True), "demo", "context:", is_app_named=False)

    assert [choice.value for choice in facts.choices] == ["demo", "sqlite:////there/queue.db"]
    assert facts.choices[1].note == "w1@lab alive"


def test_saved_contexts_are_offered_without_their_passwords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tqconsole"
    folder.mkdir()
    (folder / "contexts.toml").write_text(
        '[contexts.prod]\nbroker = "redis://:secret@prod/0"\n[contexts.lab]\napp = "proj"\n'
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    facts = start_facts(_app(is_default=False), "demo", "context:", is_app_named=False)

    assert [(c.value, c.label, c.note) for c in facts.contexts] == [
        ("context:prod", "prod", "redis://:**@prod/0   read-only"),
        ("context:lab", "lab", "-A proj"),
    ]

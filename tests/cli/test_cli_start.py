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
    facts = start_facts(_app(is_default=False), "demo")

    assert (facts.looked_for, facts.choices) == ((), ())


def test_it_tells_where_it_looked() -> None:
    facts = start_facts(_app(is_default=True), "demo")

    assert facts.looked_for[-1] == (
        "embedded queue, outside any project",
        "sqlite:////here/queue.db",
    )
    assert [choice.value for choice in facts.choices] == ["demo"]


def test_queues_with_living_workers_are_offered() -> None:
    note_worker("sqlite:////there/queue.db", "w1@lab", os.getpid(), os.environ)
    note_worker("sqlite:////here/queue.db", "w2@lab", os.getpid(), os.environ)

    facts = start_facts(_app(is_default=True), "demo")

    assert [choice.value for choice in facts.choices] == ["sqlite:////there/queue.db", "demo"]
    assert facts.choices[0].note == "w1@lab alive"

"""Hostile messages: the list itself, and that the check would see what it is there to see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faults.fuzz import inside, shapes, traps
from faults.places import Places
from faults.scenario import IN_PROCESS, Case
from tests.protocol.golden import VECTORS, message_of
from tqconsole.engine.protocol.transfer import Delivery
from tqconsole.engine.worker.reading import Reader


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setattr(inside, "VOLUMES", {"ci": 500})
    monkeypatch.setattr(shapes, "bombs", lambda **_: iter(()))
    return Case("T-FUZZ", "tqconsole", IN_PROCESS, "ci", 3, tmp_path, Places(tmp_path))


def test_there_are_more_shapes_than_celery_was_measured_with() -> None:
    names = [name for name, _ in shapes.shapes()]

    assert len(names) == len(set(names)) >= 82


def test_every_message_comes_to_an_end(case: Case) -> None:
    assert inside.run(case).broken == []


def test_error_of_the_reader_is_seen(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: Reader, deliveries: list[Delivery]) -> None:
        raise KeyError("headers")

    monkeypatch.setattr(Reader, "read", read)

    assert "KeyError" in inside.run(case).broken[0]


def test_sprung_trap_is_seen(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    unsafe = frozenset({"application/json", "application/x-python-serialize"})
    monkeypatch.setattr(inside, "ACCEPT", unsafe)

    assert "code from a message ran" in inside.run(case).broken
    assert traps.VARIABLE not in os.environ


def test_bomb_is_refused_at_the_limit() -> None:
    way = inside.Way()
    good = message_of(VECTORS["redis-task-plain"])
    name, bomb = next(shapes.bombs())

    way.pass_through(bomb(good))

    assert name == "bomb: application/x-gzip"
    assert way.ends == {"dead": 1}

"""The adapters the contract suites run against. To join: one row here, and nothing in the tests.

`url` makes the address of a fresh place; an adapter with a server starts it in a fixture of its own
and marks its row with `pytest.mark.server`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

#: name -> how a fresh, empty place of that broker is addressed.
BROKER_PLACES: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite://{folder}/queue.db",
    "sqlite-poll": lambda folder: f"sqlite://{folder}/queue.db?bell=poll",
    "memory": lambda folder: f"memory://{uuid.uuid4().hex}",
}

#: name -> how a fresh, empty place of that result store is addressed.
BACKEND_PLACES: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite://{folder}/queue.db",
    "sqlite-udp": lambda folder: f"sqlite://{folder}/queue.db?bell=udp",
    "memory": lambda folder: "cache+memory://",
}

#: Rows that need more than a place.
MARKS: dict[str, tuple[pytest.MarkDecorator, ...]] = {}


def parameters(places: dict[str, Callable[[Path], str]]) -> list[object]:
    return [
        pytest.param(make_url, id=name, marks=MARKS.get(name, ()))
        for name, make_url in places.items()
    ]

"""The adapters the contract suites run against. To join: one row here, and nothing in the tests.

`url` makes the address of a fresh place; an adapter with a server names the session's fixture that
runs it (in conftest.py), and its row is marked `server`.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: Every test has a database of its own in the one server of its process.
_databases = itertools.count()


@dataclass(frozen=True)
class ServerPlace:
    """A place in a server: the fixture that runs it, and the URL of a fresh place from that."""

    fixture: str
    make_url: Callable[[Any], str]


Place = Callable[[Path], str] | ServerPlace


def redis_url(server_url: str) -> str:
    return server_url.rpartition("/")[0] + f"/{next(_databases)}"


#: name -> how a fresh, empty place of that broker is addressed.
BROKER_PLACES: dict[str, Place] = {
    "sqlite": lambda folder: f"sqlite://{folder}/queue.db",
    "sqlite-poll": lambda folder: f"sqlite://{folder}/queue.db?bell=poll",
    "memory": lambda folder: f"memory://{uuid.uuid4().hex}",
    "filesystem": lambda folder: f"filesystem://{folder}",
    "sqlalchemy": lambda folder: f"sqla+sqlite:///{folder}/queue.db",
    "redis": ServerPlace("redis_server_url", redis_url),
    "rabbitmq": ServerPlace("rabbitmq_vhosts", next),
}

#: name -> how a fresh, empty place of that result store is addressed.
BACKEND_PLACES: dict[str, Place] = {
    "sqlite": lambda folder: f"sqlite://{folder}/queue.db",
    "sqlite-udp": lambda folder: f"sqlite://{folder}/queue.db?bell=udp",
    "memory": lambda folder: "cache+memory://",
    "redis": ServerPlace("redis_server_url", redis_url),
    "rpc": ServerPlace("rabbitmq_vhosts", lambda vhosts: "rpc+" + next(vhosts)),
}

#: Rows that need more than a place.
MARKS: dict[str, tuple[pytest.MarkDecorator, ...]] = {}


def parameters(places: dict[str, Place]) -> list[object]:
    return [
        pytest.param(
            place,
            id=name,
            marks=MARKS.get(name, (pytest.mark.server,) if isinstance(place, ServerPlace) else ()),
        )
        for name, place in places.items()
    ]


def url_of(request: pytest.FixtureRequest, folder: Path) -> str:
    """Return a fresh place for a test whose parameter is one of the rows."""
    place: Place = request.param
    if isinstance(place, ServerPlace):
        return place.make_url(request.getfixturevalue(place.fixture))
    return place(folder)

"""Workflows across the border on Redis: our client on Celery's workers, Celery's on ours, and a
fleet of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import pytest
from brokers_up import redis_up
from canvas_cases import CASES
from kombu_fleet import PATIENCE_S, eventually
from redis_fleet import Place

import tqconsole.engine
from tqconsole.engine.app import App

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("canvas interop")]

FLEETS = ("ours", "theirs", "mixed")


def elsewhere(*args: Any) -> None:
    """Stands for a task that runs in a worker."""


class Fleet:
    """Workers of one or both kinds on a database, and clients of both kinds."""

    def __init__(self, place: Place, kind: str) -> None:
        self.place = place
        self.kind = kind
        if kind in ("ours", "mixed"):
            place.start_of("canvas_project", "tqconsole", "ours", "w-ours@host")
        if kind in ("theirs", "mixed"):
            place.start_of("canvas_project", "celery", "theirs", "w-theirs@host")
        names = ("add", "double", "xsum", "ident", "fail", "failed", "grow", "branch")
        ours = App("client", broker=place.url, backend=place.url, set_as_current=False)
        theirs = celery.Celery("client", broker=place.url, backend=place.url, set_as_current=False)
        self.apps = {"ours": ours, "theirs": theirs}
        self.modules = {"ours": tqconsole.engine, "theirs": celery}
        self.tasks = {
            kind: {name: app.task(name=name, typing=False)(elsewhere) for name in names}
            for kind, app in self.apps.items()
        }

    def build(self, client: str, case: str) -> Any:
        return CASES[case][0](self.modules[client], self.tasks[client])


@pytest.fixture(scope="module", params=FLEETS)
def fleet(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("canvas")
    with redis_up(folder / "redis") as server:
        place = Place(server.url, folder)
        try:
            fleet = Fleet(place, request.param)
            yield fleet
            # Celery's results take leave of their server whenever they are collected.
            fleet.apps["theirs"].backend.result_consumer._pubsub = None
            for app in fleet.apps.values():
                app.close()
        finally:
            place.close()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("client", ["ours", "theirs"])
def test_every_shape_comes_to_its_value(fleet: Fleet, client: str, case: str) -> None:
    result = fleet.build(client, case).apply_async()

    assert result.get(timeout=PATIENCE_S) == CASES[case][1]


@pytest.mark.parametrize("client", ["ours", "theirs"])
def test_a_failed_part_fails_the_body_and_tells_once(fleet: Fleet, client: str) -> None:
    tasks, module = fleet.tasks[client], fleet.modules[client]
    told = f"told-{client}"
    body = tasks["xsum"].s().on_error(tasks["failed"].s(told))

    result = module.chord([tasks["add"].s(1, 1), tasks["fail"].s(), tasks["add"].s(2, 2)])(body)

    error = result.get(timeout=PATIENCE_S, propagate=False)
    assert type(error).__name__ == "ChordError"
    part_id = result.parent.results[1].id
    assert str(error) == f"Dependency {part_id} raised ValueError('no')"
    link = fleet.place.link
    assert eventually(lambda: link.run("LRANGE", told, 0, -1) == [result.id.encode()])


@pytest.mark.parametrize("client", ["ours", "theirs"])
def test_a_chain_fails_from_its_middle_on(fleet: Fleet, client: str) -> None:
    tasks, module = fleet.tasks[client], fleet.modules[client]

    result = module.chain(tasks["add"].s(1, 1), tasks["fail"].s(), tasks["double"].s())()

    error = result.get(timeout=PATIENCE_S, propagate=False)
    assert (type(error).__name__, str(error)) == ("ValueError", "no")
    assert result.parent.parent.get(timeout=PATIENCE_S) == 2


@pytest.mark.parametrize("client", ["ours", "theirs"])
def test_a_running_chord_grows(fleet: Fleet, client: str) -> None:
    tasks, module = fleet.tasks[client], fleet.modules[client]

    result = module.chord([tasks["grow"].s(3), tasks["grow"].s(5)], tasks["xsum"].s())()

    assert result.get(timeout=PATIENCE_S) == 3 + 5 + 6 + 10


def test_no_key_of_a_chord_stays(fleet: Fleet) -> None:
    result = fleet.build("ours", "chord").apply_async()
    result.get(timeout=PATIENCE_S)

    gid = result.parent.id

    def left() -> set[str]:
        return {name for name in fleet.place.names() if gid in name}

    done = {f"celery-taskset-meta-{gid}.{suffix}" for suffix in ("b", "c")}
    assert eventually(lambda: left() <= done), left()
    ages = [fleet.place.link.run("TTL", name) for name in left()]
    assert all(0 < age <= 86_400 for age in ages)

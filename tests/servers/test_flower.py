"""Flower watches our worker as it watches a real one: its HTTP API shows the same fields."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from brokers_up import free_port, redis_up
from kombu_fleet import PATIENCE_S, eventually
from redis_fleet import Place
from shapes import differences, shape

from tqconsole.engine.app import App

pytestmark = [pytest.mark.server, pytest.mark.slow]

OURS, THEIRS = "w1@ours", "c1@theirs"


class Flower:
    """A running Flower's API."""

    def __init__(self, place: Place, program: str = "celery", app: str = "theirs") -> None:
        self._root = f"http://127.0.0.1:{(port := free_port())}/api"
        place.environ |= {"FLOWER_UNAUTHENTICATED_API": "1"}
        options = ["flower", f"--port={port}", "--address=127.0.0.1", "--inspect-timeout=5000"]
        log = f"flower of {program}"
        place.start(log, program, "-A", f"redis_project:{app}", *options)
        assert eventually(lambda: self.get("/workers") is not None), place.log(log)

    def get(self, path: str) -> Any:
        """Return what it answers; None while it does not."""
        try:
            with urllib.request.urlopen(self._root + path, timeout=PATIENCE_S) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            return None

    def task(self, task_id: str, state: str) -> Any:
        """Return what it knows of a task once that has the state."""

        def known() -> Any:
            info = self.get(f"/task/info/{task_id}")
            return info if info and info["state"] == state else None

        return eventually(known)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with redis_up(tmp_path_factory.mktemp("redis")) as server:
        place = Place(server.url, tmp_path_factory.mktemp("place"))
        try:
            place.ours(OURS, "ours", "-E")
            place.theirs(THEIRS, "theirs", "-E")
            yield place
        finally:
            place.close()


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[App]:
    with App("client", broker=place.url, backend=place.url, set_as_current=False) as app:
        yield app


@pytest.fixture(scope="module")
def flower(place: Place, client: App) -> Flower:
    """A Flower that hears events: its API answers before it listens, and what it missed is gone."""
    flower = Flower(place)

    def hears() -> bool:
        sent = client.send_task("add", (1, 1), queue="ours")
        sent.get(timeout=PATIENCE_S)
        return flower.get(f"/task/info/{sent.id}") is not None

    assert eventually(hears), place.log("flower of celery")
    return flower


def test_both_workers_have_the_same_fields(place: Place, flower: Flower) -> None:
    workers = eventually(
        lambda: (
            found if set(found := flower.get("/workers?refresh=1") or {}) == {OURS, THEIRS} else {}
        )
    )

    ours, theirs = shape(workers[OURS]), shape(workers[THEIRS])
    # How much each has run, and which settings it was given, is no question of form.
    for worker in (ours, theirs):
        worker["stats"]["total"] = worker["conf"] = {}
    assert differences(ours, theirs) == []


def test_a_status_is_told(place: Place, flower: Flower) -> None:
    assert eventually(lambda: flower.get("/workers?status=1") == {OURS: True, THEIRS: True})


@pytest.mark.parametrize(
    ("name", "args", "state"), [("add", (2, 2), "SUCCESS"), ("fail", ("no",), "FAILURE")]
)
def test_a_task_has_the_same_fields(
    flower: Flower, client: App, name: str, args: tuple[Any, ...], state: str
) -> None:
    infos = []
    for queue in ("ours", "theirs"):
        result = client.send_task(name, args, queue=queue)
        infos.append(flower.task(result.id, state))

    ours, theirs = infos
    assert differences(shape(ours), shape(theirs)) == []
    same = ("name", "args", "kwargs", "state", "result", "exception", "retries", "exchange")
    assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}
    assert (ours["worker"], theirs["worker"]) == (OURS, THEIRS)


def test_flower_revokes_at_our_worker(flower: Flower, client: App) -> None:
    result = client.send_task("add", (1, 1), queue="ours", countdown=60)
    request = urllib.request.Request(f"{flower._root}/task/revoke/{result.id}", b"", method="POST")

    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert json.load(answer)["message"] == f"Revoked '{result.id}'"

    assert eventually(lambda: result.state == "REVOKED")


def test_flower_is_a_verb_of_ours_too(place: Place) -> None:
    flower = Flower(place, "tqconsole", "ours")

    workers = eventually(lambda: len(found := flower.get("/workers?refresh=1")) == 2 and found)

    assert set(workers) == {OURS, THEIRS}
    assert "add" in workers[OURS]["registered"]
